/** A project from its files to its output: built by a host, run under gVisor, with a card as well, and not built again. */
import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { GVISOR_RUNTIME } from '../../bootstrap/dev/gvisor.ts';
import { type PrivateEngine, startPrivateEngine } from '../../bootstrap/dev/private-engine.ts';
import { buildWheel } from '../../bootstrap/dev/python-index.ts';
import { controlPlaneOrigin } from '../../src/agent/control-plane/origin.ts';
import { revisionSource } from '../../src/agent/control-plane/revision-source.ts';
import type { JobTaskOutput } from '../../src/contract/job-output.ts';
import type { JobPlan } from '../../src/contract/job-plan.ts';
import type { OutputDestination } from '../../src/jobs/outputs/hand-over.ts';
import { openFolder } from '../../src/kit/tarball/open-folder.ts';
import { canonicalTar, writePacked } from '../../src/kit/tarball/write-tar.ts';
import { needsOf } from '../../src/manifests/computalot/requirements.ts';
import { readJob } from '../../src/manifests/job-dialects.ts';
import { judgeFiles } from '../../src/server/revisions/judge-files.ts';
import { engineCall } from '../support/engine-call.ts';
import { type GvisorWithCards, gvisorWithCards } from '../support/gvisor-with-cards.ts';
import { type Hub, hubServer } from '../support/hub-server.ts';
import { bytesAsked, contentOf, type LoopbackSource, loopbackSource, sendContent } from '../support/loopback-source.ts';
import { leftOf } from '../support/nosana-ground.ts';
import { contentsBelow, privatePart, secretsIn } from '../support/secrets.ts';
import { openTestHost, type TestHost } from '../support/test-host.ts';

const manifest = {
  version: 1,
  build: { args: { WHAT: 'squares' } },
  runtime: {
    ...{ kind: 'oci', sandbox: 'gvisor', workdir: '/workspace' },
    init: { commands: [{ command: ['python', 'prepare.py'], env: { UPTO: '10' } }] },
  },
  validation: { executables: ['python'], files: ['job.py', '/workspace/table.json'] },
  entrypoint: { command: ['python', 'job.py'] },
  artifacts: { upload: [{ name: 'sum', path: 'sum.json', required: true }] },
};

/** The same project with data of a hub; its task looks at them, and fetches something itself. */
const ownDownload = 'what the task has fetched itself';
const look = `import json, os
def text(file):
    try:
        return open(file).read()
    except OSError:
        return None
def write(file, said):
    try:
        open(file, "w").write(said)
        return True
    except OSError:
        return False
own = os.environ["TMPDIR"] + "/own.bin"
said = {"before": text(own), "weights": text("/models/tiny/model.bin"), "config": text("/models/tiny/config.json")}
said["writes"] = [write("/models/tiny/new", "x"), write("/models/tiny/config.json", "x"), write(own, ${JSON.stringify(ownDownload)})]
json.dump(said, open(os.environ["COMPUTALOT_ARTIFACT_DIR"] + "/sum.json", "w"))
`;
const withData = (required: boolean) => ({
  ...manifest,
  entrypoint: { command: ['python', '-c', look] },
  data_sources: [
    { name: 'tiny', source: 'huggingface', uri: 'hf://acme/tiny', delivery: 'mount', path: '/models/tiny' },
    { name: 'none', source: 'huggingface', uri: 'hf://acme/none', path: '/models/none', required },
  ],
});

