/** A plan is held against the manifest that it travels with. */
import { describe, expect, it } from 'vitest';
import type { ExeScript } from '../../../../src/contract/exe-script.ts';
import type { JobPlan, JobStep } from '../../../../src/contract/job-plan.ts';
import { findingsOfPlan } from '../../../../src/policy/check-job-plan.ts';
import { checkPromises, checkTransfers } from '../../../../src/policy/promises/check-promises.ts';
import { plan, service, step } from '../../../support/job-plans.ts';
import { payloadManifest, payloadPlan, withNetwork, withScript } from '../../../support/payload-manifests.ts';

const now = Date.parse('2026-01-01T00:00:00Z');
const date: ExeScript = [{ run: { entry_point: '/bin/date' } }];
const promises = withScript(['run /bin/date']);

function brokenBy(plan: JobPlan, manifest = promises, { compat = false, at = now } = {}): string[] {
  return checkPromises(plan, manifest, { compat, now: at }).flatMap(({ failure, errors }) =>
    errors.map(({ path }) => `${failure} ${path}`),
  );
}

const withStep = (over: Partial<JobStep>) => {
  const plan = payloadPlan(promises, date);
  return { ...plan, steps: plan.steps.map((step) => ({ ...step, ...over })) };
};

describe('a plan', () => {
  it('keeps what its manifest promises', () => {
    const plan = payloadPlan(promises, [{ deploy: {} }, { start: {} }, ...date, { terminate: {} }]);

    expect(brokenBy(plan)).toEqual([]);
    expect(findingsOfPlan(plan).flatMap(({ errors }) => errors)).toEqual([]);
  });

  it('has no command that the manifest does not list (M-18)', () => {
    const plan = payloadPlan(promises, [...date, { run: { entry_point: '/bin/sh', args: ['-c', 'id'] } }]);
    const [refused] = checkPromises(plan, promises, { compat: false, now }).flatMap(({ errors }) => errors);

    expect(brokenBy(plan)).toEqual(['command.refused /steps/0/script/1']);
    expect(refused?.message).toMatch(
      /run \/bin\/sh -c id.*its program is \/bin\/sh.*nearest rule is "run \/bin\/date"/,
    );
  });

  it('runs the payload of the manifest and nothing else (M-1)', () => {
    const other = payloadPlan(
      payloadManifest({ payload: [{ urls: ['https://x.example/y'], hash: `sha3:${'0'.repeat(56)}` }] }),
      date,
    );
    const [image] = payloadPlan(promises, date).images;

    expect(brokenBy({ ...payloadPlan(promises, date), images: other.images })).toEqual([
      'manifest.broken_promise /images/0/source',
    ]);
    expect(brokenBy(payloadPlan(promises, date, { images: image ? [image, { ...image, id: 'b' }] : [] }))).toEqual([
      'manifest.broken_promise /images',
    ]);
    expect(brokenBy(payloadPlan(promises, date, { services: [service('db')] }))).toEqual([
      'manifest.broken_promise /services',
    ]);
  });

  it('has nothing around its script that makes commands mean something else', () => {
    const volume = 'input';

    expect(brokenBy(withStep({ env: { values: { LD_PRELOAD: '/golem/input/x.so' }, merge: [] } }))).toEqual([
      'manifest.broken_promise /steps/0/env',
    ]);
    expect(brokenBy(withStep({ work_dir: '/golem/input' }))).toEqual(['manifest.broken_promise /steps/0/work_dir']);
    expect(brokenBy(withStep({ mounts: [{ volume, path: '/bin', read_only: false }] }))).toEqual([
      'manifest.broken_promise /steps/0/mounts/0/path',
    ]);
    expect(brokenBy({ ...payloadPlan(promises, date), steps: [step('script')] })).toEqual([
      'manifest.broken_promise /steps/0/script',
    ]);
  });

  it('is refused before and after its manifest holds (M-4)', () => {
    expect(brokenBy(payloadPlan(promises, date), promises, { at: Date.parse('2100-01-01T00:00:00Z') })).toEqual([
      'manifest.expired /signed_manifest/manifest',
    ]);
    expect(brokenBy(payloadPlan(promises, date), promises, { at: 0 })).toEqual([
      'manifest.expired /signed_manifest/manifest',
    ]);
  });

  it('is refused with a manifest that cannot be read', () => {
    const broken = withScript(['run ('], 'regex');

    expect(brokenBy(payloadPlan(broken, date), broken)).toEqual(['manifest.broken_promise /signed_manifest/manifest']);
    const { errors = [] } = checkPromises(payloadPlan(broken, date), broken, { compat: false, now })[1] ?? {};
    expect(errors[0]?.message).toMatch(/^has a manifest whose \/compManifest\/script\/commands\/0 is no expression/);
  });
});

