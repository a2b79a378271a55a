/** A program: the gate's wipe of a host on which nothing runs, `HOME SECRETS INPUTS`, with its answer on stdout. */
import { Readable } from 'node:stream';
import { BuildTurns } from '../../src/gate/build-turns.ts';
import { BuiltImages } from '../../src/gate/built-images.ts';
import { CacheRecords } from '../../src/gate/cache-records.ts';
import type { GateCall, GateContext } from '../../src/gate/context.ts';
import { wipeData } from '../../src/gate/workload-data.ts';

/** What the gate answers; fails as it does. */
export async function wipeOnce(home: string, secrets_dir: string, dir: string): Promise<unknown> {
  const body: Buffer[] = [];
  const response = { writeHead: () => response, end: (bytes: Buffer) => void body.push(bytes) };
  const call = { params: {}, query: {}, response, signal: new AbortController().signal };
  const ask = async ({ path }: { path: string }) => ({
    ...{ status: 200, body: Buffer.from(path === '/volumes' ? '{"Volumes":null}' : '[]') },
  });
  const stream = async () => Object.assign(Readable.from([Buffer.from('[]')]), { statusCode: 200 });
  const policy = { secrets_dir, allocation: { home }, inputs: { dir } };
  const gate = {
    ...{ policy, engine: { ask, stream }, caches: new CacheRecords(), containers: { list: async () => [] } },
    ...{ builds: new BuildTurns(1), builtImages: new BuiltImages() },
  };
  await wipeData(call as unknown as GateCall, gate as unknown as GateContext);
  return JSON.parse(Buffer.concat(body).toString('utf8'));
}

if (import.meta.main) {
  const [, , home = '', secrets = '', inputs = ''] = process.argv;
  process.stdout.write(JSON.stringify(await wipeOnce(home, secrets, inputs)));
}
