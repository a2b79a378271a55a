import { describe, expect, it } from 'vitest';
import type { ExeCommand } from '../../../src/contract/exe-script.ts';
import { AgentError } from '../../../src/contract/failures.ts';
import type { BuildImage } from '../../../src/contract/job-build.ts';
import type { JobCache, JobPlan, Preflight } from '../../../src/contract/job-plan.ts';
import type { PlanPayload } from '../../../src/contract/payload-manifest.ts';
import { checkPlan } from '../../../src/jobs/check-plan.ts';
import type { HostPolicy } from '../../../src/policy/host-policy.ts';
import { plan, service, step, words } from '../../support/job-plans.ts';
import { hostPolicy } from '../../support/task-bench.ts';

describe('a plan', () => {
  it('that holds together is taken', () => {
    const preflight = [look('executable', 'v'), look('file', 'v'), look('file', '/w/v/a')];
    const services = [{ ...service('web'), healthcheck: { command: ['true'] }, scope: 'job' as const }];

    expect(refusalOf({})).toBeUndefined();
    expect(refusalOf({ volumes: [{ name: 'v' }], inputs: [inline('µ'.repeat(131_072))] })).toBeUndefined();
    expect(refusalOf({ volumes: [{ name: 'v' }], inputs: [checkpoint('ckpt/latest.pt')] })).toBeUndefined();
    expect(refusalOf({ ...inVolume, preflight, services })).toBeUndefined();
  });

  it('may name images by their hash, of which the host takes one (M-15)', () => {
    const here = { arch: process.arch, os: 'linux' };
    const oci = {
      urls: [`docker://other.example/x@${digest}`, `docker://127.0.0.1:5000/curated/x@${digest}`],
      hash: digest,
    };

    expect(refusalOf(ofPayloads(gvmi), { payloads })).toBeUndefined();
    expect(refusalOf(ofPayloads({ ...gvmi, platform: elsewhere }, { ...oci, platform: here }))).toBeUndefined();
  });

  it.each<[string, PlanPayload[], string, string]>([
    ['of no platform that this is', [{ ...gvmi, platform: elsewhere }], 'payload.other_platform', ''],
    ['that is downloaded, which the operator does not allow', [gvmi], 'payload.denied', '/0'],
    [
      'of no registry that the operator allows',
      [{ urls: [`docker://other.example/x@${digest}`], hash: digest }],
      'image.registry_denied',
      '/0/urls/0',
    ],
    ['with the hash of another kind', [{ ...gvmi, hash: digest }], 'task.invalid', '/0/urls/0'],
    [
      'with another digest',
      [{ urls: [`docker://x.example/x@${digest}`], hash: `sha256:${'c'.repeat(64)}` }],
      'task.invalid',
      '/0/urls/0',
    ],
    [
      'of a mixture',
      [{ ...gvmi, urls: [...gvmi.urls, `docker://x.example/x@${digest}`] }],
      'task.invalid',
      '/0/urls/1',
    ],
  ])('names no image %s', (_name, payload, code, path) => {
    const refusal = refusalOf(ofPayloads(...payload));

    expect(refusal?.code).toBe(code);
    expect(refusal?.detail['errors']).toMatchObject([{ path: `/images/0/source/payload${path}` }]);
  });

  it.each(['ckpt', '.'])('may go on with a folder that was kept at %s', (path) => {
    expect(refusalOf({ ...inVolume, inputs: [checkpoint(path, 'application/x-tar')] })).toBeUndefined();
  });

  it.each<[string, Partial<JobPlan>, string]>([
    ['two steps of one id', { steps: [step('one'), step('one')] }, '/steps/1/id'],
    ['a step and a check of one id', { checks: [runOnce('one')] }, '/steps/0/id'],
    ['an image that is not there', { steps: [step('one', { image: 'other' })] }, '/steps/0/image'],
    [
      'a volume that is not there',
      { steps: [step('one', { mounts: [mount('v', '/v')] })] },
      '/steps/0/mounts/0/volume',
    ],
    ['an input that is not there', { steps: [step('one', { needs: ['model'] })] }, '/steps/0/needs/0'],
    ['a volume of an output that is not there', { outputs: [output('v')] }, '/outputs/0/volume'],
    ...['../etc', 'a/../../etc'].map((path): [string, Partial<JobPlan>, string] => [
      `an output at ${path}`,
      { ...inVolume, outputs: [{ ...output('v'), path }] },
      '/outputs/0/path',
    ]),
    ['a folder of the kernel to start in', { steps: [step('one', { work_dir: '/proc/self' })] }, '/steps/0/work_dir'],
    ['a program without a name', { init: [runOnce('one', { entrypoint: words('') })] }, '/init/0/entrypoint/items/0'],
    [
      'more shared memory than a step has memory',
      { steps: [step('one', { resources: { gpu_count: 0, cpu_cores: 1, memory_gib: 1, shm_gib: 2 } })] },
      '/steps/0/resources/shm_gib',
    ],
    ['one port twice', { steps: [step('one', { expose: [port(80), port(80)] })] }, '/steps/0/expose/1/port'],
    ['a list of addresses that no network has', { egress: nowhere }, '/egress'],
    ['a network that lists nothing', { network: 'allow_list' }, '/egress'],
    ['a step in the place of the proxy', { ...listed, steps: [step('egress')] }, '/steps/0/id'],
    [
      'a step that is called as the proxy is',
      { ...listed, steps: [step('one', { aliases: ['egress'] })] },
      '/steps/0/id',
    ],
    ['a port that nobody could reach', { ...listed, steps: [step('one', { expose: [port(80)] })] }, '/steps/0/expose'],
    [
      'more containers than addresses beside the proxy',
      { ...listed, steps: Array.from({ length: 13 }, (_, index) => step(`s${index}`, { group: 'g' })) },
      '/steps',
    ],
    ['a script beside another step', { steps: [scripted(), step('two')] }, '/steps/0/script'],
    ['a script and a command', { steps: [{ ...scripted(), command: words('a') }] }, '/steps/0/command'],
    [
      'a script that is begun again',
      { steps: [{ ...scripted(), restart: { policy: 'always', max_retries: 0 } }] },
      '/steps/0/restart/policy',
    ],
    ['a late deploy', { steps: [scripted({ start: {} }, { deploy: {} })] }, '/steps/0/script/1'],
    ['a start after a run', { steps: [scripted(date, { start: {} })] }, '/steps/0/script/1'],
    ['an end before the end', { steps: [scripted({ terminate: {} }, date)] }, '/steps/0/script/0'],
    [
      'a dependency in another group',
      { steps: [step('one'), step('two', { depends_on: ['one'] })] },
      '/steps/1/depends_on/0',
    ],
    ['a step that waits for itself', { steps: [step('one', { depends_on: ['one'] })] }, '/steps/0/depends_on/0'],
    [
      'a circle',
      {
        steps: [step('one', { group: 'g', depends_on: ['two'] }), step('two', { group: 'g', depends_on: ['one'] })],
      },
      '/steps/0/depends_on',
    ],
    [
      'a reference to no step',
      { steps: [step('one', { command: { items: [{ ref: 'step_host', step: 'two' }], omit_if_empty: false } })] },
      '/steps/0/command/items/0',
    ],
    [
      'a reference to a result that nobody looks for',
      {
        steps: [
          step('one'),
          step('two', {
            env: { values: { A: { join: [{ ref: 'step_result', step: 'one', name: 'x' }] } }, merge: [] },
          }),
        ],
      },
      '/steps/1/env/values/A',
    ],
    [
      'the state of a service that it has not',
      {
        steps: [
          step('one', {
            env: { values: { A: { join: [{ ref: 'service_state', service: 'x' }] } }, merge: [] },
          }),
        ],
      },
      '/steps/0/env/values/A',
    ],
    [
      'an expression that cannot be read',
      { steps: [step('one', { results: [{ name: 'x', regex: '(', channels: ['stdout'] }] })] },
      '/steps/0/results/0/regex',
    ],
    [
      'an expression that becomes a large program',
      { steps: [step('one', { results: [{ name: 'x', regex: 'y{1000}'.repeat(40), channels: ['stdout'] }] })] },
      '/steps/0/results/0/regex',
    ],
    [
      'more containers at once than its network has room for',
      { steps: Array.from({ length: 14 }, (_, index) => step(`s${index}`, { group: 'g' })) },
      '/steps',
    ],
    [
      'a step with more memory than the job',
      { steps: [step('one', { resources: { gpu_count: 0, cpu_cores: 1, memory_gib: 2 } })] },
      '/steps/0/resources/memory_gib',
    ],
    ['a look into no image of it', { preflight: [look('file', 'a', { image: 'other' })] }, '/preflight/0/image'],
    [
      'a look in a folder of the kernel',
      { preflight: [look('file', 'a', { work_dir: '/proc' })] },
      '/preflight/0/work_dir',
    ],
    ['a file in a volume', { ...inVolume, preflight: [look('file', '../v/./a')] }, '/preflight/0/name'],
    ['a program in a volume', { ...inVolume, preflight: [look('executable', '/v/bin/a')] }, '/preflight/0/name'],
    [
      'a health check without a program',
      { services: [{ ...service('web'), healthcheck: { command: [''] } }] },
      '/services/0/healthcheck/command/0',
    ],
    [
      'a service that is to outlive it and is of no revision',
      { services: [{ ...service('web'), scope: 'project' }] },
      '/services/0/scope',
    ],
    ['services that outlive it, and several steps', { ...shared, steps: [step('a'), step('b')] }, '/services/0/scope'],
    [
      'services that outlive it, and a step of other names',
      { ...shared, steps: [step('a', { aliases: ['x'] })] },
      '/services/0/scope',
    ],
    ['a file of too many bytes in it', { volumes: [{ name: 'v' }], inputs: [inline('µ'.repeat(131_073))] }, textPath],
    ['a cache called as a volume is', { volumes: [{ name: 'v' }], caches: [cache('v')] }, '/caches/0/name'],
    ['two caches of one name', { caches: [cache('v'), cache('v')] }, '/caches/1/name'],
    [
      'caches of two revisions',
      { caches: [cache('v'), { ...cache('w'), revision_sha256: 'b'.repeat(64) }] },
      '/caches/1/revision_sha256',
    ],
    ['a cache that is only read', readOnlyCache, '/steps/0/mounts/0/read_only'],
    ['data that is fetched into a cache', { caches: [cache('v')], inputs: [inline('')] }, '/inputs/0/volume'],
    ['an output of a cache', { caches: [cache('v')], outputs: [output('v')] }, '/outputs/0/volume'],
    ['an output that leads out of it', { volumes: [{ name: 'v' }], inputs: [checkpoint('a/../../b')] }, outputPath],
    ['a file in the place of a volume', { volumes: [{ name: 'v' }], inputs: [checkpoint('a/..')] }, outputPath],
    ['a port without a network', { network: 'none', steps: [step('one', { expose: [port(80)] })] }, '/steps/0/expose'],
  ])('with %s is refused by its path', (_, over, path) => {
    expect(refusalOf(over)).toMatchObject({
      code: 'task.invalid',
      detail: { errors: expect.arrayContaining([expect.objectContaining({ path })]) },
    });
  });

  it.each<[string, string[], string]>([
    ['two mounts in one place', ['/v', '/v'], '/steps/0/mounts/1/path'],
    ['a mount in another', ['/v', '/v/w'], '/steps/0/mounts/1/path'],
    ['a mount over what the system needs', ['/etc'], '/steps/0/mounts/0/path'],
  ])('with %s is refused before anything is done', (_, paths, path) => {
    const steps = [step('one', { mounts: paths.map((each) => mount('v', each)) })];

    expect(refusalOf({ volumes: [{ name: 'v' }], steps })).toMatchObject({
      code: 'mount.refused',
      detail: { errors: [{ path }] },
    });
  });

  it('with a variable that the host obeys is refused by policy', () => {
    const env = { values: { LD_PRELOAD: '/x.so' }, merge: [] };

    expect(refusalOf({ steps: [step('one', { env })] })).toMatchObject({
      code: 'policy.refused',
      detail: { errors: [{ path: '/steps/0/env/values/LD_PRELOAD' }] },
    });
  });

  it('with an image of another registry is refused', () => {
    const source = { ...plan().images[0]?.source, reference: `evil.example/x@sha256:${'d'.repeat(64)}` } as never;

    expect(refusalOf({ images: [{ id: 'main', source }] })).toMatchObject({ code: 'image.registry_denied' });
  });

  describe('with an image to be built', () => {
    const source: BuildImage = {
      ...{ kind: 'build', revision_sha256: 'a'.repeat(64), revision_bytes: 1024, dockerfile: 'Dockerfile' },
      ...{ context: '.', args: {}, bases: {}, init: [], work_dir: '/work', network: 'none', timeout_seconds: 60 },
    };
    const refused = (over: Partial<BuildImage>, policy: Partial<HostPolicy> = builds) =>
      refusalOf({ images: [{ id: 'main', source: { ...source, ...over } }] }, policy);
    const builds = { builds: { cpu_cores: 1, memory_gib: 1, context_gib: 1 } };

    it('is refused by a host that builds none', () => {
      expect(refused({}, {})).toMatchObject({
        code: 'build.denied',
        detail: { errors: [{ path: '/images/0/source/kind' }] },
      });
      expect(refused({})).toBeUndefined();
    });

    it('is refused where a part has the name of what its build says', () => {
      const images = ['main', 'more'].map((id) => ({ id, source }));
      const over = { images, services: [service('build')], steps: [step('build-3'), step('build-2')] };

      expect(refusalOf(over, builds)).toMatchObject({
        code: 'task.invalid',
        detail: { errors: [{ path: '/services/0/id' }, { path: '/steps/1/id' }] },
      });
      expect(refusalOf({ services: [service('build')] })).toBeUndefined();
    });

    it.each([
      ['on a network', { network: 'bridge' }, 'build.denied', '/images/0/source/network'],
      [
        'on a base of another registry',
        { bases: { 'a/b:1': `evil.example/x@sha256:${'d'.repeat(64)}` } },
        ...['image.registry_denied', '/images/0/source/bases/a~1b:1'],
      ],
    ] as [string, Partial<BuildImage>, string, string][])('%s is refused', (_, over, code, path) => {
      expect(refused(over)).toMatchObject({ code, detail: { errors: [{ path }] } });
    });
  });

  it('is built on the network of its job alone, where the operator allows that', () => {
    const source: BuildImage = {
      ...{ kind: 'build', revision_sha256: 'a'.repeat(64), revision_bytes: 1024, dockerfile: 'Dockerfile' },
      ...{ context: '.', args: {}, bases: {}, init: [], work_dir: '/work', network: 'bridge', timeout_seconds: 60 },
    };
    const policy: Partial<HostPolicy> = {
      builds: { cpu_cores: 1, memory_gib: 1, context_gib: 1, network: 'bridge' },
    };
    const refused = (network: 'none' | 'bridge') => refusalOf({ network, images: [{ id: 'main', source }] }, policy);

    expect(refused('bridge')).toBeUndefined();
    const services = [{ ...service('web'), scope: 'project' as const }];
    // The network of a group is that of other jobs as well.
    expect(refusalOf({ network: 'bridge', images: [{ id: 'main', source }], services }, policy)).toMatchObject({
      detail: { errors: [{ path: '/services/0/scope', message: 'must be job for a plan that builds on a network' }] },
    });
    expect(refused('none')).toMatchObject({
      code: 'task.invalid',
      detail: { errors: [{ path: '/images/0/source/network' }] },
    });
  });

  it('with a sandbox that the host does not offer is refused', () => {
    expect(refusalOf({ sandbox: 'gvisor' })).toMatchObject({ code: 'sandbox.unavailable' });
  });

  it('may have services that outlive it beside those that do not', () => {
    expect(refusalOf(shared)).toBeUndefined();
  });

  it('is told everything that is wrong at once', () => {
    const errors = refusalOf({ steps: [step('one', { image: 'a', needs: ['b'] })], sandbox: 'gvisor' })?.detail[
      'errors'
    ];

    expect(errors).toHaveLength(3);
  });
});

