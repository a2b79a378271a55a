import { describe, expect, it } from 'vitest';
import { type Offers, offersOf, offersPath } from '../../../../src/console/pages/launch/offers.ts';
import {
  barrierBefore,
  beginWizard,
  type WizardAction,
  type WizardState,
  wizardOf,
} from '../../../../src/console/pages/launch/wizard-state.ts';
import { type FormField, formModel } from '../../../../src/manifests/gpuaas/form-model.ts';
import type { WorkloadProfile } from '../../../../src/manifests/gpuaas/profile.ts';
import { jupyterProfile, vllmProfile } from '../../../support/profiles.ts';

const jupyter = jupyterProfile();

type Allocation = NonNullable<Offers['allocations']>[number];
type Artifact = NonNullable<Offers['artifacts']>[number];

function allocation(given: Partial<Allocation> = {}): Allocation {
  const total = { gpu_count: 2, cpu_cores: 16, memory_gib: 64, ...given.free };
  return {
    id: 'a1',
    name: 'lab',
    eligible: true,
    reasons: [],
    node: null,
    cards: [],
    total,
    free: total,
    project_storage: false,
    ...given,
  } as Allocation;
}

function image(id: string, preferred = true): Artifact {
  return { id, name: id, preferred } as Artifact;
}

const offers = (given: Partial<Offers> = {}): Offers => ({
  ...{ allocations: [allocation()], artifacts: [image('cuda')], unavailable: [] },
  host_ports: { taken: [], suggested: { '/config/host_port': 8888 } },
  ...given,
});

function run(
  actions: readonly WizardAction[],
  profile: WorkloadProfile = jupyter,
  from = beginWizard(profile),
): WizardState {
  return actions.reduce(wizardOf(profile), from);
}

function fieldOf(name: string, profile: WorkloadProfile = jupyter): FormField {
  const component = formModel(profile)
    .steps.flatMap(({ components }) => components)
    .find((each) => each.kind === 'field' && each.field.name === name);
  if (component?.kind !== 'field') throw new Error(`no field ${name}`);
  return component.field;
}

const typed = (name: string, text: string, required = true): WizardAction => ({
  type: 'typed',
  field: fieldOf(name),
  required,
  text,
});
const told = (given: Partial<Offers> = {}): WizardAction => ({ type: 'offered', offers: offers(given) });

