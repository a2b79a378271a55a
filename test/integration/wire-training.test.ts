/**
 * A training loop of a project that is killed in every way there is, on two hosts under gVisor, and comes to the result of one that
 * nobody has disturbed (C-70 to C-72, C-76).
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { containerName } from '../../src/contract/names.ts';
import { systemClock } from '../../src/kit/clock.ts';
import type { JobView } from '../../src/server/jobs/job-view.ts';
import { until } from '../support/daemon-ground.ts';
import { engineCall } from '../support/engine-call.ts';
import { openProjectWire, type ProjectWire } from '../support/project-wire.ts';
import { taggedImage } from '../support/tagged-image.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { ok, type Wire } from '../support/wire-ground.ts';
import type { WireHost } from '../support/wire-host.ts';

/** Of one run; the same moments come again with this in the environment. */
const seed = Number(process.env['TRAINING_SEED'] ?? Math.floor(Math.random() * 2 ** 31));

const manifest = {
  version: 1,
  runtime: { kind: 'oci', sandbox: 'gvisor', workdir: '/workspace' },
  entrypoint: { command: ['python', 'train.py'] },
  requirements: { cpu: 0.3, memory_mb: 256 },
  artifacts: {
    upload: [
      { name: 'result', path: 'result.json', required: true },
      { name: 'begun', path: 'begun.txt' },
    ],
    outputs: [{ name: 'checkpoint', path: 'ckpt/latest.json', type: 'checkpoint' }],
  },
};

const train = `import json, os, random, time

folder = os.environ["COMPUTALOT_ARTIFACT_DIR"]
latest = os.path.join(folder, "ckpt", "latest.json")
asked = json.load(open(os.environ["COMPUTALOT_TASK_PAYLOAD"]))
truth = [0.5, -1.25, 2.0]
state = {"step": 0, "weights": [0.0, 0.0, 0.0], "losses": []}
if os.path.exists(latest):
    state = json.load(open(latest))
with open(os.path.join(folder, "begun.txt"), "w") as begun:
    begun.write(str(state["step"]))
print("begins at", state["step"], flush=True)

def save():
    os.makedirs(os.path.dirname(latest), exist_ok=True)
    with open(latest + ".new", "w") as new:
        json.dump(state, new)
        new.flush()
        os.fsync(new.fileno())
    os.replace(latest + ".new", latest)

while state["step"] < asked["steps"]:
    if state["step"] > 0 and state["step"] % asked["every"] == 0:
        save()
    draw = random.Random(state["step"])
    x = [draw.uniform(-1, 1) for _ in truth]
    error = sum((w - t) * v for w, t, v in zip(state["weights"], truth, x))
    state["weights"] = [w - 0.05 * error * v for w, v in zip(state["weights"], x)]
    state["losses"].append(error * error)
    state["step"] += 1
    time.sleep(asked["pace"])
json.dump(state, open(os.path.join(folder, "result.json"), "w"))
`;

/** Writes a checkpoint for as long as it runs, as nobody should: into the file itself, bit by bit. */
const torn = `import os, time
folder = os.path.join(os.environ["COMPUTALOT_ARTIFACT_DIR"], "ckpt")
os.makedirs(folder)
with open(os.path.join(folder, "latest.json"), "w") as latest:
    while True:
        latest.write("half of a checkpoint, ")
        latest.flush()
        print("wrote", flush=True)
        time.sleep(0.2)
`;

const folder = temporaryFolder('wire-training');
let ground: ProjectWire;
let wire: Wire;
let second: WireHost;
let image: string;

beforeAll(async () => {
  image = await taggedImage('python');
  ground = await openProjectWire(folder);
  wire = ground.wire;
}, 240_000);
afterAll(() => ground?.close());

/** Numbers from 0 to 1, the same ones for the same seed. */
function numbersOf(from: number): () => number {
  let state = from;
  return () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    return state / 0x7fffffff;
  };
}

async function run(...args: readonly string[]) {
  const { code, stdout, stderr } = await wire.member.cli('jobs', ...args).ended;
  return { code, stdout, stderr, last: stdout.trim().split('\n').at(-1) ?? '' };
}

async function pushed(name: string, files: Readonly<Record<string, string>>): Promise<string> {
  const at = join(folder, name);
  mkdirSync(at);
  const Dockerfile = `FROM ${image}\nUSER 0\nCOPY . /workspace\n`;
  const all = { 'computalot.project.json': JSON.stringify(manifest), Dockerfile, ...files };
  for (const [file, content] of Object.entries(all)) writeFileSync(join(at, file), content);
  const { code, last, stderr } = await run('push', at, '--json');
  expect({ code, stderr }).toMatchObject({ code: 0 });
  return JSON.parse(last).sha256;
}

async function submitted(revision: string, payload: object, options: object): Promise<string> {
  const body = { revision, payload, options };
  return ok(await wire.member.call('POST', '/api/v1/jobs', body)).id;
}

