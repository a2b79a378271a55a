import { describe, expect, it } from 'vitest';
import type { LoadedConfig } from '../../../src/agent/config.ts';
import type { NodeRecord } from '../../../src/agent/identity/node-record.ts';
import { configOfNode } from '../../../src/agent/node-config.ts';

const node = { node_id: 'node-7', allocation_id: 'alloc-1' } as NodeRecord;

function loaded(nodeId: string, source: string, allocation = 'alloc-1'): LoadedConfig {
  return {
    config: { node_id: nodeId, allocation: { id: allocation } },
    sources: { '/node_id': source, '/allocation/id': 'file /etc/agent.json' },
  } as unknown as LoadedConfig;
}

describe('the configuration of a host that is enrolled', () => {
  it('has the name that the control plane gave, where nobody said another', () => {
    const { config, sources } = configOfNode(loaded('machine.local', 'default'), node);

    expect([config.node_id, sources['/node_id']]).toEqual(['node-7', 'enrolment']);
  });

  it('may say that name itself', () => {
    expect(configOfNode(loaded('node-7', 'file /etc/agent.json'), node).config.node_id).toBe('node-7');
  });

  it('is refused where it contradicts the enrolment, with everything that is wrong and who said it', () => {
    const contradicting = loaded('node-8', 'env GPUAAS_AGENT_NODE_ID', 'alloc-2');

    expect(() => configOfNode(contradicting, node)).toThrow(
      expect.objectContaining({
        code: 'config.invalid',
        detail: expect.objectContaining({
          errors: [
            expect.objectContaining({ path: '/node_id', code: 'other_node', source: 'env GPUAAS_AGENT_NODE_ID' }),
            expect.objectContaining({ path: '/allocation/id', source: 'file /etc/agent.json' }),
          ],
        }),
      }),
    );
  });
});

it('is as it is on a host that is no node', () => {
  const given = loaded('machine.local', 'default');

  expect(configOfNode(given, undefined)).toBe(given);
});
