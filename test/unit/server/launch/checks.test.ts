import { describe, expect, it } from 'vitest';
import { judge } from '../../../../src/contract/validate.ts';
import { initialChoices } from '../../../../src/manifests/gpuaas/form-answers.ts';
import type { Artifact } from '../../../../src/server/db/entities/artifact.ts';
import type { AppVersion } from '../../../../src/server/db/entities/catalog.ts';
import { type CheckedLaunch, checkLaunch, hasPassed, type LaunchFacts } from '../../../../src/server/launch/checks.ts';
import { environmentOf, isLaunchEnabled } from '../../../../src/server/launch/environment.ts';
import { LaunchRequest } from '../../../../src/server/launch/launch-request.ts';
import { refused } from '../../../../src/server/launch/refusal.ts';
import {
  aNode,
  anApp,
  anArtifact,
  aRequest,
  aVersion,
  launchFacts,
  runtimeStatus,
  settings,
} from '../../../support/launch-samples.ts';
import { jupyterProfile } from '../../../support/profiles.ts';
import { anAllocation, anInstance } from '../../../support/store-samples.ts';

function refusals(given: Partial<LaunchFacts>): string[] {
  const checked = checkLaunch(launchFacts(given));
  return checked.ok ? [] : checked.refusals.map(({ code, path }) => `${code} ${path}`);
}

const config = (values: LaunchRequest['config']) => aRequest({ config: values ?? {} });
const withCards = (gpu_count: number) => aRequest({ resource_overrides: { gpu_count } });
const ownArtifact = (given: Parameters<typeof anArtifact>[0]) => ({ artifacts: [anArtifact(given)] });
const noLaunches = environmentOf({ ...settings, launchEnabled: false });
const target = '/placement_intent/target_allocation_id';
const neighbour = (given: Parameters<typeof anInstance>[0]) => ({ neighbours: [anInstance(given)] });
const oneCard = { gpu_count: 1, cpu_cores: 1, memory_gib: 1 };
const exposure = '/parameters/schema/properties/exposure_mode/enum';
/** A manifest that asks for an engine as if it were there. */
const drivenBy = (engine: string) => ({
  '/execution/default_engine': engine,
  '/execution/supported_engines/2/engine': engine,
  '/execution/supported_engines/2/status': 'active',
});