describe('a wizard', () => {
  it('is complete where there is one allocation: nothing has to be typed or chosen', () => {
    const { answers } = run([told()]);

    expect(answers).toMatchObject({ target_allocation_id: 'a1', artifact_id: 'cuda', display_name: 'JupyterLab' });
    expect(barrierBefore(jupyter, formModel(jupyter), 6, answers, offers())).toBeUndefined();
  });

  it('chooses the only allocation that can be had, and none of several (G-51)', () => {
    const other = allocation({ id: 'a2' });

    expect(
      run([told({ allocations: [allocation({ eligible: false, reasons: ['No.'] }), other] })]).answers
        .target_allocation_id,
    ).toBe('a2');
    const several = { allocations: [allocation(), other] };
    const { answers } = run([told(several)]);
    expect(answers.target_allocation_id).toBeUndefined();
    expect(barrierBefore(jupyter, formModel(jupyter), 5, answers, offers(several))).toBe(0);
  });

  it('asks for no more cards than there are, where nobody said how many', () => {
    const plain = { allocations: [allocation({ free: { gpu_count: 0, cpu_cores: 16, memory_gib: 64 } })] };

    expect(run([told(plain)]).answers.resource_overrides).toMatchObject({ gpu_count: 0, cpu_cores: 2, memory_gib: 4 });
    // Of an allocation with cards, the default again.
    expect(run([told(plain), told()]).answers.resource_overrides['gpu_count']).toBe(1);
  });

  it('never asks for less than the app needs: then the field says what is wrong', () => {
    const small = { allocations: [allocation({ free: { gpu_count: 1, cpu_cores: 1, memory_gib: 64 } })] };
    const { answers } = run([told(small)]);

    expect(answers.resource_overrides['cpu_cores']).toBe(2);
    expect(barrierBefore(jupyter, formModel(jupyter), 6, answers, offers(small))).toBe(2);
  });

  it('leaves alone what somebody typed, also where it cannot be had (G-53)', () => {
    const plain = { allocations: [allocation({ free: { gpu_count: 0, cpu_cores: 16, memory_gib: 64 } })] };
    const { answers, texts } = run([told(), typed('gpu_count', '2'), told(plain)]);

    expect([answers.resource_overrides['gpu_count'], texts['gpu_count']]).toEqual([2, '2']);
    expect(barrierBefore(jupyter, formModel(jupyter), 6, answers, offers(plain))).toBe(2);
  });

  it('takes a free port where the usual one is taken, unless somebody typed one (G-55)', () => {
    const taken = { host_ports: { taken: [8888], suggested: { '/config/host_port': 8889 } } };

    expect(run([told(taken)]).answers.config['host_port']).toBe(8889);
    const { answers } = run([typed('host_port', '8888'), told(taken)]);
    expect(answers.config['host_port']).toBe(8888);
    expect(barrierBefore(jupyter, formModel(jupyter), 6, answers, offers(taken))).toBe(4);
  });

  it('changes an image that does not fit any more, and says so (G-61)', () => {
    const cpu = { artifacts: [image('old', false), image('cpu')] };
    const state = run([told(), typed('gpu_count', '0'), told(cpu)]);

    expect(state.answers.artifact_id).toBe('cpu');
    expect(state.notice).toContain('The image is cpu now');
    expect(run([told(cpu)], jupyter, state).answers.artifact_id).toBe('cpu');
  });

  it('keeps an image that somebody chose as long as it fits', () => {
    const two = { artifacts: [image('one'), image('two', false)] };

    expect(run([told(two), { type: 'picked', pick: 'artifact_id', id: 'two' }, told(two)]).answers.artifact_id).toBe(
      'two',
    );
  });

  it('has no image where none fits, and says why', () => {
    const none = { artifacts: [], artifact_reason: 'No image is verified.' };
    const { answers } = run([told(), told(none)]);

    expect(answers.artifact_id).toBeUndefined();
    expect(barrierBefore(jupyter, formModel(jupyter), 6, answers, offers(none))).toBe(1);
  });

  it('keeps what is typed as it is typed, and the value beside it (G-53)', () => {
    const { answers, texts } = run([typed('cpu_cores', '2x')]);

    expect([texts['cpu_cores'], answers.resource_overrides['cpu_cores']]).toEqual(['2x', '2x']);
    expect(barrierBefore(jupyter, formModel(jupyter), 6, answers, {})).toBe(0);
  });

  it('forgets a place of another project', () => {
    const { answers } = run([told(), { type: 'picked', pick: 'project_id', id: 'p2' }]);

    expect(answers).toMatchObject({ project_id: 'p2', display_name: 'JupyterLab' });
    expect(answers).not.toHaveProperty('target_allocation_id');
    expect(answers).not.toHaveProperty('artifact_id');
  });

  it('chooses a credential or account by itself only where the manifest asks for one and there is one (G-62, G-63)', () => {
    const things = {
      access_credentials: [{ id: 'c1', name: 'key', kind: 'token' as const }],
      service_accounts: [{ id: 's1', name: 'bot', role: 'viewer' as const }],
    };
    const asking = jupyterProfile({
      '/parameters/ui/launch_wizard/steps/0/components/1': { kind: 'platform.access_credential', required: true },
    });

    expect(run([told(things)]).answers).not.toHaveProperty('access_credential_id');
    const { answers } = run([told(things)], asking);
    expect(answers.access_credential_id).toBe('c1');
    expect(answers).not.toHaveProperty('service_account_id');
  });

  it('takes secrets as text or as a stored credential, and forgets them when they are taken back', () => {
    const vllm = vllmProfile();
    const secret = (value: string | { credential_id: string } | undefined): WizardAction => ({
      type: 'secret',
      name: 'hub_token',
      secret: value,
    });

    expect(run([secret('hf_x')], vllm).answers.secrets).toEqual({ hub_token: 'hf_x' });
    expect(run([secret('hf_x'), secret({ credential_id: 'c1' })], vllm).answers.secrets).toEqual({
      hub_token: { credential_id: 'c1' },
    });
    expect(run([secret('hf_x'), secret(undefined)], vllm).answers.secrets).toEqual({});
  });

  it('never shows a step that is not there', () => {
    expect(run([{ type: 'shown', step: 99 }]).step).toBe(5);
    expect(run([{ type: 'shown', step: -1 }]).step).toBe(0);
  });
});

describe('offers', () => {
  const options = (given: object) =>
    ({
      allocations: [],
      artifacts: [image('x')],
      artifact_reason: null,
      access_credentials: [],
      service_accounts: [],
      unavailable: [],
      host_ports: { taken: [1], suggested: {} },
      ...given,
    }) as unknown as Parameters<typeof offersOf>[0];

  it('say of images and ports nothing until a place is chosen', () => {
    expect(offersOf(undefined, undefined)).toEqual({});
    expect(offersOf(options({}), undefined)).not.toHaveProperty('artifacts');
    expect(offersOf(options({}), options({ artifacts: [image('y')] }))).toMatchObject({
      artifacts: [{ id: 'y' }],
      host_ports: { taken: [1] },
    });
  });

  it('judge places by the app alone, not by how many cards are typed', () => {
    const base = options({ allocations: [allocation()] });
    const chosen = options({ allocations: [allocation({ eligible: false, reasons: ['2 of 1.'] })] });

    expect(offersOf(base, chosen).allocations?.[0]?.eligible).toBe(true);
  });

  it('are asked for with what is a number of cards only', () => {
    const app = { slug: 'a', version: '1+b' };

    expect(offersPath(app, {})).toBe('/api/v1/catalog/apps/a/versions/1%2Bb/launch-options');
    expect(offersPath(app, { allocation_id: 'x', gpu_count: 2 })).toMatch(/\?allocation_id=x&gpu_count=2$/);
    for (const gpu_count of ['2', '', -1, 1.5, 65, undefined]) {
      expect(offersPath(app, { allocation_id: 'x', gpu_count })).toMatch(/\?allocation_id=x$/);
    }
  });
});
