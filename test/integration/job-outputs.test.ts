/** What is kept of jobs, handed over to a control plane that is killed in the middle of it, and fetched from there. */
import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { pack } from 'tar-stream';
import { expect, it } from 'vitest';
import { outputDestination } from '../../src/agent/control-plane/hand-over.ts';
import { controlPlaneOrigin } from '../../src/agent/control-plane/origin.ts';
import type { KeptOutput } from '../../src/contract/job-outputs.ts';
import type { OutputDestination } from '../../src/jobs/outputs/hand-over.ts';
import { openOutputs } from '../../src/jobs/outputs/keep-outputs.ts';
import { systemClock } from '../../src/kit/clock.ts';
import { createLog } from '../../src/kit/log.ts';
import { openSqliteStore } from '../../src/server/db/sqlite/sqlite-store.ts';
import { eventually } from '../support/eventually.ts';
import { atFileEnd } from '../support/file-end.ts';
import { aJob, nodeWithSession } from '../support/job-samples.ts';
import { runGpuaas } from '../support/run-gpuaas.ts';
import { type ServeProcess, serveProcess } from '../support/serve-process.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const folder = temporaryFolder('job-outputs');
const dataDir = join(folder, 'data');
const signal = new AbortController().signal;
const ended = { state: 'succeeded', ended_at: '2026-11-25T11:00:00.000Z' } as const;

let server: ServeProcess = await serveProcess(dataDir, ['--init']);
const token = server.adminToken ?? '';
await server.stop();
const store = openSqliteStore(join(dataDir, 'control-plane.db'));
const bearer = await nodeWithSession(store, 'node-1');
await store.write(async (tx) => {
  await tx.jobs.insert(aJob(ended));
  await tx.jobs.insert(aJob({ id: 'job-2' }));
});
await store.close();
server = await serveProcess(dataDir);
atFileEnd(() => server.stop());

/** Wherever the control plane is by then. */
const plane = () => outputDestination(controlPlaneOrigin(server.url ?? ''), () => bearer);
const gpuaas = (...words: string[]) => runGpuaas({ url: server.url ?? '', token }, words);

it('an output goes on where it was when its control plane was killed in the middle and its agent begun anew, and is fetched whole', async () => {
  const content = randomBytes(48 * 2 ** 20);
  const offsets: number[] = [];
  const open = (onPiece: () => void) => {
    const destination: OutputDestination = {
      offer: (offer, stop) => plane().offer(offer, stop),
      send: async (piece, stop) => {
        offsets.push(piece.offset);
        const sent = plane().send(piece, stop);
        onPiece();
        return await sent;
      },
    };
    return openOutputs({
      ...{ destination, folder: join(folder, 'jobs'), clock: systemClock, log: createLog({ level: 'silent' }) },
      ...{
        limits: { each: 2 ** 30, all: 2 ** 30, reserve: 0 },
        engine: { getArchive: async () => archiveOf(content) },
      },
    });
  };
  let killed: Promise<unknown> | undefined;
  const first = open(() => {
    if (offsets.length === 4) killed = server.stop('SIGKILL');
  });

  const output = { name: 'model', volume: 'data', path: 'model.bin', type: 'artifact', required: true } as const;
  const kept = await first.take(output, { job: 'job-1', container: 'c', target: '/data' }, signal);
  await eventually(() => expect(killed).toBeDefined());
  await killed;
  // Closing writes nothing down: whoever opens the spool next finds what a killed agent leaves.
  await first.close();
  server = await serveProcess(dataDir);
  const second = open(() => undefined);
  const isHandedOver = await second.handedOver('job-1', 60_000, signal);
  const fetched = await gpuaas('jobs', 'artifacts', 'job-1', 'model', '-o', join(folder, 'model'), '--json');

  expect(isHandedOver).toBe(true);
  // Three pieces were acknowledged, larger ones on a quick line; what was on its way when it was killed may be there or not.
  expect(offsets.slice(0, 2)).toEqual([0, 4 * 2 ** 20]);
  expect(offsets[2]).toBeGreaterThan(offsets[1] ?? Number.NaN);
  expect(offsets[4]).toBeGreaterThanOrEqual(offsets[3] ?? Number.NaN);
  expect(fetched.status).toBe(0);
  expect(JSON.parse(fetched.out)).toMatchObject({ sha256: kept?.sha256, bytes: content.length });
  expect(readFileSync(join(folder, 'model')).equals(content)).toBe(true);
  expect(readdirSync(join(folder, 'jobs', 'job-1'))).toEqual(['model.json']);
});