describe('the nine checks', () => {
  it('let a launch on an allocation pass that is as it should be (G-138)', () => {
    expect(checkLaunch(launchFacts())).toMatchObject({ ok: true, launch: { values: { host_ports: { web: 8888 } } } });
  });

  it.each<[string, Partial<LaunchFacts>, string]>([
    [
      'no allocation named (G-3, G-101)',
      { request: aRequest({ placement_intent: {} }) },
      `launch.allocation_missing ${target}`,
    ],
    [
      '1: an allocation that is being released (G-107)',
      { allocation: anAllocation({ state: 'releasing' }) },
      `launch.allocation_not_active ${target}`,
    ],
    [
      '2: an allocation of another project (G-108)',
      { allocation: anAllocation({ project_id: 'p2' }) },
      `launch.allocation_not_in_project ${target}`,
    ],
    [
      '3: an unknown app (G-98)',
      { app: undefined, version: undefined, profile: undefined },
      'launch.app_not_found /app_slug',
    ],
    ['3: a hidden app', { app: anApp({ status: 'hidden' }) }, 'launch.app_not_found /app_slug'],
    [
      '3: an unknown version (G-99)',
      { version: undefined, profile: undefined },
      'launch.version_not_found /app_version',
    ],
    ['3: a draft (G-109)', { version: aVersion({ status: 'draft' }) }, 'launch.version_not_published /app_version'],
    ['3: no entitlement (G-109)', { isEntitled: false }, 'launch.not_entitled /app_slug'],
    ['4: an unknown artifact', { artifacts: [] }, 'launch.artifact_not_found /artifact_id'],
    ['4: a retired artifact (G-110)', ownArtifact({ lifecycle: 'retired' }), 'launch.artifact_retired /artifact_id'],
    [
      '4: one that is published only, under a strict policy (G-110)',
      {
        ...ownArtifact({ lifecycle: 'published' }),
        environment: environmentOf({ ...settings, artifactPolicy: 'promoted' }),
      },
      'launch.artifact_not_promoted /artifact_id',
    ],
    [
      '4: one that is promoted to another channel (G-110)',
      {
        ...ownArtifact({ lifecycle: 'promoted', promotions: [] }),
        environment: environmentOf({ ...settings, artifactPolicy: 'promoted', artifactChannel: 'prod' }),
      },
      'launch.artifact_not_promoted /artifact_id',
    ],
    [
      '4: one that is not of the release that the version is locked to (G-243)',
      {
        version: aVersion({
          lock: {
            artifacts: { 'runtime-cpu': { artifact_id: 'other', digest: `sha256:${'b'.repeat(64)}` } },
            ...{ channel: null, at: '2026-11-25T10:00:00.000Z', actor: 'token-1', correlation_id: 'c' },
          },
        }),
      },
      'launch.artifact_not_locked /artifact_id',
    ],
    [
      '4: the artifact of another app (G-31)',
      ownArtifact({ name: 'runtime-tpu' }),
      'launch.artifact_mismatch /artifact_id',
    ],
    [
      '4: what is no image (G-33)',
      ownArtifact({ media_type: 'application/vnd.cncf.helm.config.v1+json' }),
      'launch.artifact_mismatch /artifact_id',
    ],
    ['5: a tag (G-32, G-111, G-211)', ownArtifact({ digest: 'latest' }), 'launch.digest_invalid /artifact_id'],
    ['5: a short digest (G-111)', ownArtifact({ digest: 'sha256:abc' }), 'launch.digest_invalid /artifact_id'],
    [
      '5: an upper-case digest (G-111)',
      ownArtifact({ digest: `sha256:${'A'.repeat(64)}` }),
      'launch.digest_invalid /artifact_id',
    ],
    [
      '5: another algorithm (G-111)',
      ownArtifact({ digest: `sha512:${'a'.repeat(64)}` }),
      'launch.digest_invalid /artifact_id',
    ],
    ['5: revoked trust (G-111)', ownArtifact({ trust: 'revoked' }), 'launch.artifact_untrusted /artifact_id'],
    [
      '5: an unverified artifact (G-168)',
      ownArtifact({ trust: 'unverified' }),
      'launch.artifact_untrusted /artifact_id',
    ],
    [
      '5: another registry (G-8, G-212)',
      ownArtifact({ repository: 'docker.io/library/x' }),
      'launch.registry_denied /artifact_id',
    ],
    [
      '6: storage that the mount does not allow (G-112)',
      {
        profile: jupyterProfile({ '/storage/mounts/0/modes': ['scratch'] }),
        request: config({ workspace_mount: 'project_storage' }),
      },
      'launch.storage_mode_not_allowed /config/workspace_mount',
    ],
    [
      '6: storage that the allocation lacks (G-139, G-204)',
      { request: config({ workspace_mount: 'project_storage' }) },
      'launch.storage_not_ready /config/workspace_mount',
    ],
    [
      '7: exposure that the environment lacks (G-72, G-113, G-140)',
      {
        profile: jupyterProfile({ [exposure]: ['private', 'platform_proxy'] }),
        request: config({ exposure_mode: 'platform_proxy' }),
      },
      'launch.exposure_not_supported /config/exposure_mode',
    ],
    [
      '7: exposure that an endpoint lacks',
      { profile: jupyterProfile({ '/network/endpoints/0/exposure_modes': ['platform_proxy'] }) },
      'launch.exposure_not_supported /config/exposure_mode',
    ],
    [
      '8: more cards than there are (G-114)',
      { request: withCards(2) },
      'launch.resources_exceed_allocation /resource_overrides/gpu_count',
    ],
    [
      '8: a card that another instance holds (G-114, G-167)',
      { request: withCards(1), ...neighbour({ resources: oneCard, host_ports: {} }) },
      'launch.resources_exceed_allocation /resource_overrides/gpu_count',
    ],
    [
      '8: a card that may be free, but the runtime of the host cannot be reached',
      {
        request: withCards(1),
        ...neighbour({ state: 'unknown', resources: oneCard, host_ports: {} }),
        node: aNode({ runtime: runtimeStatus({ ready: false, reasons: ['The gate is away.'] }) }),
      },
      `launch.runtime_not_ready ${target}`,
    ],
    [
      '8: a card that may be free, but the host cannot be asked',
      { request: withCards(1), ...neighbour({ state: 'unknown', resources: oneCard, host_ports: {} }) },
      `launch.node_unavailable ${target}`,
    ],
    [
      '8: more cards than there are, whatever the host would say',
      { request: withCards(2), ...neighbour({ state: 'unknown', resources: oneCard, host_ports: {} }) },
      'launch.resources_exceed_allocation /resource_overrides/gpu_count',
    ],
    [
      '8: more than the host has, although the allocation promises it (G-114)',
      {
        request: aRequest({ resource_overrides: { gpu_count: 1, cpu_cores: 8, memory_gib: 32 } }),
        capacity: { gpu_count: 1, cpu_cores: 8, memory_gib: 31.5 },
      },
      'launch.resources_exceed_allocation /resource_overrides/memory_gib',
    ],
    [
      '8: what neither the allocation nor its host has, once',
      { request: withCards(2), capacity: { gpu_count: 0, cpu_cores: 8, memory_gib: 32 } },
      'launch.resources_exceed_allocation /resource_overrides/gpu_count',
    ],
    [
      '8: a port that another instance holds',
      neighbour({ host_ports: { web: 8888 } }),
      'launch.host_port_taken /config/host_port',
    ],
    [
      '9: everything while the switch is off (G-115, G-163)',
      { environment: noLaunches },
      'launch.adapter_not_enabled /app_version',
    ],
    [
      '9: kubernetes, which nothing drives yet (G-133)',
      { profile: jupyterProfile(drivenBy('kubernetes')) },
      'launch.adapter_not_enabled /app_version',
    ],
    [
      '9: helm, which nothing drives yet (G-134)',
      { profile: jupyterProfile(drivenBy('helm')) },
      'launch.adapter_not_enabled /app_version',
    ],
    [
      '9: dstack, which nothing drives yet (G-135)',
      { profile: jupyterProfile(drivenBy('dstack')) },
      'launch.adapter_not_enabled /app_version',
    ],
    ['a value out of range (G-40)', { request: config({ host_port: 80 }) }, 'launch.values_invalid /config/host_port'],
    [
      'a value that nobody declared (G-97)',
      { request: config({ host_path: '/home' }) },
      'launch.values_invalid /config/host_path',
    ],
  ])('refuse %s', (_what, facts, refusal) => {
    expect(refusals(facts)).toEqual([refusal]);
  });

  it('report all failures at once, in their order (G-116)', () => {
    const found = refusals({
      allocation: anAllocation({ state: 'ended' }),
      isEntitled: false,
      ...ownArtifact({ lifecycle: 'retired', trust: 'failed' }),
      request: aRequest({ config: { workspace_mount: 'project_storage' }, resource_overrides: { gpu_count: 9 } }),
      environment: noLaunches,
    });

    expect(found.map((line) => line.split(' ')[0])).toEqual([
      'launch.allocation_not_active',
      'launch.not_entitled',
      'launch.artifact_retired',
      'launch.artifact_untrusted',
      'launch.storage_not_ready',
      'launch.resources_exceed_allocation',
      'launch.adapter_not_enabled',
    ]);
  });

  it('report a wrong value together with what the other values lead to (G-116)', () => {
    const { artifact_id: _, ...request } = aRequest({
      config: { host_port: 80, workspace_mount: 'project_storage', gpu_count: 9, python_packages: '-r x' },
      resource_overrides: { cpu_cores: 0.5, memory_gib: 4096 },
    });

    expect(refusals({ request, artifacts: [] })).toEqual([
      'launch.artifact_required /artifact_id',
      'launch.values_invalid /config/host_port',
      'launch.values_invalid /resource_overrides/cpu_cores',
      'launch.values_invalid /config/python_packages',
      'launch.storage_not_ready /config/workspace_mount',
      'launch.resources_exceed_allocation /config/gpu_count',
      'launch.resources_exceed_allocation /resource_overrides/memory_gib',
    ]);
  });

  it.each<[string, Parameters<typeof aRequest>[0], string]>([
    ['an option of the installer', { config: { python_packages: '-r x' } }, 'It has -r, which begins with `-`: '],
    ['a number that is text', { config: { host_port: 'high' } }, 'It must be a whole number.'],
    ['too many cards', { resource_overrides: { gpu_count: 2 } }, ' GPUs: 2 asked for, 1 of 1 free.'],
  ])('say in a sentence what is wrong with %s', (_what, wish, words) => {
    const checked = checkLaunch(launchFacts({ request: aRequest(wish) }));

    expect(checked.ok ? '' : checked.refusals.map(({ message }) => message).join('\n')).toContain(words);
  });

  it('say of a wrong value that it is wrong, and draw nothing from what it would be by default', () => {
    const { artifact_id: _, ...request } = aRequest({
      config: { host_port: 80, workspace_mount: 'nfs', exposure_mode: 'public' },
      resource_overrides: { gpu_count: -1 },
    });
    const profile = jupyterProfile({
      '/storage/mounts/0/modes': ['project_storage'],
      '/network/endpoints/0/exposure_modes': ['platform_proxy'],
    });

    const found = refusals({ request, profile, artifacts: [], ...neighbour({ host_ports: { web: 8888 } }) });

    expect(found).toEqual([
      'launch.values_invalid /config/workspace_mount',
      'launch.values_invalid /config/exposure_mode',
      'launch.values_invalid /config/host_port',
      'launch.values_invalid /resource_overrides/gpu_count',
    ]);
  });

  it('tell nothing of an allocation of another project, not even that it is full (G-108)', () => {
    const shape = { gpu_count: 0, cpu_cores: 1, memory_gib: 1 };
    const foreign = anAllocation({ project_id: 'p2', state: 'ended', shape });

    expect(refusals({ allocation: foreign })).toEqual(refusals({ allocation: undefined }));
  });

  it('give cores and memory of a stopped or failed instance free, but not its cards, nor the port of a stopped one', () => {
    const noCard = 'launch.resources_exceed_allocation /resource_overrides/gpu_count';
    const holding = (state: 'stopped' | 'failed' | 'decommissioned' | 'unknown') =>
      refusals({
        request: withCards(1),
        ...neighbour({ state, resources: { gpu_count: 1, cpu_cores: 8, memory_gib: 32 }, host_ports: { web: 8888 } }),
      });

    expect(holding('decommissioned')).toEqual([]);
    expect(holding('stopped')).toEqual([noCard, 'launch.host_port_taken /config/host_port']);
    expect(holding('failed')).toEqual([noCard]);
    const notAsked = `launch.node_unavailable ${target}`;
    expect(holding('unknown')).toEqual([notAsked, 'launch.host_port_taken /config/host_port']);
  });

  it('take the one artifact that fits where none is named, and ask where there are two (G-104)', () => {
    const { artifact_id: _, ...request } = aRequest();
    const other = anArtifact({ id: 'artifact-2', digest: `sha256:${'b'.repeat(64)}` });

    expect(refusals({ request })).toEqual([]);
    expect(refusals({ request, artifacts: [anArtifact(), other] })).toEqual(['launch.artifact_required /artifact_id']);
    expect(refusals({ request, artifacts: [anArtifact(), { ...other, trust: 'revoked' }] })).toEqual([]);
  });

  it.each<[string, Partial<Artifact>, string]>([
    [
      'is retired',
      { lifecycle: 'retired' },
      'The version is locked to runtime-cpu, which is retired. An operator locks it',
    ],
    [
      'is revoked',
      { trust: 'revoked' },
      'The version is locked to runtime-cpu, which is revoked. An operator locks it',
    ],
    ['is not believed yet', { trust: 'unverified' }, 'None of the images of its release lock is registered, verified'],
  ])('say where none is named and the locked image %s what it is, and who can change it (G-243)', (_, is, words) => {
    const { artifact_id: _id, ...request } = aRequest();
    const locked = anArtifact(is);
    const { id, digest, name } = locked;
    const version = {
      ...launchFacts().version,
      lock: {
        ...{ artifacts: { [name]: { artifact_id: id, digest } }, channel: null, at: '2026-11-25T10:00:00.000Z' },
        ...{ actor: 'init', correlation_id: 'c' },
      },
    } as AppVersion;
    const free = anArtifact({ id: 'free', digest: `sha256:${'c'.repeat(64)}` });

    const said = (artifacts: Artifact[], of: Partial<LaunchFacts> = { version }) => {
      const checked = checkLaunch(launchFacts({ request, artifacts, ...of }));
      return checked.ok ? [] : checked.refusals.map(({ code, message }) => `${code} ${message}`);
    };

    expect(said([locked, free])).toEqual([expect.stringContaining(words)]);
    expect(said([], {})).toEqual([expect.stringContaining('None of its images is registered, verified')]);
    expect(said([free, { ...free, id: 'other' }], {})).toEqual([expect.stringMatching(/exactly one that fits\.$/)]);
  });

  it('blame no image where it is the values that cannot be used', () => {
    const { artifact_id: _, ...request } = aRequest({ config: { bogus: 1 } });

    expect(refusals({ request })).toEqual(['launch.values_invalid /config/bogus']);
  });
});

