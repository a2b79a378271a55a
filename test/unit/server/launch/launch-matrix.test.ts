/** What is accepted is accepted because every check says so: tables of every combination, and launches at random. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Allocation } from '../../../../src/server/db/entities/allocation.ts';
import { type Artifact, lifecycles, trusts } from '../../../../src/server/db/entities/artifact.ts';
import { checkLaunch, hasPassed, type LaunchFacts } from '../../../../src/server/launch/checks.ts';
import { environmentOf } from '../../../../src/server/launch/environment.ts';
import type { LaunchRequest } from '../../../../src/server/launch/launch-request.ts';
import { sampleGpu } from '../../../support/gpus.ts';
import {
  aNode,
  anApp,
  anArtifact,
  aRequest,
  aVersion,
  imageDigest,
  launchFacts,
  settings,
} from '../../../support/launch-samples.ts';
import { jupyterProfile } from '../../../support/profiles.ts';
import { anAllocation, anInstance } from '../../../support/store-samples.ts';

const target = '/placement_intent/target_allocation_id';

function refusalsOf(given: Partial<LaunchFacts>): string[] {
  const checked = checkLaunch(launchFacts(given));
  return checked.ok ? [] : checked.refusals.map(({ code, path }) => `${code} ${path}`);
}

describe('an allocation', () => {
  it.each<[Allocation['state'], string, string[]]>([
    ['active', 'p1', []],
    ['releasing', 'p1', [`launch.allocation_not_active ${target}`]],
    ['ended', 'p1', [`launch.allocation_not_active ${target}`]],
    ['active', 'p2', [`launch.allocation_not_in_project ${target}`]],
    ['releasing', 'p2', [`launch.allocation_not_in_project ${target}`]],
    ['ended', 'p2', [`launch.allocation_not_in_project ${target}`]],
  ])(
    'that is %s and of %s is judged by both, and of another project nothing more is told (G-107, G-108)',
    (state, project_id, expected) => {
      expect(refusalsOf({ allocation: anAllocation({ state, project_id }) })).toEqual(expected);
    },
  );
});

describe('app, version and entitlement', () => {
  const hidden = 'launch.app_not_found /app_slug';
  const unentitled = 'launch.not_entitled /app_slug';
  const unpublished = 'launch.version_not_published /app_version';

  it.each<['active' | 'hidden', 'draft' | 'published' | 'withdrawn', boolean, string[]]>([
    ['active', 'published', true, []],
    ['active', 'published', false, [unentitled]],
    ['active', 'draft', true, [unpublished]],
    ['active', 'draft', false, [unentitled, unpublished]],
    ['active', 'withdrawn', true, [unpublished]],
    ['active', 'withdrawn', false, [unentitled, unpublished]],
    ['hidden', 'published', true, [hidden]],
    ['hidden', 'published', false, [hidden]],
    ['hidden', 'draft', false, [hidden]],
    ['hidden', 'withdrawn', false, [hidden]],
  ])('%s, %s and entitled: %s are told apart (G-98, G-99, G-109)', (status, version, isEntitled, expected) => {
    expect(refusalsOf({ app: anApp({ status }), version: aVersion({ status: version }), isEntitled })).toEqual(
      expected,
    );
  });
});

describe('an artifact', () => {
  const onProd: Artifact['promotions'] = [
    {
      ...{ channel: 'prod', digest: imageDigest, actor: 'token-1', at: '2026-11-25T10:00:00.000Z' },
      correlation_id: 'trace-1',
    },
  ];
  const policies = {
    published: environmentOf({ ...settings, artifactPolicy: 'published' }),
    promoted: environmentOf({ ...settings, artifactPolicy: 'promoted' }),
    'promoted on prod': environmentOf({ ...settings, artifactPolicy: 'promoted', artifactChannel: 'prod' }),
    'promoted on test': environmentOf({ ...settings, artifactPolicy: 'promoted', artifactChannel: 'test' }),
  } as const;
  /** What each policy says of each lifecycle, written out: the table of X-6. */
  const byLifecycle: Readonly<Record<Artifact['lifecycle'], Readonly<Record<keyof typeof policies, string | null>>>> = {
    published: {
      ...{ published: null, promoted: 'launch.artifact_not_promoted' },
      ...{ 'promoted on prod': 'launch.artifact_not_promoted', 'promoted on test': 'launch.artifact_not_promoted' },
    },
    promoted: {
      ...{ published: null, promoted: null, 'promoted on prod': null },
      'promoted on test': 'launch.artifact_not_promoted',
    },
    deprecated: {
      ...{ published: 'launch.artifact_retired', promoted: 'launch.artifact_retired' },
      ...{ 'promoted on prod': 'launch.artifact_retired', 'promoted on test': 'launch.artifact_retired' },
    },
    retired: {
      ...{ published: 'launch.artifact_retired', promoted: 'launch.artifact_retired' },
      ...{ 'promoted on prod': 'launch.artifact_retired', 'promoted on test': 'launch.artifact_retired' },
    },
  };
  const all = lifecycles.flatMap((lifecycle) =>
    trusts.flatMap((trust) =>
      Object.keys(policies).map((policy) => [lifecycle, trust, policy as keyof typeof policies] as const),
    ),
  );

  it('has sixty-four cases', () => expect(all).toHaveLength(64));

  it.each(all)('that is %s and %s, where the policy is %s (X-6, G-110, G-111, G-168)', (lifecycle, trust, policy) => {
    const expected = [byLifecycle[lifecycle][policy], trust === 'verified' ? null : 'launch.artifact_untrusted'];
    const artifact = anArtifact({ lifecycle, trust, promotions: onProd });

    expect(refusalsOf({ artifacts: [artifact], environment: policies[policy] })).toEqual(
      expected.filter((code) => code !== null).map((code) => `${code} /artifact_id`),
    );
    // And none is taken unasked that would be refused by name.
    const { artifact_id: _, ...request } = aRequest();
    const unasked = refusalsOf({ request, artifacts: [artifact], environment: policies[policy] });
    expect(unasked).toEqual(expected.every((code) => code === null) ? [] : ['launch.artifact_required /artifact_id']);
  });

  it.each([
    ...['', 'latest', 'sha256:', `sha256:${'a'.repeat(63)}`, `sha256:${'a'.repeat(65)}`, `sha256:${'A'.repeat(64)}`],
    ...[`sha256:${'g'.repeat(64)}`, `SHA256:${'a'.repeat(64)}`, `sha512:${'a'.repeat(128)}`, `md5:${'a'.repeat(32)}`],
    ...[`sha256:${'a'.repeat(64)} `, ` sha256:${'a'.repeat(64)}`, `sha256:${'a'.repeat(64)}\n`, 'a'.repeat(64)],
  ])('is never launched by %j (G-111, G-211)', (digest) => {
    expect(refusalsOf({ artifacts: [anArtifact({ digest })] })).toEqual(['launch.digest_invalid /artifact_id']);
  });
});

