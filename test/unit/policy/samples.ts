/** A host policy, an image and a launch that fit each other, and generators of valid launches. */
import fc from 'fast-check';
import { AgentError, type FailureCode } from '../../../src/contract/failures.ts';
import type { PathError } from '../../../src/contract/validate.ts';
import type { WorkloadOciLaunchParams } from '../../../src/contract/workload-oci-launch.ts';
import type { ContainerRequest, ImageFacts } from '../../../src/policy/container-request.ts';
import { noCards } from '../../../src/policy/given-cards.ts';
import type { HostPolicy } from '../../../src/policy/host-policy.ts';
import { renderContainer } from '../../../src/policy/render-container.ts';

export const digest = `sha256:${'a1'.repeat(32)}`;
export const imageId = `sha256:${'b2'.repeat(32)}`;
export const reference = `127.0.0.1:5000/curated/runtime-cpu@${digest}`;

export const policy: HostPolicy = {
  node_id: 'node-1',
  allocation: { id: 'alloc-1', uid: 1001, gid: 1002, home: '/home/tenant' },
  registries: [{ host: '127.0.0.1:5000', prefixes: ['curated'] }],
  local_images: [{ image_id: imageId, provenance: { source: 'build', digest } }],
  project_storage: true,
  network_pool: '10.213.0.0/20',
  approved_engines: ['docker'],
  sandboxes: { runc: 'runc', gvisor: 'runsc' },
  reserves: { cpu_cores: 0, memory_gib: 1, disk_gib: 2 },
  limits: { pids: 4096, open_files: 65536 },
  secrets_dir: '/run/gpuaas-gate/secrets',
  inputs: { dir: '/var/lib/gpuaas-inputs', max_gib: 1, max_age_hours: 1, allow: [], endpoints: {} },
};

export const image: ImageFacts = {
  id: imageId,
  repoDigests: [reference],
  env: ['PATH=/opt/venv/bin:/usr/bin', 'LD_PRELOAD=/evil.so', 'NVIDIA_VISIBLE_DEVICES=all', 'NVIDIA_REQUIRE_CUDA=x'],
  volumes: ['/data'],
  workingDir: '/workspace',
  hasHealthcheck: true,
};

const jwe = 'eyJhbGciOiJFQ0RILUVTIn0..aXY.dGV4dA.dGFn';

export const params: WorkloadOciLaunchParams = {
  identity: {
    project_id: 'project-1',
    app_instance_id: 'inst-1',
    allocation_id: 'alloc-1',
    app_slug: 'jupyterlab',
    app_version: '2026.04-preview',
    display_name: 'My notebook',
  },
  image: { kind: 'registry', reference, media_type: 'application/vnd.oci.image.manifest.v1+json' },
  command: ['jupyter-lab', '--ip=0.0.0.0'],
  entrypoint: ['/usr/bin/env'],
  env: { HOME: '/workspace', JUPYTER_PREFER_ENV_PATH: '0' },
  sealed_env: { API_KEY: jwe },
  sealed_files: { '/run/secrets/token': jwe },
  resources: { gpu_count: 0, cpu_cores: 1.5, memory_gib: 2, shm_gib: 0.25 },
  mounts: [
    { name: 'workspace', path: '/workspace', mode: 'scratch', read_only: false },
    { name: 'models', path: '/mnt/models', mode: 'project_storage', read_only: true },
  ],
  ports: [
    { name: 'web', container_port: 8888, host_port: 18888, protocol: 'http' },
    { name: 'metrics', container_port: 9000, host_port: 19000, protocol: 'tcp' },
  ],
  python_packages: ['numpy==2.4.4'],
  readiness: [
    { type: 'http', endpoint: 'web', path: '/api/status', timeout_seconds: 60 },
    { type: 'tcp', endpoint: 'metrics', timeout_seconds: 60 },
  ],
  sandbox: 'runc',
  restart: { policy: 'on_failure', max_retries: 3 },
  log_limits: { max_size_mib: 10, max_files: 3 },
};

export const sealedEnv = { API_KEY: 'opened-canary-value' };

/** The input of a render, with parts of it replaced. */
export function renderInput(
  changes: Partial<WorkloadOciLaunchParams> = {},
  others: { policy?: HostPolicy; image?: ImageFacts; sealedEnv?: Record<string, string> } = {},
) {
  return {
    params: { ...params, ...changes },
    policy: others.policy ?? policy,
    image: others.image ?? image,
    sealedEnv: others.sealedEnv ?? (changes.sealed_env ? {} : sealedEnv),
    cards: noCards,
    taskId: 'task-1',
    fencing: 7,
  };
}

/** The input of a render of just these params, with every sealed variable opened. */
export function inputOf(launch: WorkloadOciLaunchParams, facts: ImageFacts = image) {
  const opened = Object.keys(launch.sealed_env ?? {}).map((name) => [name, `opened ${name}`]);
  return {
    params: launch,
    policy,
    image: facts,
    sealedEnv: Object.fromEntries(opened) as Record<string, string>,
    cards: noCards,
    taskId: 'task-1',
    fencing: 7,
  };
}

/** A request that both functions agree on, as it comes over the wire. */
export function acceptedRequest(): { name: string; request: ContainerRequest } {
  const { name, request } = renderContainer(renderInput());
  return { name, request: JSON.parse(JSON.stringify(request)) };
}

export interface Refused {
  readonly code: FailureCode;
  readonly message: string;
  readonly errors: readonly PathError[];
  readonly paths: readonly string[];
}

