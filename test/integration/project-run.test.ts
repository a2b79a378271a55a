/** A project from its files to its output: built by a host, run under gVisor, with a card as well, and not built again. */
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { GVISOR_RUNTIME } from '../../bootstrap/dev/gvisor.ts';
import { type PrivateEngine, startPrivateEngine } from '../../bootstrap/dev/private-engine.ts';
import { controlPlaneOrigin } from '../../src/agent/control-plane/origin.ts';
import { revisionSource } from '../../src/agent/control-plane/revision-source.ts';
import type { JobTaskOutput } from '../../src/contract/job-output.ts';
import type { JobPlan } from '../../src/contract/job-plan.ts';
import type { OutputDestination } from '../../src/jobs/outputs/hand-over.ts';
import { openFolder } from '../../src/kit/tarball/open-folder.ts';
import { canonicalTar, writePacked } from '../../src/kit/tarball/write-tar.ts';
import { needsOf } from '../../src/manifests/computalot/requirements.ts';
import { readJob } from '../../src/manifests/job-dialects.ts';
import { type GvisorWithCards, gvisorWithCards } from '../support/gvisor-with-cards.ts';
import { hubServer } from '../support/hub-server.ts';
import { contentOf, type LoopbackSource, loopbackSource, sendContent } from '../support/loopback-source.ts';
import { leftOf } from '../support/nosana-ground.ts';
import { contentsBelow } from '../support/secrets.ts';
import { openTestHost, type TestHost } from '../support/test-host.ts';

const manifest = {
  version: 1,
  build: { args: { WHAT: 'squares' } },
  runtime: {
    ...{ kind: 'oci', sandbox: 'gvisor', workdir: '/workspace' },
    init: { commands: [{ command: ['python', 'prepare.py'], env: { UPTO: '10' } }] },
  },
  validation: { executables: ['python'], files: ['job.py', 'table.json'] },
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

const files = {
  'computalot.project.json': JSON.stringify(manifest),
  Dockerfile: `# syntax comes last
FROM python:3.13
ARG WHAT
ENV TABLE_OF=$WHAT
USER 0
COPY . /workspace
`,
  '.dockerignore': '*.secret\n**/notes\n!deep/notes/kept\n',
  'own.secret': 'nobody sees it',
  'deep/notes/kept': 'seen',
  'deep/notes/other': 'not seen',
  'prepare.py': `import json, os
json.dump([n * n for n in range(int(os.environ["UPTO"]))], open("table.json", "w"))
`,
  'job.py': `import json, os, platform
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
    "sum": sum(json.load(open("table.json"))) * payload["times"],
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
let dir: string;
let gvisor: GvisorWithCards;
let engine: PrivateEngine;
let server: LoopbackSource;
let host: TestHost;
let tar: Buffer;
let base: string;

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
  const hub = await hubServer([
    {
      ...{ repo: 'acme/tiny', commit: 'c'.repeat(40) },
      ...{ large: { 'model.bin': contentOf('weights of the hub') }, small: { 'config.json': '{}' } },
    },
  ]);
  gvisor = await gvisorWithCards(dir, cards);
  vi.stubEnv('PATH', `${gvisor.path}:${process.env['PATH']}`);
  engine = await startPrivateEngine(dir, gvisor.engine);
  host = await openTestHost({
    ...{ engineSocket: engine.socketPath, outputs: destination },
    inputs: {
      allow: [hub, hub.network].map(({ origin }) => new URL(origin).host),
      endpoints: { huggingface: hub.origin },
    },
    revisions: revisionSource(controlPlaneOrigin(server.origin), () => 'bearer'),
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
  const at = (word: string) => events.filter((event) => event.includes(word)).length;
  return {
    failure: result.failure,
    report,
    kept,
    events,
    asked: server.asked.length,
    steps: at(': step '),
    pulls: at(' layers'),
  };
}

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
  const bytesOf = (output: string) => handed.get(first.kept.find(({ name }) => name === output)?.sha256 ?? '');
  const said = JSON.parse(String(bytesOf('sum')));
  expect(said).toEqual({
    ...{ kernel: '4.4.0', table: 'squares', init: false, cwd: '/workspace', sum: 570, services: '[]' },
    writes: [false, false, true, true, true],
    files: ['Dockerfile', 'computalot.project.json', 'deep/notes/kept', 'job.py', 'prepare.py', 'table.json'],
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
  for (const id of ['data-first', 'data-second']) {
    const { failure, kept, events } = await run(id, withData(false));

    expect(failure).toBeNull();
    expect(JSON.parse(String(handed.get(kept[0]?.sha256 ?? '')))).toEqual({
      ...{ before: null, weights: 'weights of the hub', config: '{}' },
      writes: [false, false, true],
    });
    expect(events.filter((event) => event.startsWith('input.left_out'))).toHaveLength(1);
  }
  const onHost = [...contentsBelow(host.policy.inputs.dir)].map(([, content]) => String(content));
  expect(onHost.filter((content) => content.includes('weights of the hub'))).not.toEqual([]);
  expect(onHost.filter((content) => content.includes(ownDownload))).toEqual([]);

  const lacking = await run('data-required', withData(true));

  expect(lacking.failure?.code).toBe('input.refused');
  expect(lacking.report?.steps).toMatchObject([{ id: 'task', started_at: null }]);
}, 240_000);

it('a task that saves beside its code has failed, and is told where it can write (C-81)', async () => {
  const entrypoint = { command: ['python', '-c', 'import os; os.makedirs("checkpoints")'] };

  const { failure } = await run('project-beside', { ...manifest, entrypoint });

  expect(failure).toMatchObject({
    code: 'step.failed',
    detail: { exit_code: 1, advice: expect.stringContaining('/computalot/artifacts ($COMPUTALOT_ARTIFACT_DIR)') },
  });
}, 240_000);
