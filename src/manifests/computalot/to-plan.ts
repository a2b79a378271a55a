/**
 * A project manifest as a plan: one job is one task, whose entrypoint is its only step. Pure. docs/dialects/computalot.md has the
 * table of what each field becomes.
 */
import type { BuildImage } from '../../contract/job-build.ts';
import type { JobInput } from '../../contract/job-inputs.ts';
import type { JobPlan, JobStep } from '../../contract/job-plan.ts';
import type { Reference } from '../../contract/job-values.ts';
import { type PlanPart, planParts } from '../../contract/plan-parts.ts';
import type { PlannedJob, PlanWish, RevisionWish } from '../planned-job.ts';
import { contextOf, dockerfileOf } from './check-against-files.ts';
import type { CacheMount, DataSource, ProjectManifest, Service } from './manifest.ts';
import { hostOf, variableOf } from './names.ts';
import { folderPath, platformFolder } from './paths.ts';
import { leastShare } from './requirements.ts';

/** Stands for the revision where a manifest is only looked at. */
const noRevision: RevisionWish = { revision_sha256: '0'.repeat(64), revision_bytes: 1, bases: {} };
const image = 'project';
const dayInSeconds = 86_400;
const logLimits = { max_size_mib: 64, max_files: 2 };
const manyTries = 10;

/** Only for a manifest that `readManifest` has accepted. */
export function planOf(manifest: ProjectManifest, wish: PlanWish): PlannedJob {
  const { runtime, entrypoint, cache_mounts: caches = [], data_sources: sources = [] } = manifest;
  const { services = [] } = runtime;
  const build = wish.build ?? noRevision;
  const names = namesOf(manifest);
  const share = shareOf(wish.resources, services.length);
  const dataMounts = sources.map((source) => ({
    ...{ volume: names.dataOf(source), path: folderPath(source.path), read_only: true },
  }));
  const cacheMounts = caches.map(({ name, path }) => ({ volume: name, path: folderPath(path), read_only: false }));
  const mounts: JobStep['mounts'] = [
    { volume: names.scratch, path: `${platformFolder}/scratch`, read_only: false },
    { volume: names.artifacts, path: `${platformFolder}/artifacts`, read_only: false },
    { volume: names.payload, path: `${platformFolder}/payload`, read_only: true },
    ...cacheMounts,
    ...dataMounts,
  ];
  const isKept = (volume: string) => volume === names.scratch || caches.some(({ name }) => name === volume);
  const container = {
    ...{ image, mounts, work_dir: folderPath(runtime.workdir) },
    ...{ env: { values: environmentOf(manifest, wish.parts ?? planParts), merge: [] } },
  };
  const inputs: JobInput[] = [
    {
      id: names.payload,
      source: { kind: 'inline', file_name: 'payload.json', text: build.payload ?? '{}' },
      ...{ volume: names.payload, required: true, cache_seconds: 0 },
    },
    ...sources.map((source) => inputOf(source, names.dataOf(source))),
  ];
  const cardMemory = manifest.requirements?.gpu_memory_mb;
  const plan: JobPlan = {
    ...{ identity: wish.identity, sandbox: 'gvisor', resources: wish.resources },
    ...(wish.resources.gpu_count > 0 && cardMemory !== undefined && { gpu_memory_mib: cardMemory }),
    images: [{ id: image, source: imageOf(manifest, build) }],
    volumes: [names.scratch, names.artifacts, names.payload, ...sources.map(names.dataOf)].map((name) => ({ name })),
    ...(caches.length > 0 && { caches: caches.map((cache) => cacheOf(cache, build)) }),
    inputs,
    preflight: preflightOf(manifest),
    services: services.map((service) => ({
      ...{ ...container, ...serviceOf(service, container), resources: share.service },
      ...(service.scope === 'project' && { mounts: mounts.filter(({ volume }) => isKept(volume)) }),
    })),
    checks: (manifest.validation?.commands ?? []).map(({ label, command }, index) => ({
      ...{ id: `check-${index + 1}`, ...labelled(label), ...container, ...argv(command) },
      ...{ resources: share.step, timeout_seconds: 600 },
    })),
    init: [],
    steps: [
      {
        ...{ id: 'task', group: 'task', ...container, ...argv(entrypoint.command), resources: share.step },
        ...{ aliases: [], depends_on: [], stops_with: [], expose: [], results: [], needs: [] },
        restart: { policy: 'no', max_retries: 0 },
      },
    ],
    outputs: outputsOf(manifest, names.artifacts),
    ...{ read_only_root: true, network: 'bridge', on_failure: wish.on_failure },
    ...{ deadline_seconds: wish.deadline_seconds, stop_grace_seconds: 10, keep: wish.keep, log_limits: logLimits },
  };
  const unresolved = wish.build ? [] : [{ path: '', reference: 'the revision that the files of the project become' }];
  return { plan, unresolved, secrets: [], imagePaths: { [image]: '/build' } };
}