/** One fact of a launch: as it should be by default, and what each way of being otherwise leads to. */
interface Fault {
  readonly code: string;
  readonly facts?: Partial<LaunchFacts>;
  readonly request?: Partial<LaunchRequest>;
  readonly config?: LaunchRequest['config'];
  readonly amounts?: LaunchRequest['resource_overrides'];
  readonly artifact?: Partial<Artifact>;
}

const nobodys = environmentOf({ ...settings, launchEnabled: false });
const open = '/parameters/schema/properties/exposure_mode/enum';
const profile = jupyterProfile({ [open]: ['private', 'platform_proxy'] });

/** In the order of the checks; of each line one is taken, or none. */
const faults: readonly (readonly Fault[])[] = [
  [
    { code: 'launch.allocation_missing', request: { placement_intent: {} } },
    { code: 'launch.allocation_not_in_project', facts: { allocation: anAllocation({ project_id: 'p2' }) } },
    { code: 'launch.allocation_not_active', facts: { allocation: anAllocation({ state: 'ended' }) } },
  ],
  [{ code: 'launch.not_entitled', facts: { isEntitled: false } }],
  [{ code: 'launch.version_not_published', facts: { version: aVersion({ status: 'draft' }) } }],
  [{ code: 'launch.artifact_mismatch', artifact: { name: 'runtime-tpu' } }],
  [{ code: 'launch.artifact_retired', artifact: { lifecycle: 'retired' } }],
  [
    { code: 'launch.artifact_untrusted', artifact: { trust: 'revoked' } },
    { code: 'launch.digest_invalid', artifact: { digest: 'latest' } },
    { code: 'launch.registry_denied', artifact: { repository: 'docker.io/library/x' } },
  ],
  [
    { code: 'launch.values_invalid', config: { python_packages: '-r x' } },
    { code: 'launch.values_invalid', config: { image: 'evil' } },
  ],
  [{ code: 'launch.storage_not_ready', config: { workspace_mount: 'project_storage' } }],
  [{ code: 'launch.exposure_not_supported', config: { exposure_mode: 'platform_proxy' } }],
  [
    { code: 'launch.resources_exceed_allocation', amounts: { gpu_count: 2 } },
    { code: 'launch.resources_exceed_allocation', amounts: { memory_gib: 33 } },
    { code: 'launch.resources_exceed_allocation', amounts: { cpu_cores: 9 } },
    {
      ...{ code: 'launch.resources_exceed_allocation', amounts: { gpu_count: 1 } },
      facts: { host: { cards: [sampleGpu({ health: 'unhealthy', reason: 'Xid 79' })], strangers: new Set() } },
    },
  ],
  [{ code: 'launch.host_port_taken', facts: { neighbours: [anInstance({ host_ports: { web: 8888 } })] } }],
];