it('an output that is sent while it is read is whole, though its control plane is killed meanwhile (X-20)', async () => {
  const content = randomBytes(40 * 2 ** 20);
  const early: number[] = [];
  const restarted = Promise.withResolvers<void>();
  let halfway: () => Promise<unknown> = () => restarted.promise;
  const restart = async () => {
    await server.stop('SIGKILL');
    server = await serveProcess(dataDir);
    restarted.resolve();
  };
  const sending = (): NonNullable<OutputDestination['early']> => {
    const its = plane().early;
    if (!its) throw new Error('It takes nothing early');
    return its;
  };
  const destination: OutputDestination = {
    offer: (offer, stop) => plane().offer(offer, stop),
    send: (piece, stop) => plane().send(piece, stop),
    early: {
      begin: (output, stop) => sending().begin(output, stop),
      drop: (upload, stop) => sending().drop(upload, stop),
      send: async (piece, stop) => {
        early.push(piece.offset);
        const [answer] = await Promise.all([sending().send(piece, stop), early.length === 2 && restart()]);
        return answer;
      },
    },
  };
  const outputs = openOutputs({
    ...{ destination, folder: join(folder, 'early'), clock: systemClock, log: createLog({ level: 'silent' }) },
    ...{
      limits: { each: 2 ** 30, all: 2 ** 30, reserve: 0 },
      engine: { getArchive: async () => archiveOf(content, () => halfway()) },
    },
  });
  const take = (name: string) => {
    const output = { name, volume: 'data', path: 'model.bin', type: 'artifact', required: true } as const;
    return outputs.take(output, { job: 'job-2', container: 'c', target: '/data' }, signal);
  };

  const kept = await take('model');
  const isHandedOver = await outputs.handedOver('job-2', 60_000, signal);
  early.length = 0;
  halfway = () => eventually(() => expect(early).toContain(4 * 2 ** 20));
  content.writeUInt8(content.readUInt8(0) ^ 1, 0);
  const second = await take('second');
  await outputs.handedOver('job-2', 60_000, signal);
  const fetched = await gpuaas('jobs', 'artifacts', 'job-2', 'second', '-o', join(folder, 'second'), '--json');

  expect(isHandedOver).toBe(true);
  expect(JSON.parse(fetched.out)).toMatchObject({ sha256: second?.sha256, bytes: content.length });
  expect(readFileSync(join(folder, 'second')).equals(content)).toBe(true);
  const names = readdirSync(join(dataDir, 'job-outputs', 'p1'));
  expect(names).toEqual(expect.arrayContaining([kept?.sha256, second?.sha256]));
  expect(names.filter((name) => name.includes('early'))).toEqual([]);
  await outputs.close();
});

it('an output goes on behind its second GiB (X-20)', async () => {
  const bytes = 2 ** 32;
  const output: KeptOutput = {
    ...{ name: 'large', kind: 'artifact', bytes, sha256: '1'.repeat(64), file_name: 'zeros' },
    media_type: 'application/octet-stream',
  };
  await plane().offer({ job_id: 'job-1', output }, signal);
  // Zeros that take no room on the disk.
  const part = join(dataDir, 'job-outputs', 'p1', `.${output.sha256}.part`);
  writeFileSync(part, '');
  truncateSync(part, 2 ** 31 + 1);

  const offered = await plane().offer({ job_id: 'job-1', output }, signal);
  const piece = { job: 'job-1', sha256: output.sha256, offset: offered.received, timeoutMs: 60_000 };
  const more = await plane().send({ ...piece, bytes: new Uint8Array(5) }, signal);

  expect(offered).toEqual({ received: 2 ** 31 + 1, complete: false, refused: null });
  expect(more).toEqual({ received: 2 ** 31 + 6, complete: false, refused: null });
});

/** What is behind its middle comes once `halfway` has. */
function archiveOf(content: Buffer, halfway: () => Promise<unknown> = async () => undefined): Readable {
  const tar = pack();
  tar.entry({ name: 'model.bin' }, content);
  tar.finalize();
  const halves = async function* () {
    const whole = await buffer(tar as unknown as Readable);
    const middle = Math.floor(whole.length / 2);
    yield whole.subarray(0, middle);
    await halfway();
    yield whole.subarray(middle);
  };
  return Readable.from(halves(), { objectMode: false });
}
