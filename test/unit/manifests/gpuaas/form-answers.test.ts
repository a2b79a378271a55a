import { describe, expect, it } from 'vitest';
import {
  answerTo,
  type FormOffers,
  initialAnswers,
  judgeAnswers,
  judgeStep,
  type LaunchAnswers,
  launchRequest,
  stepOf,
  withAnswer,
} from '../../../../src/manifests/gpuaas/form-answers.ts';
import { formModel } from '../../../../src/manifests/gpuaas/form-model.ts';
import { type Changes, jupyterProfile, vllmProfile } from '../../../support/profiles.ts';

const wizard = '/parameters/ui/launch_wizard/steps';
const target = { target_allocation_id: 'a1' };
const picked = { ...target, artifact_id: 'i1' };
const offers: FormOffers = {
  allocations: [
    { id: 'a1', eligible: true, reasons: [] },
    { id: 'a2', eligible: false, reasons: ['It is releasing.'] },
  ],
  artifacts: [{ id: 'i1' }],
  unavailable: [{ pointer: '/config/workspace_mount', value: 'project_storage', reason: 'nothing is mounted yet.' }],
  host_ports: { taken: [8888], suggested: { '/config/host_port': 8889 } },
};

function wrong(answers: Partial<LaunchAnswers>, known: FormOffers = {}, changes: Changes = {}): string[] {
  const profile = jupyterProfile(changes);
  return judgeAnswers(profile, { ...initialAnswers(profile), ...answers }, known).map(
    ({ path, code }) => `${path} ${code}`,
  );
}

function onStep(id: string, answers: Partial<LaunchAnswers>, known: FormOffers = {}, changes: Changes = {}): string[] {
  const profile = jupyterProfile(changes);
  const step = formModel(profile).steps.find((each) => each.id === id);
  if (!step) throw new Error(`no step ${id}`);
  return judgeStep(profile, step, { ...initialAnswers(profile), ...answers }, known).map(({ message }) => message);
}

describe('the answers of a form', () => {
  it('are complete from the start, but for the allocation and the image (G-51, G-52)', () => {
    expect(wrong({})).toEqual(['/placement_intent/target_allocation_id required', '/artifact_id required']);
    expect(wrong(picked)).toEqual([]);
  });

  it('may not name an allocation that cannot be used, and say why (G-51)', () => {
    expect(onStep('target', { target_allocation_id: 'a2' }, offers)).toEqual(['cannot be used: It is releasing.']);
    expect(onStep('target', target, offers)).toEqual([]);
  });

  it('may not name what is not offered, or not any more (G-61)', () => {
    expect(onStep('runtime', { artifact_id: 'gone' }, offers)).toEqual(['is not offered any more: choose another one']);
    expect(onStep('runtime', {}, { artifacts: [], artifact_reason: 'no image is verified' })).toEqual([
      'is missing: no image is verified',
    ]);
  });

  it('may not choose what the environment lacks, and say why (G-54)', () => {
    const stored = { config: { workspace_mount: 'project_storage' } };

    expect(onStep('storage', stored, offers)).toEqual(['cannot be project_storage here: nothing is mounted yet.']);
    expect(onStep('storage', stored)).toEqual([]);
  });

  it('may not ask for a port that is taken, and say which is free (G-55)', () => {
    expect(onStep('access', {}, offers)).toEqual(['is taken on this allocation: 8889 is free']);
    expect(onStep('access', { config: { host_port: 8889 } }, offers)).toEqual([]);
    // A field that is left empty asks for its default.
    expect(onStep('access', { config: {} }, offers)).toEqual(['is taken on this allocation: 8889 is free']);
  });

  it('may not ask for more than the chosen allocation has left (G-53)', () => {
    const free = { gpu_count: 0, cpu_cores: 2, memory_gib: 3.5 };
    const known = { allocations: [{ id: 'a1', eligible: true, reasons: [], free }] };

    expect(onStep('resources', target, known)).toEqual([
      'is more than the allocation has left: 0',
      'is more than the allocation has left: 3.5',
    ]);
    expect(onStep('resources', {}, known)).toEqual([]);
  });

  it('need a credential and a service account exactly where the page requires them (G-62, G-63)', () => {
    const component = (kind: string, required: boolean) => ({ [`${wizard}/0/components/1`]: { kind, required } });
    const credential = component('platform.access_credential', true);
    const account = component('platform.operator_service_account', true);

    expect(wrong(picked, {}, credential)).toEqual(['/access_credential_id required']);
    expect(wrong({ ...picked, access_credential_id: 'c1' }, {}, credential)).toEqual([]);
    expect(wrong({ ...picked, access_credential_id: 'c1' }, { access_credentials: [] }, credential)).toEqual([
      '/access_credential_id not_offered',
    ]);
    expect(wrong(picked, {}, account)).toEqual(['/service_account_id required']);
    expect(wrong(picked, {}, component('platform.operator_service_account', false))).toEqual([]);
  });

  it.each([
    ['', 'required'],
    ['a'.repeat(129), 'maxLength'],
    ['two\nlines', 'pattern'],
    ['turned \u202etxet', 'pattern'],
    ['two\u2028lines', 'pattern'],
  ])('take no display name like %j (G-100)', (display_name, code) => {
    expect(wrong({ ...picked, display_name })).toEqual([`/display_name ${code}`]);
  });

  it('say what is wrong with a secret without a word of it', () => {
    const profile = vllmProfile();
    const judged = (hub_token: string | { credential_id: string }) =>
      judgeAnswers(profile, { ...initialAnswers(profile), ...picked, secrets: { hub_token } });

    expect(judged('hf_abc')).toEqual([]);
    expect(judged({ credential_id: 'c1' })).toEqual([]);
    expect(judged('my secret').map(({ path, code }) => `${path} ${code}`)).toEqual(['/secrets/hub_token pattern']);
    expect(JSON.stringify([judged('my secret'), judged('x'.repeat(4097))])).not.toMatch(/my secret|xxx/);
  });

  it('are judged where no page shows them as well', () => {
    const noPort = { [`${wizard}/4/components`]: [{ kind: 'field', name: 'exposure_mode' }] };

    expect(wrong({ ...picked, config: { host_port: 80 } }, {}, noPort)).toEqual(['/config/host_port minimum']);
  });
});

