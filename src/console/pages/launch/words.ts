/** Words of the form that are the platform's own; those of steps and fields come from the manifest. */
import type { PathError } from '../../../contract/validate.ts';
import { answerTo, type LaunchAnswers } from '../../../manifests/gpuaas/form-answers.ts';
import { concerns, type FormComponent, type FormModel, type FormStep } from '../../../manifests/gpuaas/form-model.ts';
import { isResource } from '../../../manifests/gpuaas/resolve-values.ts';
import { words } from '../../lib/format.ts';
import type { Offers } from './offers.ts';

const labels = {
  'platform.target_allocation': 'Allocation',
  'platform.artifact_selector': 'Image',
  'platform.access_credential': 'Access credential',
  'platform.operator_service_account': 'Service account',
  'platform.review': 'Review',
} as const;

export function labelOf(component: FormComponent): string {
  if (component.kind === 'field') return component.field.label;
  return component.kind === 'secret' ? component.secret.label : labels[component.kind];
}

/** What is wrong, as a sentence about the thing that is wrong. */
export function sentence({ steps }: Pick<FormModel, 'steps'>, { path, message }: PathError): string {
  const component = steps.flatMap((step) => step.components).find((each) => concerns(each, path));
  const subject = path === '/display_name' ? 'Name' : component ? labelOf(component) : path;
  return `${subject} ${message}${/[.!?]$/.test(message) ? '' : '.'}`;
}

/** What the platform means by the choices that it gives a meaning to. */
const meanings: Readonly<Record<string, string>> = {
  scratch: 'A folder on the host. It goes when the instance is decommissioned.',
  project_storage: 'Storage of the project. It stays when the instance is decommissioned.',
  private: 'Only on the host itself; you reach it through an SSH tunnel.',
  platform_proxy: 'Through the platform.',
};

/** A choice as people read it, and what it means where the platform knows. */
export function choiceWords(value: string | number): { readonly title: string; readonly meaning: string | null } {
  const meaning = Object.hasOwn(meanings, value) ? meanings[value] : undefined;
  const title = meaning === undefined ? String(value) : capital(words(String(value)));
  return { title: title === '' ? 'None' : title, meaning: meaning ?? null };
}

export function capital(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}`;
}

const amounts = { gpu_count: 'GPU', cpu_cores: 'cores', memory_gib: 'GiB' } as const;

/** What was answered on a step, in a line: what is chosen among a few, amounts, and what differs from its default. */
export function summaryOf({ components }: FormStep, answers: LaunchAnswers, offers: Offers): string {
  return components.flatMap((each) => answerWords(each, answers, offers) ?? []).join(' · ');
}

function answerWords(component: FormComponent, answers: LaunchAnswers, offers: Offers): string | undefined {
  const nameOf = (things: readonly { id: string; name: string }[] | undefined, id: string | undefined) =>
    things?.find((each) => each.id === id)?.name;
  switch (component.kind) {
    case 'field': {
      const { name, control, label, default: standard } = component.field;
      const value = answerTo(answers, name);
      if (value === undefined || value === '') return undefined;
      if (isResource(name)) return `${String(value)} ${amounts[name]}`;
      if (control === 'text_area') return `${String(value).trim().split(/\s+/).length} ${label.toLowerCase()}`;
      if (control === 'select') return choiceWords(value as string | number).title;
      if (value === standard && !name.endsWith('host_port')) return undefined;
      return control === 'text' ? String(value) : `${label} ${String(value)}`;
    }
    case 'secret':
      return answers.secrets?.[component.secret.name] === undefined ? undefined : component.secret.label;
    case 'platform.target_allocation':
      return nameOf(offers.allocations, answers.target_allocation_id);
    case 'platform.artifact_selector':
      return nameOf(offers.artifacts, answers.artifact_id);
    case 'platform.access_credential':
      return nameOf(offers.access_credentials, answers.access_credential_id);
    case 'platform.operator_service_account':
      return nameOf(offers.service_accounts, answers.service_account_id);
    case 'platform.review':
      return undefined;
  }
}