const runOnce = (id: string, over: Partial<JobPlan['checks'][number]> = {}): JobPlan['checks'][number] => {
  const { image, command = words(), env, mounts, resources } = step(id);
  return { id, image, command, env, mounts, resources, timeout_seconds: 10, ...over };
};
const look = (type: 'executable' | 'file', name: string, over: Partial<Preflight> = {}): Preflight => ({
  ...{ type, name, image: 'main', work_dir: '/w', ...over },
});
const mount = (volume: string, path: string) => ({ volume, path, read_only: false });
const cache = (name: string): JobCache => ({
  ...{ name, revision_sha256: 'a'.repeat(64), class: 'pip', seed_from_image: false },
});
const shared = {
  caches: [cache('v')],
  services: [{ ...service('web'), scope: 'project' as const }, service('own')],
};
const readOnlyCache = {
  caches: [cache('v')],
  steps: [step('one', { mounts: [{ ...mount('v', '/v'), read_only: true }] })],
};
const nowhere = { rules: [], any_public: [] };
const listed = { network: 'allow_list' as const, egress: nowhere };
const date = { run: { entry_point: '/bin/date' } };
function scripted(...script: ExeCommand[]) {
  const { command: _none, ...bare } = step('one');
  return { ...bare, script: script.length === 0 ? [date] : script };
}
const gvmi = { urls: ['https://example.com/a.gvmi'], hash: `sha3:${'a'.repeat(64)}` };
const digest = `sha256:${'b'.repeat(64)}`;
const ofPayloads = (...payload: PlanPayload[]): Partial<JobPlan> => ({
  images: [{ id: 'main', source: { kind: 'payload', payload } }],
});
const elsewhere = { arch: 'riscv64', os: 'linux' };
const payloads = { max_gib: 1, unpacked_gib: 1 };
const output = (volume: string) => ({ name: 'o', volume, path: '.', type: 'artifact' as const, required: false });
const inline = (text: string) => ({
  ...{ id: 'payload', source: { kind: 'inline' as const, file_name: 'payload.json', text } },
  ...{ volume: 'v', required: true, cache_seconds: 0 },
});
const textPath = '/inputs/0/source/text';
const checkpoint = (path: string, media_type: 'application/octet-stream' | 'application/x-tar' = octets) => ({
  ...{ id: 'resume', volume: 'v', required: true, cache_seconds: 0 },
  source: {
    ...{ kind: 'output' as const, job_id: 'j', name: 'c', sha256: '0'.repeat(64), bytes: 1, path },
    media_type,
  },
});
const octets = 'application/octet-stream';
const outputPath = '/inputs/0/source/path';
const port = (number: number) => ({ kind: 'port' as const, port: number, protocol: 'http' as const, checks: [] });

const inVolume = { volumes: [{ name: 'v' }], steps: [step('one', { mounts: [mount('v', '/v')] })] };

function refusalOf(over: Partial<JobPlan>, policy: Partial<HostPolicy> = {}): AgentError | undefined {
  try {
    checkPlan(plan(over), { ...hostPolicy, ...policy });
    return undefined;
  } catch (error) {
    if (error instanceof AgentError) return error;
    throw error;
  }
}
