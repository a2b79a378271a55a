/**
 * A training loop of a project, on two hosts under gVisor, that saves a file or a folder and is killed in every way there is, comes to
 * the result of one that nobody has disturbed (C-70 to C-72, C-76).
 */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { containerName } from '../../src/contract/names.ts';
import { systemClock } from '../../src/kit/clock.ts';
import type { ShownOutput } from '../../src/server/job-outputs/keep-outputs.ts';
import type { JobView } from '../../src/server/jobs/job-view.ts';
import { until } from '../support/daemon-ground.ts';
import { engineCall } from '../support/engine-call.ts';
import type { RawContainer } from '../support/looking.ts';
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
    outputs: [
      { name: 'file', path: 'ckpt/latest.json', type: 'checkpoint' },
      { name: 'folder', path: 'state', type: 'checkpoint' },
    ],
  },
};

/** Each attempt hears a word, and says that a checkpoint is torn, by a file in its scratch folder. A step depends on those before it alone. */
const train = `import json, os, random, shutil, time

scratch = os.environ["COMPUTALOT_TASK_SCRATCH_DIR"]
artifacts = os.environ["COMPUTALOT_ARTIFACT_DIR"]
asked = json.load(open(os.environ["COMPUTALOT_TASK_PAYLOAD"]))
is_folder = asked["saves"] == "folder"
place = os.path.join(artifacts, "state" if is_folder else "ckpt/latest.json")
truth = [0.5, -1.25, 2.0]
# Large, so that sending it takes a while.
table = random.Random(7).randbytes(2_500_000).hex()
step, weights, losses = 0, [0.0, 0.0, 0.0], []

def parts():
    model = [step, weights]
    if is_folder:
        return {"/model.json": model, "/more/losses.json": losses, "/more/table.json": table}
    return {"": [model, losses, table]}

def load():
    if is_folder:
        return [json.load(open(place + name)) for name in parts()]
    return json.load(open(place))

def write(to, in_pieces):
    for name, content in parts().items():
        os.makedirs(os.path.dirname(to + name), exist_ok=True)
        with open(to + name, "w") as out:
            for piece in in_pieces(json.dumps(content)):
                out.write(piece)
                out.flush()

def save():
    write(place + ".new", lambda text: [text])
    if is_folder:
        shutil.rmtree(place, ignore_errors=True)
    os.rename(place + ".new", place)

# As nobody should: into the checkpoint that is there, bit by bit.
def tear():
    def bits(text):
        for at in range(0, len(text), 1000):
            yield text[at : at + 1000]
            time.sleep(0.05)
            if at > 20_000:
                open(os.path.join(scratch, "torn"), "w").close()
    write(place, bits)

def is_told(word):
    return os.path.exists(os.path.join(scratch, word))

if os.path.exists(place):
    (step, weights), losses, kept = load()
    assert len(losses) == step and kept == table, "half of a checkpoint"
with open(os.path.join(artifacts, "begun.txt"), "w") as begun:
    begun.write(str(step))
saved = -asked["every"]
hurries = asked["hurry"]
while step < asked["steps"]:
    hurries = hurries or is_told("hurry")
    if not hurries:
        if is_told("tear"):
            tear()
        if is_told("save") and step > 0 and step - saved >= asked["every"]:
            save()
            saved = step
        time.sleep(0.05)
    draw = random.Random(step)
    x = [draw.uniform(-1, 1) for _ in truth]
    error = sum((w - t) * v for w, t, v in zip(weights, truth, x))
    weights = [w - 0.05 * error * v for w, v in zip(weights, x)]
    losses.append(error * error)
    step += 1
json.dump([weights, losses], open(os.path.join(artifacts, "result.json"), "w"))
`;

const folder = temporaryFolder('wire-training');
let ground: ProjectWire;
let wire: Wire;
let second: WireHost;
let revision: string;