/** Volumes and caches share their names, and those of the author stay as they are. */
function namesOf({ cache_mounts: caches = [], data_sources: sources = [] }: ProjectManifest) {
  const taken = (name: string): boolean => caches.some((cache) => cache.name === name);
  const own = (name: string): string => (taken(name) ? own(`task-${name}`) : name);
  const dataOf = ({ name }: DataSource) => own(`data-${name}`);
  const ours = (name: string): string =>
    sources.some((source) => dataOf(source) === name) ? ours(`task-${name}`) : name;
  return {
    ...{ scratch: ours(own('scratch')), artifacts: ours(own('artifacts')), payload: ours(own('payload')) },
    dataOf,
  };
}

/** Without empty parts, `.` and a slash at its end: as everybody reads it. */
function relativePath(path: string): string {
  return (
    path
      .split('/')
      .filter((part) => part !== '' && part !== '.')
      .join('/') || '.'
  );
}

function imageOf(
  manifest: ProjectManifest,
  { revision_sha256, revision_bytes, bases, network }: RevisionWish,
): BuildImage {
  const { build: { target, args = {} } = {}, runtime } = manifest;
  return {
    ...{ kind: 'build', revision_sha256, revision_bytes, bases: { ...bases } },
    ...{ dockerfile: relativePath(dockerfileOf(manifest)), context: relativePath(contextOf(manifest)) },
    ...(target !== undefined && { target }),
    args: { ...args },
    ...initOf(runtime),
    ...{ network: network ?? 'none', timeout_seconds: 3600 },
  };
}

/** What is run behind its Dockerfile. */
export function initOf({ init, workdir }: ProjectManifest['runtime']): Pick<BuildImage, 'init' | 'work_dir'> {
  return {
    init: (init?.commands ?? []).map(({ label, command, cwd = '.', env = {} }) => ({
      label:
        label ??
        command
          .join(' ')
          .replaceAll(/\p{Cc}/gu, ' ')
          .slice(0, 128),
      ...{ command, cwd: relativePath(cwd), env: { ...env } },
    })),
    work_dir: folderPath(workdir),
  };
}

/**
 * What tasks and checks find out by their environment. How services stand is known when the container is made; an agent that
 * cannot say it writes what it is sure of: none of them is begun before they are ready.
 */
function environmentOf(
  { runtime, cache_mounts: caches = [] }: ProjectManifest,
  parts: readonly string[],
): JobStep['env']['values'] {
  const isTold = parts.includes('service_states' satisfies PlanPart);
  const services = (runtime.services ?? []).map(({ name, scope = 'task', restart = 'never' }) => {
    const host = hostOf(name);
    const state = isTold ? { ref: 'service_state' as const, service: host } : 'ready';
    return { name, host, scope, restart, state };
  });
  const listed = services.flatMap(({ state, ...each }, index) => [
    `${index === 0 ? '[' : '"},'}${JSON.stringify(each).slice(0, -1)},"state":"`,
    state,
  ]);
  return {
    COMPUTALOT_TASK_SCRATCH_DIR: `${platformFolder}/scratch`,
    TMPDIR: `${platformFolder}/scratch`,
    COMPUTALOT_ARTIFACT_DIR: `${platformFolder}/artifacts`,
    COMPUTALOT_TASK_PAYLOAD: `${platformFolder}/payload/payload.json`,
    ...Object.fromEntries(
      caches.map(({ name, path }) => [`COMPUTALOT_CACHE_${variableOf(name)}_DIR`, folderPath(path)]),
    ),
    COMPUTALOT_RUNTIME_SERVICES_JSON: listed.length === 0 ? '[]' : joined(...listed, '"}]'),
    ...Object.fromEntries(
      services.flatMap(({ name, host, scope, state }) =>
        Object.entries({ NAME: name, HOST: host, SCOPE: scope, STATE: joined(state) }).map(([key, value]) => [
          `COMPUTALOT_SERVICE_${variableOf(name)}_${key}`,
          value,
        ]),
      ),
    ),
  };
}

