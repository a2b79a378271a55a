import { Readable } from 'node:stream';
import { expect, it } from 'vitest';
import { jobKind, labels } from '../../../src/contract/names.ts';
import type { GateContext } from '../../../src/gate/context.ts';
import type { ContainerObject } from '../../../src/gate/engine-objects.ts';
import { openVolumes } from '../../../src/gate/open-volumes.ts';

const object = {
  ...{ Id: 'c1', Config: { Labels: { [labels.kind]: jobKind } } },
  HostConfig: { Mounts: [{ Type: 'volume', Source: 'v', Target: '/data' }] },
} as unknown as ContainerObject;

it('says that the engine went away where it did so while a volume was looked at', async () => {
  async function* cutOff() {
    yield Buffer.alloc(100);
    throw Object.assign(new Error('aborted'), { code: 'ECONNRESET' });
  }
  const stream = async () => Object.assign(Readable.from(cutOff()), { statusCode: 200 });
  const gate = { engine: { stream } } as unknown as GateContext;

  const opened = openVolumes(object, gate, AbortSignal.timeout(60_000));

  await expect(opened).rejects.toMatchObject({ code: 'engine.unavailable', detail: { state: 'connection_lost' } });
});