const jobOf = async (id: string): Promise<JobView> => ok(await wire.member.call('GET', `/api/v1/jobs/${id}`));
const states = { over: ['succeeded', 'failed', 'cancelled', 'expired'] };

async function ended(id: string): Promise<JobView> {
  await until(async () => states.over.includes((await jobOf(id)).state), `${id} to end`, 400);
  return await jobOf(id);
}

async function outputsOf(id: string): Promise<{ name: string; state: string; sha256: string }[]> {
  return ok(await wire.member.call('GET', `/api/v1/jobs/${id}/artifacts`)).items;
}

async function fetched(id: string, name: string): Promise<string> {
  const to = join(folder, `${id}-${name}`);
  expect(await run('artifacts', id, name, '--output', to)).toMatchObject({ code: 0 });
  return readFileSync(to, 'utf8');
}

const isStored = async (id: string, name: string) =>
  (await outputsOf(id)).some((each) => each.name === name && each.state === 'stored');

/** Where its attempts were begun, in order, and what they went on from. */
async function givenTo(id: string): Promise<{ node_id: string; resumed_from: readonly object[] }[]> {
  const { items } = ok(await wire.member.call('GET', `/api/v1/jobs/${id}/events?limit=500`));
  return items
    .filter(({ type }: { type: string }) => type === 'job.dispatched')
    .map(({ data }: { data: object }) => data)
    .sort((a: { attempt: number }, b: { attempt: number }) => a.attempt - b.attempt);
}

async function runsAttempt(id: string, attempt: number): Promise<void> {
  await until(async () => {
    const job = await jobOf(id);
    if (states.over.includes(job.state)) throw new Error(`${id} is ${job.state}: ${JSON.stringify(job.failure)}`);
    return job.shown_attempt === attempt && job.steps[0]?.state === 'running';
  }, `attempt ${attempt} of ${id} to run`);
}

async function killContainer(id: string): Promise<void> {
  const path = `/containers/${containerName(id, 'task')}/kill`;
  expect((await engineCall(ground.engine.socketPath, 'POST', path)).status).toBe(204);
}

it(`a training loop that is killed at random, with its agent, and begun again elsewhere ends as if nothing had been (seed ${seed})`, async () => {
  second = await wire.addHost('second');
  const random = numbersOf(seed);
  const somewhere = () => systemClock.pause(Math.floor(random() * 6000));
  const revision = await pushed('training', { 'train.py': train });
  const first = [wire.nodeId, second.nodeId];
  const drain = async (nodeId: string, isDrained: boolean) =>
    ok(await wire.admin.call('POST', `/api/v1/nodes/${nodeId}/drain`, { drain: isDrained }));
  await drain(second.nodeId, true);

  const options = { retries: 6, checkpointing: { resume_from_latest: true } };
  const id = await submitted(revision, { steps: 1800, every: 80, pace: 0.05 }, options);
  await runsAttempt(id, 1);
  await until(() => isStored(id, 'checkpoint'), 'a checkpoint to be here while its job runs');
  expect((await jobOf(id)).state).toBe('running');
  await somewhere();
  await killContainer(id);

  await runsAttempt(id, 2);
  await somewhere();
  await wire.agent.stop('SIGKILL');
  await wire.agent.start();
  await somewhere();
  await drain(wire.nodeId, true);
  await drain(second.nodeId, false);
  await killContainer(id);

  await runsAttempt(id, 3);
  const job = await ended(id);
  const attempts = await givenTo(id);
  const undisturbed = await submitted(revision, { steps: 1800, every: 80, pace: 0 }, {});
  expect(await ended(undisturbed)).toMatchObject({ state: 'succeeded' });

  expect(job).toMatchObject({ state: 'succeeded', attempt: 3 });
  expect(attempts.map(({ node_id }) => node_id)).toEqual([first[0], first[0], first[1]]);
  expect(attempts.map(({ resumed_from: from }) => from.length)).toEqual([0, 1, 1]);
  expect(Number(await fetched(id, 'begun'))).toBeGreaterThan(0);
  expect(await fetched(id, 'result')).toBe(await fetched(undisturbed, 'result'));
  await drain(wire.nodeId, false);
}, 600_000);

it('a checkpoint that is being written is never kept, while its program runs and where it was killed (C-71)', async () => {
  const revision = await pushed('torn', { 'train.py': torn });
  const id = await submitted(revision, {}, {});
  await runsAttempt(id, 1);
  await until(async () => (await run('logs', id)).stdout.split('\n').length > 40, 'it to write for a while');

  await killContainer(id);

  expect(await ended(id)).toMatchObject({ state: 'failed', failure: { code: 'step.failed' } });
  expect((await outputsOf(id)).map(({ name }) => name).sort()).toEqual(['build.log', 'task.log']);
  const { items } = ok(await wire.member.call('GET', `/api/v1/jobs/${id}/events?limit=500`));
  expect(JSON.stringify(items)).toContain('output.unsettled');
}, 300_000);
