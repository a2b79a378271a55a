/**
 * The launch form of a profile, as data: pages with components in order, and fields with what each accepts.
 *
 * Pure and the same for browser, CLI and server. What the answers are worth is said by `form-answers.ts`.
 */
import type { ParameterValue } from './judge-parameter.ts';
import type { ParameterProperty } from './parameter-schema.ts';
import type { WorkloadProfile } from './profile.ts';
import type { PlatformComponent } from './profile-ui.ts';
import { isResource, leastOf } from './resolve-values.ts';

/** A parameter of the profile, as a field. */
export interface FormField {
  readonly name: string;
  readonly label: string;
  readonly help: string | null;
  readonly control: 'select' | 'integer' | 'number' | 'text' | 'text_area' | 'switch';
  /** Where the value goes in a launch request. */
  readonly pointer: string;
  /** The schema wants a value; a page can want one as well. */
  readonly required: boolean;
  readonly default: ParameterValue | null;
  readonly options: readonly (string | number)[] | null;
  /** Bounds of the parameter and of the profile's resources together. */
  readonly minimum: number | null;
  readonly maximum: number | null;
  /** Characters. */
  readonly min_length: number | null;
  readonly max_length: number | null;
}

/** A secret that people may bring: as text that is never shown again, or as a credential that the project keeps. */
export interface FormSecret {
  readonly name: string;
  readonly label: string;
  readonly help: string | null;
  readonly pointer: string;
}

export type FormComponent =
  | { readonly kind: 'field'; readonly field: FormField; readonly required: boolean }
  | { readonly kind: 'secret'; readonly secret: FormSecret; readonly required: boolean }
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
  /** What the schema of the parameters says of itself. */
  readonly note: string | null;
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
const longText = 1024;

export function formModel(profile: WorkloadProfile): FormModel {
  const { slug, display_name: title, description, support_level } = profile.profile;
  const { schema } = profile.parameters;
  const note = [schema.title, schema.description].filter((text) => text).join(': ') || null;
  return { slug, title, description, support_level, note, steps: wizardOf(profile) ?? plainSteps(profile) };
}

/** Every field of the form with a default, and the default. */
export function fieldDefaults(profile: WorkloadProfile): [FormField, ParameterValue][] {
  return orderedNames(profile)
    .map((name) => fieldOf(profile, name))
    .flatMap((field): [FormField, ParameterValue][] => (field.default === null ? [] : [[field, field.default]]));
}

/** True if a pointer into a launch request speaks of what the component fills. */
export function concerns(component: FormComponent, path: string): boolean {
  switch (component.kind) {
    case 'field':
      return path === component.field.pointer || path === `/config/${component.field.name}`;
    case 'secret':
      return path === component.secret.pointer || path.startsWith(`${component.secret.pointer}/`);
    case 'platform.target_allocation':
      // The name is asked for where the place is: a review has nothing to fill in.
      return path.startsWith('/placement_intent') || path === '/display_name';
    default:
      return path === component.pointer;
  }
}

function wizardOf(profile: WorkloadProfile): FormStep[] | undefined {
  const steps = profile.parameters.ui?.launch_wizard?.steps;
  if (!steps) return undefined;
  const placed = new Set<string>();
  const pages = steps.map(({ id, title, description, components }) => ({
    ...{ id, title, description: description ?? null },
    components: components.flatMap(({ kind, name = '', required = kind !== 'secret' }): FormComponent[] => {
      if (kind === 'field') return [{ kind, field: fieldOf(profile, name), required }];
      if (kind !== 'secret') return [{ kind, pointer: filled[kind], required }];
      placed.add(name);
      return secretsOf(profile, (secret) => secret === name).map((secret) => ({ ...secret, required }));
    }),
  }));
  return withSecrets(
    pages,
    secretsOf(profile, (name) => !placed.has(name)),
  );
}

/** Secrets that the wizard gives no place are asked for on the page before the review. */
function withSecrets(steps: FormStep[], secrets: FormComponent[]): FormStep[] {
  const last = Math.max(0, steps.length - 2);
  return steps.map((step, index) => {
    if (index !== last || secrets.length === 0) return step;
    const isReview = ({ kind }: FormComponent) => kind === 'platform.review';
    const [shown, review] = [step.components.filter((each) => !isReview(each)), step.components.filter(isReview)];
    return { ...step, components: [...shown, ...secrets, ...review] };
  });
}

function secretsOf({ parameters }: WorkloadProfile, isWanted: (name: string) => boolean): FormComponent[] {
  return (parameters.secrets ?? [])
    .filter(({ name }) => isWanted(name))
    .map(({ name, title, description }) => ({
      kind: 'secret',
      secret: { name, label: title, help: description ?? null, pointer: `/secrets/${name}` },
      required: false,
    }));
}

/** A profile without a wizard gets one: target, image, its groups, review. */
function plainSteps(profile: WorkloadProfile): FormStep[] {
  const { schema, ui } = profile.parameters;
  const secrets = secretsOf(profile, () => true);
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
    ...(secrets.length > 0 ? [{ id: 'secrets', title: 'Secrets', description: null, components: secrets }] : []),
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
    min_length: property.minLength ?? null,
    max_length: property.maxLength ?? null,
  };
}

function controlOf({ type, enum: options, maxLength }: ParameterProperty): FormField['control'] {
  if (options) return 'select';
  if (type === 'boolean') return 'switch';
  if (type !== 'string') return type;
  return maxLength !== undefined && maxLength > longText ? 'text_area' : 'text';
}

const abbreviations = new Map(Object.entries({ gpu: 'GPU', cpu: 'CPU', gib: 'GiB', id: 'ID', url: 'URL' }));

/** `gpu_count` reads `GPU count`. */
function labelOf(name: string): string {
  const words = name.split('_').map((word) => abbreviations.get(word) ?? word);
  const [first = '', ...more] = words;
  return [`${first.charAt(0).toUpperCase()}${first.slice(1)}`, ...more].join(' ');
}
