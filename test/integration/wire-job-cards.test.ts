/**
 * Jobs that want cards, on a host with cards of two sizes: two compete for one, and the agent is killed while they are leased. The
 * cards are those of an engine and a driver's tool that take themselves for NVIDIA's; all else is real.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ensureImage } from '../../bootstrap/dev/images.ts';
import type { PrivateEngine } from '../../bootstrap/dev/private-engine.ts';
import { ensureRegistry } from '../../bootstrap/dev/registry.ts';
import type { HostCards } from '../../src/agent/local-api/agent-status.ts';
import { containerName } from '../../src/contract/names.ts';
import type { JobView } from '../../src/server/jobs/job-view.ts';
import { until } from '../support/daemon-ground.ts';
import { engineCall } from '../support/engine-call.ts';
import { type EngineFront, startEngineFront } from '../support/engine-front.ts';
import { engineWithCards } from '../support/engine-with-cards.ts';
import { nvidiaSmi } from '../support/nvidia-smi.ts';
import { startNodeAgent } from '../support/run-task-process.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { ok, openWire, type Wire } from '../support/wire-ground.ts';

const [small, large] = ['GPU-0000000a', 'GPU-0000000b'];
let engine: PrivateEngine;
let front: EngineFront;
let wire: Wire;
let image: string;

beforeAll(async () => {
  const smi = nvidiaSmi(join(temporaryFolder('smi'), 'bin'), [{ uuid: small, memory: '24564' }, { uuid: large }]);
  engine = await engineWithCards();
  const { host } = await ensureRegistry();
  ({ reference: image } = await ensureImage({ socketPath: engine.socketPath, host }, 'tiny'));
  front = await startEngineFront(join(temporaryFolder('front'), 'engine.sock'), engine.socketPath);
  wire = await openWire({
    ...{ engineSocket: engine.socketPath, before: async () => front.socketPath, withoutApp: true },
    allocation: { shape: { gpu_count: 2, cpu_cores: 400, memory_gib: 400 } },
    environment: { agent: { PATH: `${smi.folder}:${process.env['PATH']}` } },
  });
});
afterAll(async () => {
  await wire?.close();
  await front?.close();
  await engine?.stop();
});

/** A job of one op that says which card it got, and ends at SIGUSR1. */
async function submit(name: string, required_vram: number): Promise<string> {
  const cmd = 'trap "exit 0" USR1; echo $NVIDIA_VISIBLE_DEVICES; while :; do sleep 0.05; done';
  const op = { type: 'container/run', id: 'op', args: { image, cmd, gpu: true, required_vram } };
  const file = join(wire.folder, `${name}.json`);
  writeFileSync(file, JSON.stringify({ version: '0.1', type: 'container', ops: [op] }));
  const amounts = ['--cpus', '0.2', '--memory', '0.25'];
  const { stdout, stderr } = await wire.member.cli('jobs', 'submit', file, ...amounts, '--json').ended;
  expect(stderr).toBe('');
  return (JSON.parse(stdout) as JobView).id;
}

const job = async (id: string) => ok(await wire.member.call('GET', `/api/v1/jobs/${id}`)) as JobView;
const is = async (id: string, state: JobView['state']) =>
  await until(async () => (await job(id)).state === state, `${id} to be ${state}`);
/** Its op has said its line, and so listens. */
const speaks = async (id: string) =>
  await until(async () => {
    const { body } = await wire.member.call('GET', `/api/v1/jobs/${id}/logs`);
    return String(body).includes('event: entries');
  }, `${id} to speak`);
const end = async (id: string) =>
  await engineCall(engine.socketPath, 'POST', `/containers/${containerName(id, 'op')}/kill?signal=USR1`);
const said = async (id: string) => (await wire.member.cli('jobs', 'logs', id, '--step', 'op').ended).stdout.trim();

/** Who has which card, as the agent says it. */
async function holders(): Promise<Record<string, string | null>> {
  const { stdout } = await startNodeAgent(['gpus', '--json', '--config', wire.configFile]).ended;
  return Object.fromEntries((JSON.parse(stdout) as HostCards).gpus.map(({ uuid, held_by }) => [uuid, held_by]));
}

it('a card that was leased when the agent was killed is free again where the job is cancelled meanwhile', async () => {
  const held = front.hold('request', 'POST', /\/containers\/create\?name=[^&]+\.op$/);
  const id = await submit('leased', 40);
  await held;
  const leased = await holders();
  // The gate as well: its call of the engine would never end.
  await Promise.all([wire.agent.stop('SIGKILL'), wire.gate.stop('SIGKILL')]);
  expect((await wire.member.cli('jobs', 'cancel', id, '--no-wait').ended).code).toBe(0);
  await wire.gate.start();
  await wire.agent.start();
  await is(id, 'cancelled');

  expect(leased).toEqual({ [small]: null, [large]: id });
  expect(await holders()).toEqual({ [small]: null, [large]: null });
});

it('two jobs have the one card that is large enough one after the other, over a kill of the agent; a small one runs beside them', async () => {
  const rivals = await Promise.all(['one', 'other'].map((name) => submit(name, 40)));
  const isRunning = async (id: string) => (await job(id)).state === 'running';
  await until(async () => (await Promise.all(rivals.map(isRunning))).includes(true), 'one of them to run');
  const [first, second] = (await isRunning(rivals[0] ?? '')) ? rivals : rivals.toReversed();
  if (first === undefined || second === undefined) throw new Error('there are two');
  const beside = await submit('beside', 20);
  await Promise.all([first, beside].map(speaks));
  const waits = await job(second);
  const before = await holders();

  await wire.agent.stop('SIGKILL');
  await wire.agent.start();
  const after = await holders();
  await end(first);
  await speaks(second);
  await Promise.all([end(beside), end(second)]);
  await Promise.all([first, second, beside].map((id) => is(id, 'succeeded')));

  expect([waits.state, waits.reason]).toEqual(['queued', expect.stringMatching(/card|GPU/)]);
  expect(before).toEqual({ [small]: beside, [large]: first });
  expect(after).toEqual(before);
  expect(await Promise.all([first, second, beside].map(said))).toEqual([large, large, small]);
  expect(await holders()).toEqual({ [small]: null, [large]: null });
});
