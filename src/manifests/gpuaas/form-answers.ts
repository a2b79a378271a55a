/**
 * The answers to a launch form: what it begins with, what is wrong with them, and the launch request that they make.
 *
 * Pure and the same for browser and CLI. Values are judged by `resolveValues`, which the server uses too, so what passes
 * here is not refused there for its values. What only the server knows (which allocations there are, which ports are taken)
 * comes as `FormOffers`, and the server judges it again when the app is launched.
 */
import { namePattern } from '../../contract/name-pattern.ts';
import type { PathError } from '../../contract/validate.ts';
import { concerns, type FormComponent, type FormStep, fieldDefaults, formModel } from './form-model.ts';
import type { ParameterValue } from './judge-parameter.ts';
import type { WorkloadProfile } from './profile.ts';
import { type Choices, isResource, type ResourceName, resolveValues } from './resolve-values.ts';

/** A secret as text, or as a credential that the project keeps already. */
export type SecretAnswer = string | { readonly credential_id: string };

/** What is not answered yet is left out. */
export interface LaunchAnswers extends Choices {
  readonly display_name?: string;
  /** Only of people who belong to no project. */
  readonly project_id?: string;
  readonly target_allocation_id?: string;
  readonly artifact_id?: string;
  readonly access_credential_id?: string;
  readonly service_account_id?: string;
  /** By name; what is left out is not brought. */
  readonly secrets?: Readonly<Record<string, SecretAnswer>>;
}

/** What the server offers for these answers; what is left out is not known yet and stands against nothing. */
export interface FormOffers {
  readonly allocations?: readonly {
    readonly id: string;
    readonly eligible: boolean;
    readonly reasons: readonly string[];
    /** What nobody has there; null while its host is not known. */
    readonly free?: Readonly<Record<ResourceName, number>> | null;
  }[];
  readonly artifacts?: readonly { readonly id: string; readonly preferred?: boolean }[];
  readonly artifact_reason?: string | null;
  readonly access_credentials?: readonly { readonly id: string }[];
  readonly service_accounts?: readonly { readonly id: string }[];
  /** Values that the environment or the allocation cannot give, each with its reason. */
  readonly unavailable?: readonly { readonly pointer: string; readonly value: unknown; readonly reason: string }[];
  readonly host_ports?: {
    readonly taken: readonly number[];
    /** A free port for each field that asks for one, by its pointer. */
    readonly suggested: Readonly<Record<string, number>>;
  };
}

/** What a form begins with: every default, and the name of the app. */
export function initialAnswers(profile: WorkloadProfile): LaunchAnswers {
  return { ...initialChoices(profile), display_name: profile.profile.display_name, secrets: {} };
}

export function initialChoices(profile: WorkloadProfile): Choices {
  const config: Record<string, ParameterValue> = {};
  const resource_overrides: Record<string, ParameterValue> = {};
  for (const [{ name }, value] of fieldDefaults(profile)) {
    (isResource(name) ? resource_overrides : config)[name] = value;
  }
  return { config, resource_overrides };
}

/** The answer that a form has for a parameter; undefined where there is none. */
export function answerTo({ config, resource_overrides: overrides }: Choices, name: string): unknown {
  const override = isResource(name) ? overrides[name] : undefined;
  return override ?? (Object.hasOwn(config, name) ? config[name] : undefined);
}

/** The answers with another one for a parameter; undefined takes it away, so that its default counts. */
export function withAnswer(answers: LaunchAnswers, name: string, value: unknown): LaunchAnswers {
  const part = isResource(name) ? 'resource_overrides' : 'config';
  const { [name]: _, ...rest } = answers[part];
  return { ...answers, [part]: value === undefined ? rest : { ...rest, [name]: value } };
}

/** The body that launches the app as it was answered: the server accepts its form wherever nothing is wrong with the answers. */
export function launchRequest(profile: WorkloadProfile, version: string, answers: LaunchAnswers) {
  const { project_id, target_allocation_id, artifact_id, access_credential_id, service_account_id } = answers;
  const { secrets = {} } = answers;
  return {
    app_slug: profile.profile.slug,
    app_version: version,
    display_name: answers.display_name ?? profile.profile.display_name,
    ...(project_id === undefined ? {} : { project_id }),
    ...(target_allocation_id === undefined ? {} : { placement_intent: { target_allocation_id } }),
    ...(artifact_id === undefined ? {} : { artifact_id }),
    ...(access_credential_id === undefined ? {} : { access_credential_id }),
    ...(service_account_id === undefined ? {} : { service_account_id }),
    config: { ...answers.config },
    resource_overrides: { ...answers.resource_overrides },
    ...(Object.keys(secrets).length === 0 ? {} : { secrets: { ...secrets } }),
  };
}

/** What is wrong on one page: a value that the server would refuse, or one that the page requires and that is not there. */
export function judgeStep(
  profile: WorkloadProfile,
  step: FormStep,
  answers: LaunchAnswers,
  offers: FormOffers = {},
): PathError[] {
  const errors = judgeValues(profile, answers);
  return step.components.flatMap((component) => {
    const own = errors.filter(({ path }) => concerns(component, path));
    return own.length > 0 ? own : judgeComponent(component, answers, offers);
  });
}

