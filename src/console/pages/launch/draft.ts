/** A wizard that was begun, kept over a reload of the page. What was typed as a secret is not. */
import type { LaunchAnswers, SecretAnswer } from '../../../manifests/gpuaas/form-answers.ts';
import type { WorkloadProfile } from '../../../manifests/gpuaas/profile.ts';
import { beginWizard, type WizardState } from './wizard-state.ts';

export function draftOf({ answers, notice: _, ...state }: WizardState): string {
  return JSON.stringify({ ...state, answers: { ...answers, secrets: storedOnly(answers.secrets ?? {}) } });
}

/** A fresh wizard where there is no draft, or none that can be read; a manifest may have changed since. */
export function fromDraft(profile: WorkloadProfile, text: string | null): WizardState {
  const fresh = beginWizard(profile);
  const draft = parsed(text);
  if (!draft) return fresh;
  const declared = (values: object) =>
    Object.fromEntries(
      Object.entries(values).filter(([name]) => Object.hasOwn(profile.parameters.schema.properties, name)),
    );
  const answers: LaunchAnswers = {
    ...draft.answers,
    config: declared(draft.answers.config),
    resource_overrides: declared(draft.answers.resource_overrides),
  };
  return { ...fresh, ...draft, texts: declared(draft.texts) as Record<string, string>, answers };
}

function storedOnly(secrets: Readonly<Record<string, SecretAnswer>>) {
  return Object.fromEntries(Object.entries(secrets).filter(([, secret]) => typeof secret !== 'string'));
}

function parsed(text: string | null): Omit<WizardState, 'notice'> | undefined {
  if (text === null) return undefined;
  try {
    const draft = JSON.parse(text) as WizardState;
    const isWhole = Array.isArray(draft.own) && Array.isArray(draft.tried) && typeof draft.step === 'number';
    return isWhole && draft.answers.config && draft.answers.resource_overrides && draft.texts ? draft : undefined;
  } catch {
    return undefined;
  }
}
