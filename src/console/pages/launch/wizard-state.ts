/**
 * The state of a launch wizard, and how it changes. Pure: what is typed, picked and offered comes in, the next state comes
 * out, so that no click and no answer of the server can be lost between two of them.
 * What the form chooses by itself is `fit-answers.ts`; an image that it replaces is told.
 */
import { valueOfText } from '../../../manifests/gpuaas/field-text.ts';
import { fitAnswers } from '../../../manifests/gpuaas/fit-answers.ts';
import {
  initialAnswers,
  judgeStep,
  type LaunchAnswers,
  type SecretAnswer,
  withAnswer,
} from '../../../manifests/gpuaas/form-answers.ts';
import { type FormField, type FormModel, formModel } from '../../../manifests/gpuaas/form-model.ts';
import type { WorkloadProfile } from '../../../manifests/gpuaas/profile.ts';
import type { Offers } from './offers.ts';

export interface WizardState {
  /** Index of the step that is shown. */
  readonly step: number;
  readonly answers: LaunchAnswers;
  /** What is typed in the field of a parameter, by its name: it need not be a value yet. */
  readonly texts: Readonly<Record<string, string>>;
  /** Pointers of what a person has answered. */
  readonly own: readonly string[];
  /** Steps that somebody tried to leave: everything that is wrong there is shown. */
  readonly tried: readonly number[];
  /** What the form has changed by itself, in a sentence. */
  readonly notice: string | null;
}

/** Picks of one thing of several, by the name of the answer. */
export type Pick =
  | 'project_id'
  | 'target_allocation_id'
  | 'artifact_id'
  | 'access_credential_id'
  | 'service_account_id';

export type WizardAction =
  | { readonly type: 'typed'; readonly field: FormField; readonly required: boolean; readonly text: string }
  | { readonly type: 'picked'; readonly pick: Pick; readonly id: string | undefined }
  | { readonly type: 'named'; readonly text: string }
  | { readonly type: 'secret'; readonly name: string; readonly secret: SecretAnswer | undefined }
  | { readonly type: 'shown'; readonly step: number }
  | { readonly type: 'tried'; readonly step: number }
  | { readonly type: 'offered'; readonly offers: Offers }
  | { readonly type: 'reset' };

export function beginWizard(profile: WorkloadProfile): WizardState {
  return { step: 0, answers: initialAnswers(profile), texts: {}, own: [], tried: [], notice: null };
}

export function wizardOf(profile: WorkloadProfile) {
  const model = formModel(profile);
  return (state: WizardState, action: WizardAction): WizardState => {
    switch (action.type) {
      case 'typed':
        return typed(state, action);
      case 'picked':
        return picked(state, action.pick, action.id);
      case 'named':
        return answered(state, '/display_name', { ...state.answers, display_name: action.text });
      case 'secret':
        return brought(state, action.name, action.secret);
      case 'shown':
        return { ...state, step: Math.min(Math.max(action.step, 0), model.steps.length - 1) };
      case 'tried':
        return state.tried.includes(action.step) ? state : { ...state, tried: [...state.tried, action.step] };
      case 'offered':
        return offered(state, model, action.offers);
      case 'reset':
        return beginWizard(profile);
    }
  };
}

/** The first step before another one that cannot be left yet; undefined where the way is free. */
export function barrierBefore(
  profile: WorkloadProfile,
  { steps }: FormModel,
  step: number,
  answers: LaunchAnswers,
  offers: Offers,
): number | undefined {
  const index = steps.slice(0, step).findIndex((each) => judgeStep(profile, each, answers, offers).length > 0);
  return index < 0 ? undefined : index;
}

function typed(state: WizardState, { field, required, text }: WizardAction & { readonly type: 'typed' }): WizardState {
  const answers = withAnswer(state.answers, field.name, valueOfText(field, text, required));
  return { ...answered(state, field.pointer, answers), texts: { ...state.texts, [field.name]: text } };
}

function picked(state: WizardState, pick: Pick, id: string | undefined): WizardState {
  const changed = { [pick]: id, ...(pick === 'project_id' && id !== state.answers.project_id ? nowhere : {}) };
  const answers = Object.entries({ ...state.answers, ...changed }).filter(([, value]) => value !== undefined);
  return answered(state, pick, Object.fromEntries(answers) as unknown as LaunchAnswers);
}

/** Nothing of one project can be had in another. */
const nowhere = {
  ...{ target_allocation_id: undefined, artifact_id: undefined },
  ...{ access_credential_id: undefined, service_account_id: undefined },
};

function brought(state: WizardState, name: string, secret: SecretAnswer | undefined): WizardState {
  const { [name]: _, ...rest } = state.answers.secrets ?? {};
  const secrets = secret === undefined ? rest : { ...rest, [name]: secret };
  return answered(state, `/secrets/${name}`, { ...state.answers, secrets });
}

function answered(state: WizardState, pointer: string, answers: LaunchAnswers): WizardState {
  const own = state.own.includes(pointer) ? state.own : [...state.own, pointer];
  return { ...state, answers, own, notice: null };
}

function offered(state: WizardState, { steps }: FormModel, offers: Offers): WizardState {
  const { artifact_id: before } = state.answers;
  const answers = fitAnswers(steps, state.answers, state.own, offers);
  const { artifact_id: after } = answers;
  const isReplaced = before !== undefined && after !== undefined && after !== before;
  const name = offers.artifacts?.find(({ id }) => id === after)?.name;
  const notice = `The image is ${name} now: the one before does not fit what was chosen.`;
  return { ...state, answers, ...(isReplaced ? { notice } : {}) };
}
