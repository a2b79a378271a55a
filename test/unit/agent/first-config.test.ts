import { describe, expect, it } from 'vitest';
import { firstConfig } from '../../../src/agent/first-config.ts';

const invitation = {
  allocation_id: 'alloc-1',
  registries: ['registry.example.com'],
  expires_at: '2026-11-26T12:00:00Z',
};
const choices = { user: 'tenant', socketGid: 990, registries: [], gvisor: false };

describe('the first configuration of a host', () => {
  it('serves the allocation of the invitation, for the registries of its control plane', () => {
    expect(JSON.parse(firstConfig(invitation, choices))).toEqual({
      allocation: { id: 'alloc-1', user: 'tenant' },
      gate: { socket_gid: 990 },
      registries: [{ host: 'registry.example.com', prefixes: [''] }],
    });
  });

  it('keeps to the registries that the operator names instead, and to what else he chose', () => {
    const registries = ['a.example.com/curated', 'b.example.com:5000', 'a.example.com/apps/x'];

    const config = JSON.parse(
      firstConfig(invitation, { ...choices, registries, gvisor: true, networkPool: '10.1.0.0/20' }),
    );

    expect(config).toMatchObject({
      registries: [
        { host: 'a.example.com', prefixes: ['curated', 'apps/x'] },
        { host: 'b.example.com:5000', prefixes: [''] },
      ],
      ...{ sandboxes: { runc: 'runc', gvisor: 'runsc' }, network_pool: '10.1.0.0/20' },
    });
  });

  it.each([undefined, null, {}, { ...invitation, allocation_id: '../x' }])('is not made of %j', (wrong) => {
    expect(() => firstConfig(wrong, choices)).toThrow('cannot be used');
  });
});