describe('a plan without its manifest', () => {
  it('is refused where its dialect is held against one, and has no mode of it (M-1)', () => {
    const { signed_manifest: _none, ...bare } = payloadPlan(promises, date, { command_policy: 'strict' });
    const golem = { ...bare, identity: { ...bare.identity, dialect: 'golem' as const } };
    const placesOf = (plan: JobPlan) => findingsOfPlan(plan).flatMap(({ errors }) => errors.map(({ path }) => path));

    expect(placesOf(golem)).toEqual(['/signed_manifest', '/command_policy']);
  });

  it('publishes no port where its network leads nowhere but to a list of addresses', () => {
    const expose = [{ kind: 'port', port: 80, protocol: 'http', checks: [] }] satisfies JobStep['expose'];
    const egress = { rules: [], any_public: [] };
    const fenced = plan({ network: 'allow_list', egress, steps: [step('a', { expose })] });

    expect(findingsOfPlan(fenced).flatMap(({ errors }) => errors)).toMatchObject([
      { path: '/steps/0/expose', code: 'no_network' },
    ]);
  });
});

describe('the network of a plan', () => {
  const list = withNetwork({ inet: { out: { urls: ['https://a.example', 'http://b.example:81'] } } }, [
    'run /bin/date',
  ]);
  const any = withNetwork({ inet: { out: { unrestricted: { urls: true }, protocols: ['https'] } } }, ['run /bin/date']);
  const a = { scheme: 'https', host: 'a.example', port: 443 } as const;
  const b = { scheme: 'http', host: 'b.example', port: 81 } as const;
  const planned = (manifest: typeof list, egress: JobPlan['egress']) =>
    payloadPlan(manifest, date, { network: 'allow_list', ...(egress && { egress }) });

  it('is what the manifest promises, or less (M-37)', () => {
    expect(brokenBy(planned(list, { rules: [a, b], any_public: [] }), list)).toEqual([]);
    expect(brokenBy(planned(list, { rules: [b], any_public: [] }), list)).toEqual([]);
    expect(brokenBy(payloadPlan(list, date), list)).toEqual([]);
    expect(brokenBy(planned(any, { rules: [a], any_public: ['https'] }), any)).toEqual([]);
  });

  it('is never more (M-37, M-38, M-39)', () => {
    expect(brokenBy(planned(list, { rules: [a, { ...b, port: 82 }], any_public: ['http'] }), list)).toEqual([
      'manifest.broken_promise /egress/any_public/0',
      'manifest.broken_promise /egress/rules/1',
    ]);
    expect(brokenBy(planned(any, { rules: [b], any_public: ['http', 'https'] }), any)).toHaveLength(2);
    expect(brokenBy(planned(promises, { rules: [], any_public: [] }))).toEqual(['manifest.broken_promise /egress']);
    expect(brokenBy(payloadPlan(list, date, { network: 'bridge' }), list)).toEqual([
      'manifest.broken_promise /network',
    ]);
    expect(brokenBy(planned(payloadManifest(), { rules: [a], any_public: [] }), payloadManifest())).toHaveLength(1);
  });
});

