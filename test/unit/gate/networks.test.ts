/** Which network a reference means where the engine has several of one name. */
import { describe, expect, it } from 'vitest';
import type { GateCall, GateContext } from '../../../src/gate/context.ts';
import type { ContainerObject, NetworkObject } from '../../../src/gate/engine-objects.ts';
import { attach, inspectNetwork, removeNetwork } from '../../../src/gate/networks.ts';
import { Seals } from '../../../src/gate/seal.ts';
import type { EngineCall } from '../../../src/gate/upstream.ts';

const seals = new Seals(Buffer.alloc(32, 7));
const { signal } = new AbortController();
const name = 'gpuaas-a';
const made = { Name: name, Driver: 'bridge', Labels: { 'gpuaas.instance': 'a' } };
const ours: NetworkObject = { ...made, Id: 'a'.repeat(64), Labels: seals.sealNetwork(made) };
const foreign: NetworkObject = { ...made, Id: 'b'.repeat(64) };
/** Its name contains ours, as the engine's filter by name would have it. */
const longer: NetworkObject = { ...foreign, Name: `${name}-longer`, Id: 'c'.repeat(64) };

const container: ContainerObject = {
  ...{ Id: 'd'.repeat(64), Name: `/${name}`, State: {}, Config: {} },
  HostConfig: { NetworkMode: name },
};

function bench(networks: readonly NetworkObject[]) {
  const asked: string[] = [];
  const answers: unknown[] = [];
  const engine = {
    ask: async ({ method, path, query }: EngineCall) => {
      asked.push(`${method} ${path}${query === undefined ? '' : ` ${query['filters']}`}`);
      return {
        status: method === 'GET' ? 200 : 204,
        contentType: undefined,
        body: Buffer.from(JSON.stringify(networks)),
      };
    },
  };
  const gate = { engine, seals } as unknown as GateContext;
  const response = {
    writeHead: (status: number) => answers.push(status),
    end: (body: Buffer) => answers.push(body.toString()),
  };
  const callOn = (ref: string) => ({ params: { network: ref }, response, signal }) as unknown as GateCall;
  return { asked, answers, gate, callOn };
}

describe('a foreign network of the same name', () => {
  it('is not in the way of the removal of ours, which goes by its id', async () => {
    const { asked, gate, callOn } = bench([foreign, ours]);

    await removeNetwork(callOn(name), gate);

    expect(asked).toEqual(['GET /networks {"name":["gpuaas-a"]}', `DELETE /networks/${ours.Id}`]);
  });

  it('is not there for a client where none of ours is', async () => {
    const { asked, gate, callOn } = bench([longer, foreign]);

    await expect(removeNetwork(callOn(name), gate)).rejects.toMatchObject({ code: 'container.not_found' });
    await expect(inspectNetwork(callOn(name), gate)).rejects.toMatchObject({ code: 'container.not_found' });
    expect(asked.filter((call) => call.startsWith('DELETE'))).toEqual([]);
  });

  it.each([
    ['beside ours', [ours, foreign]],
    ['alone', [foreign]],
  ])('is a conflict for a container, %s', async (_where, networks) => {
    const { gate } = bench(networks);

    await expect(attach(container, gate, signal)).rejects.toMatchObject({ code: 'name.conflict' });
  });
});

describe('a network of ours', () => {
  it('is found by its name, by its id, and by as much of the id as clients print', async () => {
    for (const ref of [name, ours.Id, ours.Id.slice(0, 12)]) {
      const { asked, answers, gate, callOn } = bench([longer, ours]);

      await inspectNetwork(callOn(ref), gate);

      expect(asked).toEqual([`GET /networks {"${ref === name ? 'name' : 'id'}":["${ref}"]}`]);
      expect(answers).toEqual([200, JSON.stringify(ours)]);
    }
  });

  it('has to be there for a container, and is asked for once', async () => {
    const { asked, gate } = bench([longer, ours]);
    await attach(container, gate, signal);

    expect(asked).toHaveLength(1);
    await expect(attach(container, bench([longer]).gate, signal)).rejects.toMatchObject({
      code: 'engine.failed',
      detail: { network: name },
    });
  });
});