/** Text, where nothing of it has to be found out. */
function joined(...parts: readonly (string | Reference)[]): JobStep['env']['values'][string] {
  return parts.every((part) => typeof part === 'string') ? parts.join('') : { join: [...parts] };
}

/** The command stands alone: what the image has as its entrypoint is no part of it. */
function argv([program = '', ...words]: readonly string[]) {
  return {
    entrypoint: { items: [program], omit_if_empty: false },
    command: { items: [...words], omit_if_empty: false },
  };
}

function labelled(label: string | undefined) {
  return label === undefined ? {} : { label };
}

function serviceOf(
  service: Service,
  { env, work_dir: workDir }: { readonly env: JobStep['env']; readonly work_dir: string },
): Omit<JobPlan['services'][number], 'image' | 'mounts' | 'resources'> {
  const { name, command, scope, restart = 'never', cwd = '.', ready_timeout_s: ready = 60, healthcheck } = service;
  const folder = relativePath(cwd);
  // It is told of no other service: none of them is ready for sure when it starts. One that outlives the task has nothing of it.
  const untold =
    scope === 'project'
      ? /^COMPUTALOT_(SERVICE|RUNTIME_SERVICES|TASK_PAYLOAD|ARTIFACT)/
      : /^COMPUTALOT_(SERVICE|RUNTIME_SERVICES)_/;
  const values = Object.entries(env.values).filter(([key]) => !untold.test(key));
  return {
    ...{ id: hostOf(name), ...argv(command), expose: [], ready_seconds: ready },
    work_dir: folder === '.' ? workDir : `${workDir === '/' ? '' : workDir}/${folder}`,
    env: { values: { ...Object.fromEntries(values), ...service.env }, merge: [] },
    ...(healthcheck !== undefined && { healthcheck: { command: healthcheck.command } }),
    ...(scope === 'project' && { scope }),
    restart: {
      ...{ policy: restart === 'never' ? 'no' : restart, max_retries: restart === 'never' ? 0 : manyTries },
    },
  };
}

function cacheOf(cache: CacheMount, { revision_sha256 }: RevisionWish): NonNullable<JobPlan['caches']>[number] {
  const { name, class: kind = 'data', max_bytes, seed_from_image = false } = cache;
  return { name, revision_sha256, class: kind, ...(max_bytes !== undefined && { max_bytes }), seed_from_image };
}

function inputOf({ name, uri, cache, required = true }: DataSource, volume: string): JobInput {
  const [repo = '', revision = 'main'] = uri.slice('hf://'.length).split('@');
  return {
    ...{ id: `data-${name}`, source: { kind: 'huggingface', repo, revision, files: [] } },
    ...{ volume, required, cache_seconds: (cache === undefined ? 1 : 30) * dayInSeconds },
  };
}

function preflightOf({ validation = {}, runtime }: ProjectManifest): NonNullable<JobPlan['preflight']> {
  const named = (type: 'executable' | 'file', list: readonly string[] = []) =>
    list.map((name) => ({ type, name, image, work_dir: folderPath(runtime.workdir) }));
  return [...named('executable', validation.executables), ...named('file', validation.files)];
}

function outputsOf(
  { artifacts: { upload = [], outputs = [] } = {} }: ProjectManifest,
  volume: string,
): JobPlan['outputs'] {
  return [
    ...upload.map(({ name, path, required = false }) => ({
      ...{ name, volume, path: relativePath(path), type: 'artifact' as const, required },
    })),
    ...outputs.map(({ name, path, type }) => ({
      ...{ name, volume, path: relativePath(path), type: type ?? ('artifact' as const), required: false },
    })),
  ];
}

/**
 * Requirements are what the host has to have, for the job as a whole. The task has the cards. Services run beside it: each has an
 * equal part of processor and memory.
 */
export function shareOf(resources: JobPlan['resources'], services: number) {
  const parts = services + 1;
  const step = {
    ...resources,
    cpu_cores: Math.max(leastShare.cpu_cores, Math.floor((resources.cpu_cores / parts) * 100) / 100),
    memory_gib: Math.max(leastShare.memory_mb / 1024, Math.floor((resources.memory_gib / parts) * 16) / 16),
  };
  return { step, service: { ...step, gpu_count: 0 } };
}