describe('a transfer', () => {
  const rules = ['transfer .*'];
  const manifest = {
    ...withNetwork({ inet: { out: { urls: ['https://a.example'] } } }),
  };
  const script = manifest.compManifest?.script;
  if (script) Object.assign(script, { commands: rules, match: 'regex' });
  const broken = (from: string, to: string, over: Partial<JobPlan> = {}, compat = false) =>
    brokenBy(payloadPlan(manifest, [{ transfer: { from, to } }], over), manifest, { compat });

  it('leads to and from the addresses of the manifest, and files of the volumes (M-34, M-36)', () => {
    expect(broken('https://a.example/x?y', 'container:/golem/input/a/b.txt')).toEqual([]);
    expect(broken('container:/golem/output/x', 'https://a.example/x')).toEqual([]);
  });

  it.each([
    ['https://b.example/x', 'container:/golem/input/x', 'from'],
    ['http://a.example/x', 'container:/golem/input/x', 'from'],
    ['container:/golem/output/x', 'https://a.example:8443/x', 'to'],
    ['http://169.254.169.254/x', 'container:/golem/input/x', 'from'],
    ['gftp://a/x', 'container:/golem/input/x', 'from'],
    ['https://a.example/x', 'container:/etc/passwd', 'to'],
    ['https://a.example/x', 'container:/golem/input/../../etc/passwd', 'to'],
    ['https://a.example/x', 'container:/golem/input/', 'to'],
    ['https://a.example/x', 'container:/golem/input', 'to'],
    ['https://a.example/x', 'container:/golem/other/x', 'to'],
    ['https://a.example/x', 'container:golem/input/x', 'to'],
    ['https://a.example/x', 'https://a.example/y', 'to'],
    ['container:/golem/input/x', 'container:/golem/output/x', 'to'],
  ])('from %s to %s is refused', (from, to, key) => {
    expect(broken(from, to)).toEqual([`manifest.broken_promise /steps/0/script/0/transfer/${key}`]);
  });

  it('never goes to what is private, also where any public address may be reached (M-36)', () => {
    const any = { rules: [], any_public: ['http' as const, 'https' as const] };
    const errors = (from: string) => checkTransfers(any, [{ transfer: { from, to } }], '');
    const to = 'container:/golem/input/x';

    expect(errors('https://a.example/x')).toEqual([]);
    for (const host of ['10.0.0.1', '169.254.169.254', '[::1]', 'localhost']) {
      expect(errors(`http://${host}/x`)).toMatchObject([{ path: '/0/transfer/from', code: 'private' }]);
    }
  });

  it('is held against the same network where commands are compared as upstream does, and never goes to what is private', () => {
    const yagna = { command_policy: 'yagna' } as const;

    expect(broken('https://a.example/x', 'container:/golem/input/x', yagna, true)).toEqual([]);
    expect(broken('http://10.0.0.1/x', 'container:/golem/input/x', yagna, true)).toHaveLength(1);
    expect(broken('https://b.example/x', 'container:/golem/input/x', yagna, true)).toHaveLength(1);
  });
});

describe('a plan that is judged as upstream does', () => {
  const manifest = withScript(['run curl.*'], 'regex');
  const script: ExeScript = [{ run: { entry_point: 'sh', args: ['-c', 'run curl x'] } }];
  const plan = payloadPlan(manifest, script, { command_policy: 'yagna' });

  it('needs an operator who accepts that', () => {
    expect(brokenBy(plan, manifest)).toEqual(['policy.refused /command_policy']);
    expect(brokenBy(plan, manifest, { compat: true })).toEqual([]);
  });

  it('is judged strictly where it does not ask for it, whatever the operator accepts', () => {
    expect(brokenBy(payloadPlan(manifest, script), manifest, { compat: true })).toEqual([
      'command.refused /steps/0/script/0',
    ]);
  });
});