/** Everything that is wrong, in the order of the pages; last what no page shows. */
export function judgeAnswers(profile: WorkloadProfile, answers: LaunchAnswers, offers: FormOffers = {}): PathError[] {
  const { steps } = formModel(profile);
  const shown = steps.flatMap((step) => judgeStep(profile, step, answers, offers));
  const hidden = judgeValues(profile, answers).filter(({ path }) => stepOf(steps, path) === undefined);
  return [...shown, ...hidden];
}

/** Index of the step on which what a pointer speaks of is filled in; undefined where none shows it. */
export function stepOf(steps: readonly FormStep[], path: string): number | undefined {
  const index = steps.findIndex(({ components }) => components.some((component) => concerns(component, path)));
  return index < 0 ? undefined : index;
}

function judgeValues(profile: WorkloadProfile, answers: LaunchAnswers): PathError[] {
  const resolved = resolveValues(profile, answers);
  const secrets = Object.entries(answers.secrets ?? {});
  return [
    ...(resolved.ok ? [] : resolved.errors),
    ...secrets.flatMap(([name, secret]) => judgeSecret(`/secrets/${name}`, secret)),
    ...(answers.display_name === undefined ? [] : judgeName(answers.display_name)),
  ];
}

/** What is wrong with the name of an instance. */
export function judgeName(name: string): PathError[] {
  const path = '/display_name';
  if (name === '') return [{ path, code: 'required', message: 'is missing' }];
  if ([...name].length > 128) return [{ path, code: 'maxLength', message: 'must have 128 characters at most' }];
  return new RegExp(namePattern).test(name)
    ? []
    : [{ path, code: 'pattern', message: 'must be one line, without control characters' }];
}

/** What is wrong is said without a word of the secret itself. */
function judgeSecret(path: string, secret: SecretAnswer): PathError[] {
  if (typeof secret !== 'string') return [];
  if (secret === '') return [{ path, code: 'required', message: 'is empty' }];
  if (secret.length > 4096) return [{ path, code: 'maxLength', message: 'must have 4096 characters at most' }];
  return /^[\u0021-\u007e]*$/.test(secret)
    ? []
    : [{ path, code: 'pattern', message: 'must be letters, digits and signs of ASCII, without spaces' }];
}

function judgeComponent(component: FormComponent, answers: LaunchAnswers, offers: FormOffers): PathError[] {
  switch (component.kind) {
    case 'field':
      return judgeField(component, answers, offers);
    case 'secret':
      return missing(component, answers.secrets?.[component.secret.name], component.secret.pointer);
    case 'platform.target_allocation':
      return judgeTarget(component, answers, offers);
    case 'platform.artifact_selector':
      return judgePick(component, answers.artifact_id, offers.artifacts, offers.artifact_reason);
    case 'platform.access_credential':
      return judgePick(component, answers.access_credential_id, offers.access_credentials);
    case 'platform.operator_service_account':
      return judgePick(component, answers.service_account_id, offers.service_accounts);
    case 'platform.review':
      return [];
  }
}

type FieldComponent = Extract<FormComponent, { readonly kind: 'field' }>;
type PickComponent = Exclude<FormComponent, { readonly kind: 'field' | 'secret' }>;

function judgeField({ field, required }: FieldComponent, answers: LaunchAnswers, offers: FormOffers): PathError[] {
  const { name, pointer: path, default: standard } = field;
  const value = answerTo(answers, name) ?? standard ?? undefined;
  const unavailable = offers.unavailable?.find((each) => each.pointer === path && each.value === value);
  if (unavailable) return [{ path, code: 'unavailable', message: `cannot be ${value} here: ${unavailable.reason}` }];
  const free = isResource(name) ? freeOf(answers, offers)?.[name] : undefined;
  if (free !== undefined && Number(value) > free) {
    return [{ path, code: 'exceeds', message: `is more than the allocation has left: ${free}` }];
  }
  const suggested = offers.host_ports?.suggested[path];
  if (suggested !== undefined && offers.host_ports?.taken.includes(Number(value))) {
    return [{ path, code: 'port_taken', message: `is taken on this allocation: ${suggested} is free` }];
  }
  return missing({ required }, value, path);
}

/** What the chosen allocation has left; undefined while nobody knows. */
function freeOf({ target_allocation_id: id }: LaunchAnswers, { allocations }: FormOffers) {
  return allocations?.find((each) => each.id === id)?.free ?? undefined;
}

function judgeTarget(
  component: PickComponent,
  { target_allocation_id: id }: LaunchAnswers,
  { allocations }: FormOffers,
): PathError[] {
  const chosen = allocations?.find((each) => each.id === id);
  return chosen?.eligible === false
    ? [{ path: component.pointer ?? '', code: 'not_eligible', message: `cannot be used: ${chosen.reasons.join(' ')}` }]
    : judgePick(component, id, allocations);
}

function judgePick(
  { pointer, required }: PickComponent,
  id: string | undefined,
  offered: readonly { readonly id: string }[] | undefined,
  reason?: string | null,
): PathError[] {
  const path = pointer ?? '';
  if (id === undefined) {
    const why = reason ? `is missing: ${reason}` : 'is missing';
    return required ? [{ path, code: 'required', message: why }] : [];
  }
  return offered === undefined || offered.some((each) => each.id === id)
    ? []
    : [{ path, code: 'not_offered', message: 'is not offered any more: choose another one' }];
}

function missing({ required }: { readonly required: boolean }, value: unknown, path: string): PathError[] {
  return required && value === undefined ? [{ path, code: 'required', message: 'is missing' }] : [];
}