/** What `docs/projects.md` says that installs wheels in a build. */
const install = /RUN python -m pip install [^`]+/.exec(
  readFileSync(resolve(import.meta.dirname, '../../docs/projects.md'), 'utf8'),
)?.[0];
const wheel = buildWheel('squares', '1.4', {
  modules: { 'squares.py': 'def below(end):\n    return [n * n for n in range(end)]\n' },
});

const files = {
  'computalot.project.json': JSON.stringify(manifest),
  Dockerfile: `# syntax comes last
FROM python:3.13
ARG WHAT
ENV TABLE_OF=$WHAT
USER 0
COPY . /workspace
${install}
RUN mkdir -p /caches/seeded /caches/hidden && echo baked | tee /caches/seeded/baked > /caches/hidden/baked
`,
  'requirements.txt': 'squares==1.4\n',
  [`wheels/${wheel.filename}`]: wheel.content,
  '.dockerignore': '*.secret\n**/notes\n!deep/notes/kept\n',
  'own.secret': 'nobody sees it',
  'deep/notes/kept': 'seen',
  'deep/notes/other': 'not seen',
  'prepare.py': `import json, os, squares
json.dump(squares.below(int(os.environ["UPTO"])), open("table.json", "w"))
`,
  'job.py': `import json, os, platform
from importlib.metadata import version
def writes(folder):
    try:
        open(os.path.join(folder, "new"), "w").close()
        return True
    except OSError:
        return False
e = os.environ
payload = json.load(open(e["COMPUTALOT_TASK_PAYLOAD"]))
said = {
    "kernel": platform.release(), "table": e["TABLE_OF"], "init": "UPTO" in e, "cwd": os.getcwd(),
    "squares": version("squares"), "sum": sum(json.load(open("table.json"))) * payload["times"],
    "writes": [writes(f) for f in ("/", ".", e["TMPDIR"], e["COMPUTALOT_TASK_SCRATCH_DIR"], e["COMPUTALOT_ARTIFACT_DIR"])],
    "files": sorted(os.path.join(at, f)[2:] for at, _, there in os.walk(".") for f in there),
    "services": e["COMPUTALOT_RUNTIME_SERVICES_JSON"],
}
json.dump(said, open(os.path.join(e["COMPUTALOT_ARTIFACT_DIR"], "sum.json"), "w"))
`,
};

/** What was handed over, by its sha256. */
const handed = new Map<string, Buffer>();
const destination: OutputDestination = {
  offer: async () => ({ received: 0, complete: false, refused: null }),
  send: async ({ sha256, bytes, offset }) => {
    handed.set(sha256, Buffer.concat([handed.get(sha256)?.subarray(0, offset) ?? Buffer.alloc(0), bytes]));
    return { received: offset + bytes.length, complete: true, refused: null };
  },
};

const cards = ['GPU-0a', 'GPU-1b'];
const secret = () => randomBytes(24).toString('hex');
/** What agent, gate and engine have beside what a build is given. */
const known = { bearer: secret(), login: secret(), environment: secret() };
const weights = contentOf('weights of the hub');
let dir: string;
let hub: Hub;
let gvisor: GvisorWithCards;
let engine: PrivateEngine;
let server: LoopbackSource;
let host: TestHost;
let tar: Buffer;
let base: string;
/** How often the login for a registry was asked for. */
let handedOut = 0;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'project-run-'));
  const folder = join(dir, 'project');
  mkdirSync(folder);
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), content);
  }
  await writePacked(canonicalTar(await openFolder(folder)), join(dir, 'revision.tar'));
  tar = readFileSync(join(dir, 'revision.tar'));
  server = await loopbackSource((request, response) => sendContent(request, response, contentOf(tar)));
  hub = await hubServer([
    {
      ...{ repo: 'acme/tiny', commit: 'c'.repeat(40) },
      ...{ large: { 'model.bin': weights }, small: { 'config.json': '{}' } },
    },
  ]);
  gvisor = await gvisorWithCards(dir, cards);
  vi.stubEnv('PATH', `${gvisor.path}:${process.env['PATH']}`);
  vi.stubEnv('SECRET_OF_THE_HOST', known.environment);
  engine = await startPrivateEngine(dir, {
    ...gvisor.engine,
    env: { ...gvisor.engine.env, SECRET_OF_THE_HOST: known.environment },
  });
  host = await openTestHost({
    ...{ engineSocket: engine.socketPath, outputs: destination },
    inputs: {
      allow: [hub, hub.network].map(({ origin }) => new URL(origin).host),
      endpoints: { huggingface: hub.origin },
    },
    revisions: revisionSource(controlPlaneOrigin(server.origin), () => known.bearer),
    pullCredential: async () => {
      handedOut += 1;
      return { username: 'puller', password: known.login };
    },
    policy: {
      ...{ sandboxes: { runc: 'runc', gvisor: GVISOR_RUNTIME }, gvisor_cards: true },
      builds: { cpu_cores: 1, memory_gib: 1, context_gib: 0.1 },
    },
  });
  base = await host.image('python');
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await host?.close();
  await engine?.stop();
  server?.close();
  rmSync(dir, { recursive: true, force: true });
});

interface Document {
  readonly [field: string]: unknown;
  readonly requirements?: { readonly gpu_count: number };
}

function planOf(jobId: string, document: Document): JobPlan {
  const read = readJob('computalot', document);
  if (!read.ok) throw new Error(JSON.stringify(read.errors));
  const { gpu_count } = needsOf(document.requirements ?? {});
  const { plan } = read.plan({
    identity: {
      ...{ project_id: 'project-1', job_id: jobId, allocation_id: host.policy.allocation.id, display_name: 'sums' },
      ...{ dialect: 'computalot', document_sha256: '0'.repeat(64) },
    },
    ...{ sandbox: 'gvisor', resources: { gpu_count, cpu_cores: 0.5, memory_gib: 0.25 }, on_failure: 'stop' },
    ...{ deadline_seconds: 300, keep: false, pins: {} },
    build: {
      ...{ revision_sha256: createHash('sha256').update(tar).digest('hex'), revision_bytes: tar.length },
      ...{ bases: { 'python:3.13': base }, payload: '{"times":2}' },
    },
  });
  return plan;
}

async function run(jobId: string, document: Document = manifest) {
  const events: string[] = [];
  const plan = planOf(jobId, document);
  const result = await host.run('workload.job_launch', plan, {
    onEvent: ({ type, message }) => void events.push(`${type} ${message}`),
  });
  const { report, outputs: kept = [] } = (result.output ?? {}) as Partial<JobTaskOutput>;
  const said = () => JSON.parse(String(handed.get(kept.find(({ name }) => name === 'sum')?.sha256 ?? '')));
  const at = (word: string) => events.filter((event) => event.includes(word)).length;
  return {
    failure: result.failure,
    report,
    kept,
    said,
    events,
    asked: server.asked.length,
    steps: at(': step '),
    pulls: at(' layers'),
  };
}

it('a project is one that a push takes', async () => {
  const tarball = await openFolder(join(dir, 'project'));

  expect(await judgeFiles(tarball, manifest)).toMatchObject({ errors: [], bases: ['python:3.13'] });
  expect((await judgeFiles(tarball, withData(true))).errors).toEqual([]);
});

it('a project is built once, runs under gVisor with a read-only root, and what it made is kept (C-4, C-25, C-72, C-78 to C-80)', async () => {
  const first = await run('project-first');

  expect(first.failure).toBeNull();
  expect(first.report).toMatchObject({
    checks: [{ state: 'passed' }, { state: 'passed' }, { state: 'passed' }],
    steps: [{ id: 'task', state: 'succeeded' }],
  });
  expect(first.kept.map(({ name, file_name }) => [name, file_name])).toEqual([
    ...[
      ['build.log', 'build.log.ndjson'],
      ['sum', 'sum.json'],
      ['task.log', 'task.log.ndjson'],
    ],
  ]);
  expect(first.said()).toEqual({
    ...{ kernel: '4.4.0', table: 'squares', init: false, cwd: '/workspace', squares: '1.4', sum: 570, services: '[]' },
    writes: [false, false, true, true, true],
    files: [
      ...['Dockerfile', 'computalot.project.json', 'deep/notes/kept', 'job.py', 'prepare.py', 'requirements.txt'],
      ...['table.json', `wheels/${wheel.filename}`],
    ],
  });
  expect(first.steps).toBeGreaterThan(0);

  const second = await run('project-second');

  expect(second.failure).toBeNull();
  expect([second.asked, second.steps, second.pulls]).toEqual([first.asked, 0, 0]);
  expect([await leftOf(host, 'project-first'), await leftOf(host, 'project-second')]).toEqual([[], []]);
}, 240_000);

it('its task has the card that it asks for, by its id, of an engine that starts gVisor with nvproxy for it (C-40)', async () => {
  const before = gvisor.created();

  const { failure, report, steps } = await run('project-card', { ...manifest, requirements: { gpu_count: 1 } });

  expect([failure, report?.steps, steps]).toMatchObject([null, [{ id: 'task', state: 'succeeded' }], 0]);
  const earlier = new Set(before.map(({ id }) => id));
  expect(gvisor.created().filter(({ id }) => !earlier.has(id))).toEqual([
    {
      ...{ id: expect.anything(), args: expect.arrayContaining(['--network=host', '--nvproxy', 'create']) },
      env: expect.arrayContaining([`NVIDIA_VISIBLE_DEVICES=${cards[0]}`, 'NVIDIA_DRIVER_CAPABILITIES=compute,utility']),
      prestart: expect.arrayContaining([`${gvisor.path}/nvidia-container-runtime-hook`]),
    },
  ]);
  expect(before.flatMap(({ env }) => env.filter((entry) => entry.includes('GPU-')))).toEqual([]);
}, 240_000);

it('its data are there before its task, read-only, out of the folder of the host; what a task fetches itself is gone with it (C-59, C-63, C-66 to C-69, C-73, C-79)', async () => {
  const atOnce = ['data-first', 'data-second'].map((id) => run(id, withData(false)));

  for (const { failure, said, events } of await Promise.all(atOnce)) {
    expect(failure).toBeNull();
    expect(said()).toEqual({
      ...{ before: null, weights: 'weights of the hub', config: '{}' },
      writes: [false, false, true],
    });
    expect(events.filter((event) => event.startsWith('input.left_out'))).toHaveLength(1);
  }
  const onHost = [...contentsBelow(host.policy.inputs.dir)].map(([, content]) => String(content));
  expect(onHost.filter((content) => content.includes('weights of the hub'))).not.toEqual([]);
  expect(onHost.filter((content) => content.includes(ownDownload))).toEqual([]);
  // Both have opened it to write it anew.
  expect(onHost).toContain('{}');

  const lacking = await run('data-required', withData(true));

  expect(lacking.failure?.code).toBe('input.refused');
  expect(lacking.report?.steps).toMatchObject([{ id: 'task', started_at: null }]);
  // Once for all of them.
  expect(bytesAsked(hub.network.asked, weights.size)).toBe(weights.size);
}, 240_000);

/** Says what its caches have, and leaves a file in each in the place of that. */
const fill = `import json, os
folders = {name: os.environ[f"COMPUTALOT_CACHE_{name.upper()}_DIR"] for name in ("seeded", "hidden", "small")}
json.dump({name: os.listdir(at) for name, at in folders.items()}, open(os.environ["COMPUTALOT_ARTIFACT_DIR"] + "/sum.json", "w"))
for at in folders.values():
    for name in os.listdir(at):
        os.remove(os.path.join(at, name))
    open(os.path.join(at, "own"), "w").write("x" * 200)
`;

it('its caches hide what the image has, but for one that begins with it, once; one that held too much begins empty (C-50, C-52, C-54 to C-57)', async () => {
  const cache = (name: string, over: object) => ({ name, scope: 'project_digest', path: `/caches/${name}`, ...over });
  const document = {
    ...manifest,
    entrypoint: { command: ['python', '-c', fill] },
    cache_mounts: [cache('seeded', { seed_from_image: true }), cache('hidden', {}), cache('small', { max_bytes: 100 })],
  };
  const ofCaches = ({ events }: { events: readonly string[] }) =>
    events.flatMap((event) => event.match(/^cache\.\w+ \w+/) ?? []);

  const first = await run('caches-first', document);
  const second = await run('caches-second', document);

  expect([first.failure, second.failure]).toEqual([null, null]);
  expect([first.said(), ofCaches(first)]).toEqual([
    { seeded: ['baked'], hidden: [], small: [] },
    ['cache.over_limit small'],
  ]);
  expect([second.said(), ofCaches(second)]).toEqual([
    { seeded: ['own'], hidden: ['own'], small: [] },
    ['cache.emptied small', 'cache.over_limit small'],
  ]);
}, 240_000);

it('its task has failed, with its name, where it has ended well without what is required of it; the rest is kept (C-75)', async () => {
  const upload = [
    { name: 'lacking', path: 'deep/lacking.json', required: true },
    { name: 'optional', path: 'optional.json' },
    { name: 'sum', path: 'sum.json', required: true },
  ];
  const command = [
    'python',
    '-c',
    'import os; open(os.environ["COMPUTALOT_ARTIFACT_DIR"] + "/sum.json", "w").write("{}")',
  ];

  const { failure, report, kept, events } = await run('outputs-lacking', {
    ...{ ...manifest, artifacts: { upload }, entrypoint: { command } },
  });

  expect(failure).toMatchObject({
    ...{ code: 'output.missing', message: expect.stringContaining('lacking') },
    detail: { output: 'lacking', path: 'deep/lacking.json' },
  });
  expect(report).toMatchObject({ state: 'failed', steps: [{ id: 'task', state: 'succeeded', exit_code: 0 }] });
  expect(kept.map(({ name }) => name)).toEqual(['sum', 'task.log']);
  expect(events.filter((event) => event.startsWith('output.missing'))).toEqual([
    'output.missing optional does not exist, and is not required.',
  ]);
}, 240_000);

interface ImageTold {
  readonly GraphDriver: { readonly Data: { readonly UpperDir?: string; readonly LowerDir?: string } };
}

// Of the image that the first of these tests has built.
it('its image has nothing that the host knows and did not give it: in its layers, its configuration and its history', async () => {
  const secrets = { ...known, 'key of the node': privatePart(join(host.folder, 'state/identity')) };
  const [{ image_id: built } = { image_id: '' }] = (await host.engine.builds(AbortSignal.timeout(60_000))).images;
  const tell = async (image: string, what: string) =>
    (await engineCall<ImageTold>(engine.socketPath, 'GET', `/images/${image}/${what}`)).body;
  const layersOf = async (image: string) => {
    const { UpperDir = '', LowerDir = '' } = (await tell(image, 'json')).GraphDriver.Data;
    return [UpperDir, ...LowerDir.split(':')];
  };

  const told = JSON.stringify([await tell(built, 'json'), await tell(built, 'history')]);
  const ofBase = await layersOf(base);
  const layers = (await layersOf(built)).filter((layer) => !ofBase.includes(layer));
  const files = layers.flatMap((layer) => [...contentsBelow(layer)]);

  expect(server.asked.map(({ authorization }) => authorization)).toEqual([`Bearer ${known.bearer}`]);
  expect(handedOut).toBeGreaterThan(0);
  expect(told).toContain('pip install --no-index');
  expect(secretsIn(told, secrets)).toEqual([]);
  expect(files.map(([file, content]) => [basename(file), String(content)])).toContainEqual(['baked', 'baked\n']);
  expect(files.filter(([, content]) => secretsIn(content, secrets).length > 0).map(([file]) => file)).toEqual([]);
}, 240_000);

it.each([
  ['root', 'import os'],
  ['somebody else', 'import os; os.setuid(1000)'],
])(
  'a task that saves beside its code as %s has failed, and is told where it can write (C-81)',
  async (user, first) => {
    const entrypoint = { command: ['python', '-c', `${first}; os.makedirs("checkpoints")`] };

    const { failure } = await run(`project-beside-${user.length}`, { ...manifest, entrypoint });

    expect(failure).toMatchObject({
      code: 'step.failed',
      detail: { exit_code: 1, advice: expect.stringContaining('/computalot/artifacts ($COMPUTALOT_ARTIFACT_DIR)') },
    });
  },
  240_000,
);
