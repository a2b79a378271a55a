/**
 * The control plane killed with SIGKILL while jobs wait, are given out, run and end, and started again on its data: each ends as it
 * should and ran once, and whoever follows one sees no seam (FAULTS 34).
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ensureEngine } from '../../bootstrap/dev/engine.ts';
import { ensureImage } from '../../bootstrap/dev/images.ts';
import { ensureRegistry } from '../../bootstrap/dev/registry.ts';
import { containerName } from '../../src/contract/names.ts';
import type { Event } from '../../src/server/db/entities/event.ts';
import type { JobView } from '../../src/server/jobs/job-view.ts';
import { until } from '../support/daemon-ground.ts';
import { engineCall } from '../support/engine-call.ts';
import { type EngineStarts, watchStarts } from '../support/engine-starts.ts';
import { ok, openWire, type Wire } from '../support/wire-ground.ts';

let wire: Wire;
let image: string;
let engine: string;
let starts: EngineStarts;

beforeAll(async () => {
  ({ socketPath: engine } = await ensureEngine());
  starts = await watchStarts(engine);
  const { host } = await ensureRegistry();
  ({ reference: image } = await ensureImage({ socketPath: engine, host }, 'tiny'));
  // Room for one of the large jobs at a time, on every machine.
  wire = await openWire({ withoutApp: true, allocation: { shape: { gpu_count: 0, cpu_cores: 1, memory_gib: 1 } } });
});
afterAll(async () => {
  starts?.close();
  await wire?.close();
});

/** Prints a line, waits for SIGUSR1, and prints another. */
const waits = 'trap "echo after > /out/file; echo after; exit 0" USR1; echo before; while :; do sleep 0.05; done';

/** Submits a job of one op of its name, and leaves the command to whoever asked for it to wait. */
async function submit(name: string, cmd: string, cpus: number, ...how: readonly string[]) {
  const file = join(wire.folder, `${name}.json`);
  const op = { type: 'container/run', id: name, args: { image, cmd, output: '/out' } };
  writeFileSync(file, JSON.stringify({ version: '0.1', type: 'container', ops: [op] }));
  const amounts = ['--cpus', String(cpus), '--memory', '0.25'];
  const command = wire.member.cli('jobs', 'submit', file, '--name', name, ...amounts, ...how);
  let printed = '';
  command.child.stdout?.on('data', (text: string) => {
    printed += text;
  });
  const found = async () => ok(await wire.member.call('GET', '/api/v1/jobs')).items as JobView[];
  await until(async () => (await found()).some((job) => job.name === name), `${name} to be there`);
  const id = (await found()).find((job) => job.name === name)?.id ?? '';
  const now = async () => ok(await wire.member.call('GET', `/api/v1/jobs/${id}`)) as JobView;
  return {
    ...{ id, name, now, ended: command.ended, printed: () => printed },
    is: async (what: string, holds: (job: JobView) => boolean) =>
      await until(async () => holds(await now()), `${name} to be ${what}`),
    /** Its op has said its first line, and so listens. */
    speaks: async () =>
      await until(async () => {
        const { body } = await wire.member.call('GET', `/api/v1/jobs/${id}/logs`);
        return String(body).includes('event: entries');
      }, `${name} to speak`),
    /** Its op, which waits for that, ends. */
    end: async () => await engineCall(engine, 'POST', `/containers/${containerName(id, name)}/kill?signal=USR1`),
  };
}
type Submitted = Awaited<ReturnType<typeof submit>>;

async function restart(): Promise<void> {
  await wire.server.stop('SIGKILL');
  await wire.server.start();
}

async function eventsOf({ id }: Submitted): Promise<Event[]> {
  return ok(await wire.member.call('GET', `/api/v1/jobs/${id}/events`)).items;
}

async function printedBy(...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await wire.admin.cli(...args).ended;
  expect({ code, stderr }).toMatchObject({ code: 0 });
  return stdout;
}

it('ends jobs that wait, were just given out, run and have ended as they should, each once', async () => {
  const running = await submit('running', waits, 0.5, '--follow');
  await until(() => running.printed().includes('before'), 'its first line');
  const waiting = await submit('waiting', waits, 0.8, '--wait', '--json');
  await waiting.is('told why it waits', ({ reason }) => reason.includes('cores'));
  process.kill(wire.agent.pid, 'SIGSTOP');
  const given = await submit('given', 'echo once | tee /out/file', 0.1);
  await given.is('given out', ({ attempt }) => attempt === 1);
  await restart();
  expect([(await running.now()).state, (await waiting.now()).state, (await given.now()).state]).toEqual([
    ...['running', 'queued', 'queued'],
  ]);
  process.kill(wire.agent.pid, 'SIGCONT');
  await given.is('over', ({ state }) => state === 'succeeded');

  // It is kept that the job has ended, and its host does not learn that.
  wire.proxy.deafen('/agent/v1/session');
  await running.end();
  await running.is('over', ({ state }) => state === 'succeeded');
  await restart();
  await waiting.speaks();

  // It ends while nobody is there to be told.
  await wire.server.stop('SIGKILL');
  await waiting.end();
  await until(async () => (await wire.containers(waiting.id)).length === 0, 'its host to have taken it away');
  await wire.server.start();
  await waiting.is('over', ({ state }) => state === 'succeeded');

  const followed = await running.ended;
  expect([followed.code, followed.stdout.split('\n').slice(0, 2)]).toEqual([
    0,
    ['running | before', 'running | after'],
  ]);
  const watched = await waiting.ended;
  expect(watched.code).toBe(0);
  const seen = watched.stderr.split('\n').flatMap((line) => line.match(/"seq":\d+/) ?? []);
  expect(seen).toEqual((await eventsOf(waiting)).map(({ seq }) => `"seq":${seq}`));

  const keys = join(wire.folder, 'keys.json');
  const jobs = [given, running, waiting];
  const [logs] = await Promise.all([
    Promise.all(jobs.map(({ id }) => printedBy('jobs', 'logs', id))),
    printedBy('nodes', 'keys', wire.nodeId, '-o', keys),
  ]);
  expect(logs).toEqual(['given | once\n', ...['running', 'waiting'].map((id) => `${id} | before\n${id} | after\n`)]);
  const receipts: string[] = [];
  for (const job of jobs) {
    const { steps, attempts, outputs, receipt } = await job.now();
    expect([attempts.length, steps.map(({ attempts: runs }) => runs), starts.of(job.id)]).toEqual([1, [1], 1]);
    const states = (await eventsOf(job)).map(({ type }) => type).filter((type) => type !== 'job.reported');
    expect(states).toEqual([...new Set(states)]);
    expect(states).toEqual(expect.arrayContaining(['job.dispatched', 'job.succeeded']));
    expect(outputs.map(({ kind, state }) => `${kind} ${state}`).sort()).toEqual(['artifact stored', 'log stored']);
    receipts.push(join(wire.folder, `${job.name}.jws`));
    writeFileSync(receipts.at(-1) ?? '', receipt ?? '');
  }
  const { receipts: verdicts } = JSON.parse(await printedBy('jobs', 'verify', ...receipts, '--key', keys, '--json'));
  expect(verdicts.map(({ receipt }: { receipt: { number: number } }) => receipt.number)).toEqual([1, 2, 3]);
});