describe('a checked launch', () => {
  it('is known by what it went through, not by how it looks (G-118)', () => {
    const checked = checkLaunch(launchFacts());
    const launch = checked.ok ? checked.launch : undefined;

    expect(launch && hasPassed(launch)).toBe(true);
    expect(hasPassed({ ...launch } as CheckedLaunch)).toBe(false);
  });
});

describe('the switch of launches', () => {
  it('is on for the exact text `true` only (G-164)', () => {
    expect(['true', 'TRUE', '1', 'yes', ' true', '', undefined].filter(isLaunchEnabled)).toEqual(['true']);
  });
});

describe('refused', () => {
  it('is the failure of the first reason and lists all of them', () => {
    const checked = checkLaunch(launchFacts({ isEntitled: false, ...ownArtifact({ lifecycle: 'retired' }) }));
    const error = refused(checked.ok ? [] : checked.refusals);

    expect(error.code).toBe('launch.not_entitled');
    expect(error.message).toBe('The project is not entitled to the app. 1 more in `errors`.');
    expect(error.detail['errors']).toMatchObject([
      { code: 'launch.not_entitled', path: '/app_slug', hint: expect.any(String) },
      { code: 'launch.artifact_retired', path: '/artifact_id' },
    ]);
  });
});

describe('LaunchRequest', () => {
  it('takes the values that the form makes, as they are (G-12)', () => {
    const { config, resource_overrides } = initialChoices(jupyterProfile());

    expect(judge(LaunchRequest, { ...aRequest(), config, resource_overrides }).ok).toBe(true);
  });

  it.each<[string, object, string]>([
    [
      'a placement key of Slurm (G-105, G-106)',
      { placement_intent: { controller_allocation_id: 'x' } },
      '/placement_intent/controller_allocation_id',
    ],
    [
      'a placement key of RKE2 (G-106)',
      { placement_intent: { server_allocation_id: 'x' } },
      '/placement_intent/server_allocation_id',
    ],
    ['what is no UUID (G-101)', { placement_intent: { target_allocation_id: 'alloc-1' } }, target],
    ['an image (G-215)', { image: 'evil/x:latest' }, '/image'],
    ['a host path (G-205)', { host_path: '/home' }, '/host_path'],
    ['YAML of an engine (G-97)', { compose: 'services: {}' }, '/compose'],
    ['a privilege (G-216)', { privileged: true }, '/privileged'],
    ['an amount nobody knows (G-103)', { resource_overrides: { disk_gib: 4 } }, '/resource_overrides/disk_gib'],
    ['an empty name (G-100)', { display_name: '' }, '/display_name'],
    ['a name with control characters (G-100)', { display_name: 'a\u001bb' }, '/display_name'],
    ['a name that is too long (G-100)', { display_name: 'a'.repeat(129) }, '/display_name'],
    ['nested configuration', { config: { a: { b: 1 } } }, '/config/a'],
  ])('refuses %s', (_what, given, path) => {
    const judged = judge(LaunchRequest, { ...aRequest(), ...given });

    expect(judged.ok ? [] : judged.errors.map((error) => error.path)).toContain(path);
  });
});