beforeAll(async () => {
  const image = await taggedImage('python');
  ground = await openProjectWire(folder);
  wire = ground.wire;
  const files = {
    'computalot.project.json': JSON.stringify(manifest),
    Dockerfile: `FROM ${image}\nUSER 0\nCOPY . /workspace\n`,
    'train.py': train,
  };
  [second, revision] = await Promise.all([wire.addHost('second'), pushed(files)]);
});
afterAll(() => ground?.close());

/** Numbers from 0 to 1, the same ones for the same seed. */
function numbersOf(from: number): () => number {
  let state = from;
  return () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    return state / 0x7fffffff;
  };
}

async function pushed(files: Readonly<Record<string, string>>): Promise<string> {
  const at = join(folder, 'training');
  mkdirSync(at);
  for (const [file, content] of Object.entries(files)) writeFileSync(join(at, file), content);
  const { code, stdout, stderr } = await wire.member.cli('jobs', 'push', at, '--json').ended;
  expect({ code, stderr }).toMatchObject({ code: 0 });
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '').sha256;
}

async function submitted(saves: 'file' | 'folder', hurry = false): Promise<string> {
  const payload = { saves, hurry, steps: 8000, every: 100 };
  const options = { retries: 6, checkpointing: { resume_from_latest: true } };
  return ok(await wire.member.call('POST', '/api/v1/jobs', { revision, payload, options })).id;
}

const get = async (path: string) => ok(await wire.member.call('GET', `/api/v1/jobs/${path}`));
const jobOf = async (id: string): Promise<JobView> => await get(id);
const over = ['succeeded', 'failed', 'cancelled', 'expired'];

/** Asked less often than `until` does by itself: a control plane that answers all the time has no time for its agents. */
async function seen(condition: () => Promise<boolean>, what: string): Promise<void> {
  await until(async () => {
    const isSeen = await condition();
    if (!isSeen) await systemClock.pause(200);
    return isSeen;
  }, what);
}

async function ended(id: string): Promise<JobView> {
  await seen(async () => over.includes((await jobOf(id)).state), `${id} to end`);
  return await jobOf(id);
}

async function runsAttempt(id: string, attempt: number): Promise<void> {
  await seen(async () => {
    const job = await jobOf(id);
    if (over.includes(job.state)) throw new Error(`${id} is ${job.state}: ${JSON.stringify(job.failure)}`);
    const [step] = job.steps;
    // It counts as running from a moment before its start.
    return job.shown_attempt === attempt && step?.state === 'running' && step.started_at !== null;
  }, `attempt ${attempt} of ${id} to run`);
}

async function isKept(id: string, state: ShownOutput['state']): Promise<void> {
  await seen(async () => {
    const { items }: { items: ShownOutput[] } = await get(`${id}/artifacts`);
    return items.some((each) => each.kind === 'checkpoint' && each.state === state);
  }, `the checkpoint of ${id} to be ${state}`);
}

interface JobEvent {
  readonly type: string;
  readonly message: string;
  readonly data: { readonly type?: string; readonly node_id?: string; readonly resumed_from?: readonly object[] };
}

const eventsOf = async (id: string): Promise<JobEvent[]> => (await get(`${id}/events?limit=500`)).items;
/** What was said of each attempt when it was given to a host. */
const givenTo = async (id: string) => (await eventsOf(id)).filter(({ type }) => type === 'job.dispatched');

async function isSeenTorn(id: string): Promise<void> {
  const isSeen = async () => (await eventsOf(id)).some(({ data }) => data.type === 'output.unsettled');
  await seen(isSeen, `the checkpoint of ${id} to be looked at while it is written`);
}

/** On the host, a file of the scratch folder of the attempt that runs. */
async function scratchFile(id: string, name: string): Promise<string> {
  const path = `/containers/${containerName(id, 'task')}/json`;
  const { Mounts } = (await engineCall<RawContainer>(ground.engine.socketPath, 'GET', path)).body;
  return join(Mounts.find(({ Destination }) => Destination === '/computalot/scratch')?.Source ?? '', name);
}