function factsWith(chosen: readonly Fault[], environment = environmentOf(settings)): LaunchFacts {
  const request = aRequest({
    config: Object.assign({ host_port: 8888 }, ...chosen.map(({ config }) => config ?? {})),
    resource_overrides: Object.assign({ gpu_count: 0 }, ...chosen.map(({ amounts }) => amounts ?? {})),
    ...Object.assign({}, ...chosen.map((each) => each.request ?? {})),
  });
  const artifacts = [anArtifact(Object.assign({}, ...chosen.map(({ artifact }) => artifact ?? {})))];
  const facts = launchFacts({ profile, node: aNode(), request, artifacts, environment });
  return { ...facts, ...Object.assign({}, ...chosen.map((each) => each.facts ?? {})) };
}

describe('launches at random', () => {
  const anyFaults = fc.tuple(...faults.map((ways) => fc.option(fc.constantFrom(...ways), { nil: undefined })));

  it('are accepted where nothing stands against them, and never otherwise; all of it is told, in the order of the checks (G-116, G-118)', () => {
    fc.assert(
      fc.property(anyFaults, fc.boolean(), (picked, isOn) => {
        const chosen = picked.flatMap((fault) => fault ?? []);
        const codes = chosen.map(({ code }) => code);
        // Where it would run nobody may know: then nobody says what is free there.
        const isPlaced = !codes.some((code) => code === 'launch.allocation_not_in_project');
        const ofPlace = new Set([
          'launch.resources_exceed_allocation',
          'launch.host_port_taken',
          'launch.storage_not_ready',
        ]);
        const expected = codes.filter((code) => isPlaced || !ofPlace.has(code));

        const checked = checkLaunch(factsWith(chosen, isOn ? environmentOf(settings) : nobodys));

        const told = checked.ok ? [] : checked.refusals.map(({ code }) => code);
        expect(told).toEqual([...expected, ...(isOn ? [] : ['launch.adapter_not_enabled'])]);
        expect(checked.ok).toBe(chosen.length === 0 && isOn);
        if (checked.ok) expect(hasPassed(checked.launch)).toBe(true);
        else
          for (const { path, message, hint } of checked.refusals) {
            expect(path).toMatch(/^(\/[a-z0-9_]+)+$/);
            expect(message.length * hint.length).toBeGreaterThan(0);
          }
      }),
      { numRuns: 300 },
    );
  });
});
