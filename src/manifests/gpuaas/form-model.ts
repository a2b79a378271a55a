/**
 * The launch form of a profile, as data: pages with components in order, and fields with what each accepts.
 *
 * Pure and the same for browser, CLI and server. Verdicts come from `resolveValues`, which the server uses too; the form
 * only asks which of them belong to a page.
 */
import type { PathError } from '../../contract/validate.ts';
import type { ParameterProperty, ParameterValue } from './parameter-schema.ts';
import type { WorkloadProfile } from './profile.ts';
import type { PlatformComponent } from './profile-ui.ts';
import { type Choices, isResource, leastOf, resolveValues } from './resolve-values.ts';

export interface FormField {
  readonly name: string;
  readonly label: string;
  readonly help: string | null;
  readonly control: 'select' | 'integer' | 'number' | 'text' | 'text_area' | 'switch';
  /** Where the value goes in a launch request. */
  readonly pointer: string;
  readonly required: boolean;
  readonly default: ParameterValue | null;
  readonly options: readonly (string | number)[] | null;
  /** Bounds of the parameter and of the profile's resources together. */
  readonly minimum: number | null;
  readonly maximum: number | null;
  readonly max_length: number | null;
}

export type FormComponent =
  | { readonly kind: 'field'; readonly field: FormField; readonly required: boolean }
  | { readonly kind: PlatformComponent; readonly pointer: string | null; readonly required: boolean };

export interface FormStep {
  readonly id: string;
  readonly title: string;
  readonly description: string | null;
  readonly components: readonly FormComponent[];
}

export interface FormModel {
  readonly slug: string;
  readonly title: string;
  readonly description: string;
  readonly support_level: string;
  readonly steps: readonly FormStep[];
}

/** What each platform component fills in a launch request; null for those that only show. */
const filled: Readonly<Record<PlatformComponent, string | null>> = {
  'platform.target_allocation': '/placement_intent/target_allocation_id',
  'platform.artifact_selector': '/artifact_id',
  'platform.access_credential': '/access_credential_id',
  'platform.operator_service_account': '/service_account_id',
  'platform.review': null,
};

/** More characters than this need more than one line. */
const longText = 256;

export function formModel(profile: WorkloadProfile): FormModel {
  const { slug, display_name: title, description, support_level } = profile.profile;
  return { slug, title, description, support_level, steps: wizardOf(profile) ?? plainSteps(profile) };
}

/** What a form begins with. */
export function initialChoices(profile: WorkloadProfile): Choices {
  const config: Record<string, ParameterValue> = {};
  const overrides: Record<string, ParameterValue> = {};
  for (const name of orderedNames(profile)) {
    const value = fieldOf(profile, name).default;
    if (value !== null) (isResource(name) ? overrides : config)[name] = value;
  }
  return { config, resource_overrides: overrides };
}

/**
 * What is wrong on one page: a value that the server would refuse, or a field that the page requires and that is empty.
 * Platform components are judged by whoever fills them.
 */
export function judgeStep(profile: WorkloadProfile, step: FormStep, choices: Choices): PathError[] {
  const resolved = resolveValues(profile, choices);
  const errors = resolved.ok ? [] : resolved.errors;
  return step.components.flatMap((component) => {
    if (component.kind !== 'field') return [];
    const { name, pointer } = component.field;
    const own = errors.filter(({ path }) => path === pointer || path === `/config/${name}`);
    const value = isResource(name) ? (choices.resource_overrides[name] ?? choices.config[name]) : choices.config[name];
    const isEmpty = value === undefined || value === '';
    return own.length === 0 && isEmpty && component.required && component.field.default === null
      ? [{ path: pointer, code: 'required', message: 'is missing' }]
      : own;
  });
}

function wizardOf(profile: WorkloadProfile): FormStep[] | undefined {
  return profile.parameters.ui?.launch_wizard?.steps.map(({ id, title, description, components }) => ({
    ...{ id, title, description: description ?? null },
    components: components.flatMap(({ kind, name, required = true }): FormComponent[] => {
      if (kind !== 'field') return [{ kind, pointer: filled[kind], required }];
      return name === undefined ? [] : [{ kind, field: fieldOf(profile, name), required }];
    }),
  }));
}

/** A profile without a wizard gets one: target, image, its groups, review. */
function plainSteps(profile: WorkloadProfile): FormStep[] {
  const { schema, ui } = profile.parameters;
  const grouped = new Set(ui?.groups?.flatMap(({ fields }) => fields) ?? []);
  const rest = orderedNames(profile).filter((name) => !grouped.has(name));
  const groups = [
    ...(ui?.groups ?? []),
    ...(rest.length > 0 ? [{ id: 'options', title: 'Options', fields: rest }] : []),
  ];
  const fieldSteps = groups.map(({ id, title, fields }) => ({
    ...{ id, title, description: null },
    components: fields.map((name) => ({
      kind: 'field' as const,
      field: fieldOf(profile, name),
      required: schema.required?.includes(name) ?? false,
    })),
  }));
  return [
    platformStep('target', 'Target', 'platform.target_allocation'),
    platformStep('image', 'Image', 'platform.artifact_selector'),
    ...fieldSteps,
    platformStep('review', 'Review', 'platform.review'),
  ];
}

function platformStep(id: string, title: string, kind: PlatformComponent): FormStep {
  return { id, title, description: null, components: [{ kind, pointer: filled[kind], required: true }] };
}

/** As `order` says; parameters that it leaves out follow as they are declared. */
function orderedNames({ parameters: { schema, ui } }: WorkloadProfile): string[] {
  return [...new Set([...(ui?.order ?? []), ...Object.keys(schema.properties)])];
}

function fieldOf(profile: WorkloadProfile, name: string): FormField {
  const property = profile.parameters.schema.properties[name] ?? { type: 'string' };
  const least = isResource(name) ? leastOf(profile, name) : undefined;
  const bounds = [property.minimum, least].filter((bound) => bound !== undefined);
  return {
    name,
    label: property.title ?? labelOf(name),
    help: property.description ?? null,
    control: controlOf(property),
    pointer: isResource(name) ? `/resource_overrides/${name}` : `/config/${name}`,
    required: profile.parameters.schema.required?.includes(name) ?? false,
    default: property.default ?? null,
    options: property.enum ?? null,
    minimum: bounds.length > 0 ? Math.max(...bounds) : null,
    maximum: property.maximum ?? null,
    max_length: property.maxLength ?? null,
  };
}

function controlOf({ type, enum: options, maxLength }: ParameterProperty): FormField['control'] {
  if (options) return 'select';
  if (type === 'boolean') return 'switch';
  if (type !== 'string') return type;
  return maxLength !== undefined && maxLength > longText ? 'text_area' : 'text';
}

const abbreviations: Readonly<Record<string, string>> = { gpu: 'GPU', cpu: 'CPU', gib: 'GiB', id: 'ID', url: 'URL' };

/** `gpu_count` reads `GPU count`. */
function labelOf(name: string): string {
  const words = name.split('_').map((word) => abbreviations[word] ?? word);
  const [first = '', ...more] = words;
  return [`${first.charAt(0).toUpperCase()}${first.slice(1)}`, ...more].join(' ');
}