/** The failure that `act` throws; fails if it throws none or another error. */
export function refusalOf(act: () => unknown): Refused {
  try {
    act();
  } catch (error) {
    if (error instanceof AgentError) {
      const errors = (error.detail['errors'] ?? []) as unknown as readonly PathError[];
      return { code: error.code, message: error.message, errors, paths: errors.map(({ path }) => path) };
    }
    throw error;
  }
  throw new Error('nothing was refused');
}

const identifier = fc.stringMatching(/^[a-zA-Z0-9][a-zA-Z0-9_-]{0,20}$/);
const text = fc.string({ maxLength: 40 }).map((value) => value.replaceAll('\0', ''));
const envName = fc.stringMatching(/^(APP|HOME|PIP|_X|my)_?[A-Za-z0-9_]{0,12}$/);

const ports = fc.uniqueArray(fc.integer({ min: 1024, max: 65535 }), { maxLength: 6 }).map((numbers) =>
  numbers.map((port, index) => ({
    name: `port-${index}`,
    container_port: 65535 - port + 1,
    host_port: port,
    protocol: index % 2 === 0 ? ('http' as const) : ('tcp' as const),
  })),
);

const mounts = fc
  .uniqueArray(fc.constantFrom('workspace', 'data', 'mnt/a', 'mnt/b', 'home/user', 'srv/x.y', 'opt/app', 'var/lib/x'), {
    maxLength: 8,
  })
  .chain((targets) =>
    fc.tuple(
      ...targets.map((target, index) =>
        fc.record({
          name: identifier.map((name) => `${name}${index}`),
          path: fc.constant(`/${target}`),
          mode: fc.constantFrom('scratch' as const, 'project_storage' as const),
          read_only: fc.boolean(),
        }),
      ),
    ),
  );

const sources = fc.constantFrom<WorkloadOciLaunchParams['image']>(params.image, {
  kind: 'local',
  image_id: imageId,
  provenance: { source: 'build', digest },
});

/** Launches that the contract and the policy of this file accept. */
export const validParams: fc.Arbitrary<WorkloadOciLaunchParams> = fc
  .record(
    {
      identity: fc.record({
        project_id: identifier,
        app_instance_id: identifier,
        allocation_id: fc.constant(policy.allocation.id),
        app_slug: identifier,
        app_version: fc.constant('1.0'),
        display_name: fc.stringMatching(/^[a-z ]{1,20}$/),
      }),
      image: sources,
      command: fc.array(text, { minLength: 1, maxLength: 4 }),
      entrypoint: fc.array(
        text.map((value) => `/${value}`),
        { minLength: 1, maxLength: 3 },
      ),
      env: fc.dictionary(envName, text, { maxKeys: 8, noNullPrototype: true }),
      sealed_env: fc.constantFrom<Record<string, string>>({}, { SEALED_A: jwe }, { SEALED_A: jwe, SEALED_B: jwe }),
      sealed_files: fc.constantFrom<Record<string, string>>({}, { '/run/secrets/key': jwe }),
      resources: fc.record({
        gpu_count: fc.constant(0),
        cpu_cores: fc.double({ min: 0.1, max: 256, noNaN: true }),
        memory_gib: fc.double({ min: 0.5, max: 2048, noNaN: true }),
        shm_gib: fc.double({ min: 0.0625, max: 0.5, noNaN: true }),
      }),
      mounts,
      ports,
      python_packages: fc.constantFrom<string[]>([], ['numpy==2.4.4', 'torch~=2.9']),
      readiness: fc.constantFrom<WorkloadOciLaunchParams['readiness']>(
        [],
        [{ type: 'container_health', timeout_seconds: 5 }],
        [{ type: 'exec', command: ['true'], timeout_seconds: 5 }],
      ),
      sandbox: fc.constantFrom('runc' as const, 'gvisor' as const),
      restart: fc.record({
        policy: fc.constantFrom('no' as const, 'on_failure' as const, 'always' as const),
        max_retries: fc.integer({ min: 0, max: 100 }),
      }),
      log_limits: fc.record({
        max_size_mib: fc.integer({ min: 1, max: 1024 }),
        max_files: fc.integer({ min: 1, max: 20 }),
      }),
    },
    {
      requiredKeys: [
        ...(['identity', 'image', 'env', 'resources', 'mounts', 'ports', 'python_packages', 'readiness'] as const),
        ...(['sandbox', 'restart', 'log_limits'] as const),
      ],
    },
  )
  .map((generated) => generated as WorkloadOciLaunchParams);

/** Images with whatever an image can carry in its environment. */
export const anyImage: fc.Arbitrary<ImageFacts> = fc.record({
  id: fc.constant(imageId),
  repoDigests: fc.constant([reference]),
  env: fc.array(
    fc.oneof(
      text,
      text.map((value) => `=${value}`),
      fc
        .tuple(fc.constantFrom('LD_', 'NVIDIA_', 'LD_PRELOAD', 'PATH', 'HIP_VISIBLE_DEVICES'), text)
        .map((parts) => parts.join('')),
      fc
        .tuple(fc.constantFrom('LD_PRELOAD', 'LD_ODD NAME', 'NVIDIA_VISIBLE_DEVICES', 'GCONV_PATH', 'PATH'), text)
        .map((parts) => parts.join('=')),
    ),
    { maxLength: 12 },
  ),
  volumes: fc.subarray(['/var/cache', '/workspace', '/data', '/home']),
  workingDir: fc.constantFrom('', '/', '/workspace', '/app', '/home/user'),
  hasHealthcheck: fc.constant(true),
});