describe('secrets', () => {
  const profile = vllmProfile();
  const kinds = (changes: Changes) =>
    formModel(vllmProfile(changes)).steps.flatMap(({ id, components }) =>
      components.flatMap((each) => (each.kind === 'secret' ? [`${id} ${each.secret.name} ${each.required}`] : [])),
    );

  it('stand where the wizard puts them', () => {
    const place = { [`${wizard}/1/components/8`]: { kind: 'secret', name: 'hub_token', required: true } };

    expect(kinds(place)).toEqual(['model hub_token true']);
  });

  it('stand before the review where it does not', () => {
    expect(kinds({ [`${wizard}/1/components/8`]: undefined })).toEqual(['access hub_token false']);
  });

  it('have a page of their own where there is no wizard', () => {
    expect(kinds({ '/parameters/ui': undefined })).toEqual(['secrets hub_token false']);
  });

  it('can be brought or left out', () => {
    expect(launchRequest(profile, '1', initialAnswers(profile))).not.toHaveProperty('secrets');
    expect(
      launchRequest(profile, '1', { ...initialAnswers(profile), secrets: { hub_token: { credential_id: 'c1' } } }),
    ).toMatchObject({ secrets: { hub_token: { credential_id: 'c1' } } });
  });
});

describe('stepOf', () => {
  it('finds the step that fills what a refusal points to', () => {
    const { steps } = formModel(jupyterProfile());

    expect(
      [
        '/placement_intent/target_allocation_id',
        '/artifact_id',
        '/resource_overrides/gpu_count',
        '/config/gpu_count',
        '/config/host_port',
        '/display_name',
        '/app_version',
      ].map((path) => steps[stepOf(steps, path) ?? -1]?.id),
    ).toEqual(['target', 'runtime', 'resources', 'resources', 'access', 'target', undefined]);
  });
});

describe('withAnswer', () => {
  it('puts amounts among the overrides and the rest into config (G-102, G-103)', () => {
    const answers = withAnswer(withAnswer({ config: {}, resource_overrides: {} }, 'gpu_count', 2), 'host_port', 9000);

    expect(answers).toEqual({ config: { host_port: 9000 }, resource_overrides: { gpu_count: 2 } });
    expect(answerTo(answers, 'gpu_count')).toBe(2);
    expect(withAnswer(answers, 'gpu_count', undefined).resource_overrides).toEqual({});
  });
});

describe('launchRequest', () => {
  it('makes the request of the reference, and nothing beyond it (G-12, G-60, G-101 to G-104)', () => {
    const profile = jupyterProfile();
    const answers = { ...initialAnswers(profile), ...picked, display_name: 'My JupyterLab' };

    expect(launchRequest(profile, '2026.04-preview', answers)).toEqual({
      app_slug: 'jupyterlab',
      app_version: '2026.04-preview',
      display_name: 'My JupyterLab',
      placement_intent: { target_allocation_id: 'a1' },
      artifact_id: 'i1',
      config: { workspace_mount: 'scratch', exposure_mode: 'private', host_port: 8888, python_packages: '' },
      resource_overrides: { gpu_count: 1, cpu_cores: 2, memory_gib: 4 },
    });
  });
});