async function tell(id: string, word: 'save' | 'tear' | 'hurry'): Promise<void> {
  writeFileSync(await scratchFile(id, word), '');
}

async function isTorn(id: string): Promise<void> {
  const file = await scratchFile(id, 'torn');
  await until(() => existsSync(file), `the checkpoint of ${id} to be torn`);
}

async function killContainer(id: string): Promise<void> {
  const path = `/containers/${containerName(id, 'task')}/kill`;
  expect((await engineCall(ground.engine.socketPath, 'POST', path)).status).toBe(204);
}

async function drain({ nodeId }: Pick<WireHost, 'nodeId'>, isDrained: boolean): Promise<void> {
  ok(await wire.admin.call('POST', `/api/v1/nodes/${nodeId}/drain`, { drain: isDrained }));
}

it(`a training loop that is killed at random, with its agent, within and after a save, ends as if nothing had been (seed ${seed})`, async () => {
  const random = numbersOf(seed);
  const somewhere = () => systemClock.pause(Math.floor(random() * 1500));
  await drain(second, true);
  const undisturbed = await submitted('file', true);
  const early = await submitted('file');
  const both = [await submitted('file'), await submitted('folder')];
  const ofBoth = (work: (id: string) => Promise<void>) => Promise.all(both.map(work));
  const killBoth = async () => {
    for (const id of both) {
      await somewhere();
      await killContainer(id);
    }
  };

  await runsAttempt(early, 1);
  await tell(early, 'tear');
  await isSeenTorn(early);
  await somewhere();
  await killContainer(early);

  await ofBoth((id) => runsAttempt(id, 1));
  wire.proxy.throttle(2 ** 17);
  await ofBoth((id) => tell(id, 'save'));
  await ofBoth((id) => isKept(id, 'pending'));
  await somewhere();
  wire.proxy.cut();
  wire.proxy.mend();
  await somewhere();
  await wire.agent.stop('SIGKILL');
  await ofBoth((id) => isKept(id, 'pending'));
  wire.proxy.throttle(undefined);
  await wire.agent.start();
  await ofBoth((id) => isKept(id, 'stored'));
  for (const id of both) expect((await jobOf(id)).state).toBe('running');
  await runsAttempt(early, 2);
  await tell(early, 'hurry');
  await killBoth();

  await ofBoth((id) => runsAttempt(id, 2));
  await ofBoth((id) => tell(id, 'tear'));
  await ofBoth(isTorn);
  const others = [await ended(undisturbed), await ended(early)];
  await drain(wire, true);
  await drain(second, false);
  await killBoth();

  await ofBoth((id) => runsAttempt(id, 3));
  await ofBoth((id) => tell(id, 'hurry'));
  const ends = [...others, ...(await Promise.all(both.map(ended)))];
  const result = await get(`${undisturbed}/artifacts/result`);
  const anew = (await givenTo(early)).at(-1);
  expect(ends).toMatchObject([1, 2, 3, 3].map((attempt) => ({ state: 'succeeded', attempt })));
  expect(anew).toMatchObject({ message: expect.stringContaining('begins anew'), data: { resumed_from: [] } });
  expect(await get(`${early}/artifacts/result`)).toBe(result);
  for (const [index, name] of ['file', 'folder'].entries()) {
    const id = both[index] ?? '';
    const given = (await givenTo(id)).map(({ data }) => data);
    expect(given.map(({ node_id }) => node_id)).toEqual([wire.nodeId, wire.nodeId, second.nodeId]);
    expect(given.map(({ resumed_from }) => resumed_from)).toMatchObject([[], [{ name }], [{ name }]]);
    // What was torn was not kept.
    expect(given[2]?.resumed_from).toEqual(given[1]?.resumed_from);
    expect(Number(await get(`${id}/artifacts/begun`))).toBeGreaterThan(0);
    expect(await get(`${id}/artifacts/result`)).toBe(result);
  }
}, 600_000);
