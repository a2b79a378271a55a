/** Where programs may be run beside that of a container. */
import { Readable } from 'node:stream';
import { expect, it } from 'vitest';
import { putArchive } from '../../../src/gate/archives.ts';
import type { GateCall, GateContext } from '../../../src/gate/context.ts';
import type { ContainerObject } from '../../../src/gate/engine-objects.ts';
import { createExec, KnownExecs } from '../../../src/gate/execs.ts';
import { Seals } from '../../../src/gate/seal.ts';
import { SealedContainers } from '../../../src/gate/sealed-containers.ts';
import type { EngineCall, Upstream } from '../../../src/gate/upstream.ts';
import { KeyedMutex } from '../../../src/kit/mutex.ts';

const seals = new Seals(Buffer.alloc(32, 7));

/** The service `egress` of a job, in the network that is said. */
function bench(network: string) {
  const asked: string[] = [];
  const [name, HostConfig] = ['gpuaas-a.egress', { NetworkMode: network }];
  const plain = { 'gpuaas.instance': 'a', 'gpuaas.kind': 'job', 'gpuaas.service': 'egress' };
  const Labels = seals.sealContainer(name, { HostConfig }, plain);
  const object: ContainerObject = { Id: 'd'.repeat(64), Name: `/${name}`, State: {}, Config: { Labels }, HostConfig };
  const note = ({ method, path }: EngineCall) => asked.push(`${method} ${path.replace(object.Id, 'ID')}`);
  const engine = {
    ask: async (call: EngineCall) => {
      note(call);
      return { status: 200, contentType: undefined, body: Buffer.from(JSON.stringify(object)) };
    },
    stream: async (call: EngineCall) => {
      note(call);
      return Object.assign(Readable.from([Buffer.from('{"Id":"e"}')]), { statusCode: 201, headers: {} });
    },
  } as unknown as Upstream;
  const containers = new SealedContainers(engine, seals);
  const gate = { engine, containers, execs: new KnownExecs(), locks: new KeyedMutex() } as unknown as GateContext;
  const call = {
    ...{ params: { container: name }, query: { path: '/x' }, body: { Cmd: ['true'] } },
    ...{ response: { writeHead: () => undefined, end: () => undefined }, signal: new AbortController().signal },
  } as unknown as GateCall;
  return { asked, gate, call };
}

it('none is run in the proxy of a job, which stands in two networks, and no files are put there (M-37)', async () => {
  const { asked, gate, call } = bench('gpuaas-a.egress');

  await expect(createExec(call, gate)).rejects.toMatchObject({ code: 'policy.refused' });
  // Known by now, and no other for it.
  await expect(createExec(call, gate)).rejects.toMatchObject({ code: 'policy.refused' });
  await expect(putArchive(call, gate)).rejects.toMatchObject({ code: 'policy.refused' });
  expect(asked.filter((each) => !each.startsWith('GET /containers/'))).toEqual([]);
});

it('one is run in a part of a job that is only called so', async () => {
  const { asked, gate, call } = bench('gpuaas-a');

  await createExec(call, gate);

  expect(asked.at(-1)).toBe('POST /containers/ID/exec');
});
