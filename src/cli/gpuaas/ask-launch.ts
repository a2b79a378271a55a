/**
 * The launch form at a terminal: the pages of the wizard as questions, with the labels, defaults and verdicts of the form
 * model, and its last page as a review that can be gone back from.
 *
 * What was given as an option is not asked for, unless something is wrong with it.
 */
import type { Json } from '../../contract/failures.ts';
import type { PathError } from '../../contract/validate.ts';
import { textOfValue, valueOfText } from '../../manifests/gpuaas/field-text.ts';
import { fitAnswers } from '../../manifests/gpuaas/fit-answers.ts';
import {
  answerTo,
  type FormOffers,
  initialAnswers,
  judgeName,
  judgeStep,
  type LaunchAnswers,
  launchRequest,
  type SecretAnswer,
  stepOf,
  withAnswer,
} from '../../manifests/gpuaas/form-answers.ts';
import { type FormComponent, type FormStep, formModel } from '../../manifests/gpuaas/form-model.ts';
import type { WorkloadProfile } from '../../manifests/gpuaas/profile.ts';
import { isResource } from '../../manifests/gpuaas/resolve-values.ts';
import type { ControlPlaneClient } from './client.ts';
import type { Choice, Questions } from './questions.ts';

/** What options have answered already. */
export type Given = { readonly [K in keyof LaunchAnswers]?: LaunchAnswers[K] | undefined };

export interface AskedApp {
  readonly slug: string;
  readonly version: string;
  /** The project of the launch; undefined for that of the token. */
  readonly project: string | undefined;
}

interface Offered {
  readonly id: string;
  readonly name: string;
}

interface Offers extends FormOffers {
  readonly allocations: readonly (Offered & {
    readonly eligible: boolean;
    readonly reasons: readonly string[];
    readonly free: { readonly gpu_count: number; readonly cpu_cores: number; readonly memory_gib: number } | null;
  })[];
  readonly artifacts: readonly (Offered & { readonly digest: string; readonly preferred: boolean })[];
  readonly access_credentials: readonly Offered[];
  readonly service_accounts: readonly Offered[];
}

interface Checks {
  readonly accepted: boolean;
  readonly refusals: readonly PathError[];
  readonly warnings?: readonly { readonly message: string }[];
}

/** The body of the launch, as the person at the terminal wants it; `command.left` if they want none. */
export async function askLaunch(
  client: ControlPlaneClient,
  { slug, version, project }: AskedApp,
  given: Given,
  questions: Questions,
): Promise<Readonly<Record<string, Json>>> {
  const base = `/api/v1/catalog/apps/${encodeURIComponent(slug)}/versions/${encodeURIComponent(version)}`;
  const path = `${base}/launch-options`;
  const { manifest: profile } = await client.get<{ manifest: WorkloadProfile }>(base);
  const project_id = project ?? (await askProject(client, questions));
  const form: Form = {
    ...{ profile, questions, given, own: new Set(pointersGiven(given)) },
    offersFor: async (answers) => {
      const { target_allocation_id: allocation_id, resource_overrides: amounts } = answers;
      const cards = typeof amounts['gpu_count'] === 'number' ? { gpu_count: amounts['gpu_count'] } : {};
      const anywhere = await client.get<Offers>(path, { project_id });
      if (allocation_id === undefined) return anywhere;
      // Where it could run at all is not asked for so many cards: that is said at the field with their number.
      const { allocations } = anywhere;
      return { ...(await client.get<Offers>(path, { project_id, allocation_id, ...cards })), allocations };
    },
  };
  const { title, steps } = formModel(profile);
  questions.say(`${title} ${version}`);
  let answers = withGiven(initialAnswers(profile), given);
  for (const step of steps) answers = await askStep(form, step, answers);
  for (;;) {
    const body = { ...launchRequest(profile, version, answers), ...(project_id === undefined ? {} : { project_id }) };
    const checks = await client.change<Checks>('POST', '/api/v1/app-instances/checks', body as Json);
    const next = await review(form, steps, answers, checks);
    if (next === 'launch') return body as Readonly<Record<string, Json>>;
    answers = await askStep({ ...form, given: {} }, next, answers);
  }
}

interface Form {
  readonly profile: WorkloadProfile;
  readonly questions: Questions;
  readonly given: Given;
  /** Pointers of fields that were given, or answered in another way than what stood there: the form no longer chooses. */
  readonly own: Set<string>;
  offersFor(answers: LaunchAnswers): Promise<Offers>;
}

function withGiven(answers: LaunchAnswers, given: Given): LaunchAnswers {
  const said = Object.entries(given).filter(([, value]) => value !== undefined);
  return {
    ...answers,
    ...(Object.fromEntries(said) as Partial<LaunchAnswers>),
    config: { ...answers.config, ...given.config },
    resource_overrides: { ...answers.resource_overrides, ...given.resource_overrides },
    secrets: { ...answers.secrets, ...given.secrets },
  };
}

/** Only the platform's people have to say for whom they launch. */
async function askProject(client: ControlPlaneClient, questions: Questions): Promise<string | undefined> {
  const { project } = await client.get<{ project: Offered | null }>('/api/v1/session');
  if (project !== null) return undefined;
  const projects = await Array.fromAsync(client.list<Offered>('/api/v1/projects'));
  if (projects.length === 1) return projects[0]?.id;
  return questions.choose(
    'Project',
    projects.map(({ id, name }) => ({ name, value: id })),
  );
}

/** Asks for everything on one page, each with what the answers so far leave to choose from. */
async function askStep(form: Form, step: FormStep, before: LaunchAnswers): Promise<LaunchAnswers> {
  const { questions, profile, own } = form;
  const given = pointersGiven(form.given);
  questions.say(['', step.title, ...(step.description === null ? [] : [step.description])].join('\n'));
  let answers = before;
  for (const component of step.components) {
    const offers = await form.offersFor(answers);
    answers = fitAnswers([{ ...step, components: [component] }], answers, [...own], offers);
    const wrong = (changed: LaunchAnswers) =>
      judgeStep(profile, { ...step, components: [component] }, changed, offers)[0]?.message;
    const isGiven = pointersOf(component).every((pointer) => given.includes(pointer));
    if (isGiven && wrong(answers) === undefined) continue;
    const stood = answers;
    answers = await askComponent(questions, component, stood, offers, wrong);
    const isField = component.kind === 'field';
    if (isField && answerTo(answers, component.field.name) !== answerTo(stood, component.field.name)) {
      own.add(component.field.pointer);
    }
  }
  return answers;
}

/** What a component fills in: the place is asked for together with the name. */
function pointersOf(component: FormComponent): string[] {
  switch (component.kind) {
    case 'field':
      return [component.field.pointer];
    case 'secret':
      return [component.secret.pointer];
    case 'platform.target_allocation':
      return ['/display_name', component.pointer ?? ''];
    default:
      return component.pointer === null ? [] : [component.pointer];
  }
}

function pointersGiven({ config = {}, resource_overrides = {}, secrets = {}, ...given }: Given): string[] {
  const single = {
    '/display_name': given.display_name,
    '/placement_intent/target_allocation_id': given.target_allocation_id,
    '/artifact_id': given.artifact_id,
  };
  return [
    ...Object.keys(config).map((name) => `/${isResource(name) ? 'resource_overrides' : 'config'}/${name}`),
    ...Object.keys(resource_overrides).map((name) => `/resource_overrides/${name}`),
    ...Object.keys(secrets).map((name) => `/secrets/${name}`),
    ...Object.entries(single).flatMap(([pointer, value]) => (value === undefined ? [] : [pointer])),
  ];
}

type WrongWith = (changed: LaunchAnswers) => string | undefined;

async function askComponent(
  questions: Questions,
  component: FormComponent,
  answers: LaunchAnswers,
  offers: Offers,
  wrong: WrongWith,
): Promise<LaunchAnswers> {
  switch (component.kind) {
    case 'field':
      return askField(questions, component, answers, offers, wrong);
    case 'secret':
      return askSecret(questions, component, answers, offers, wrong);
    case 'platform.target_allocation':
      return askPlace(questions, answers, offers);
    case 'platform.artifact_selector':
      return {
        ...answers,
        artifact_id: await questions.choose('Image', offers.artifacts.map(imageChoice), answers.artifact_id),
      };
    case 'platform.access_credential': {
      const picked = await pick(questions, 'Access credential', offers.access_credentials, component.required);
      return picked === undefined ? answers : { ...answers, access_credential_id: picked };
    }
    case 'platform.operator_service_account': {
      const picked = await pick(questions, 'Service account', offers.service_accounts, component.required);
      return picked === undefined ? answers : { ...answers, service_account_id: picked };
    }
    case 'platform.review':
      return answers;
  }
}

async function askPlace(questions: Questions, answers: LaunchAnswers, offers: Offers): Promise<LaunchAnswers> {
  const named = (display_name: string) => ({ ...answers, display_name });
  const initial = answers.display_name ?? '';
  const answered = named(await questions.text('Name', initial, (text) => judgeName(text)[0]?.message));
  const choices = offers.allocations.map(allocationChoice);
  const picked = await questions.choose('Allocation', choices, answers.target_allocation_id);
  return { ...answered, target_allocation_id: picked };
}

function allocationChoice({ id, name, eligible, reasons, free }: Offers['allocations'][number]): Choice<string> {
  const room = free && `${free.gpu_count} GPU, ${free.cpu_cores} cores, ${free.memory_gib} GiB free`;
  return {
    ...{ name: room ? `${name} (${room})` : name, value: id },
    ...(eligible ? {} : { unavailable: reasons.join(' ') }),
  };
}

function imageChoice({ id, name, digest }: Offers['artifacts'][number]): Choice<string> {
  return { name: `${name} ${digest.slice(0, 19)}`, value: id };
}

async function pick(
  questions: Questions,
  label: string,
  offered: readonly Offered[],
  required: boolean,
): Promise<string | undefined> {
  const none = required ? [] : [{ name: 'none', value: undefined }];
  return questions.choose<string | undefined>(label, [
    ...none,
    ...offered.map(({ id, name }) => ({ name, value: id })),
  ]);
}

type FieldOf<K> = Extract<FormComponent, { readonly kind: K }>;

async function askField(
  questions: Questions,
  { field, required }: FieldOf<'field'>,
  answers: LaunchAnswers,
  { unavailable = [] }: Offers,
  wrong: WrongWith,
): Promise<LaunchAnswers> {
  const { name, control, options, help, pointer } = field;
  const label = help === null ? field.label : `${field.label} (${help})`;
  const now = answerTo(answers, name) ?? field.default ?? undefined;
  if (control === 'select' || control === 'switch') {
    const all: readonly (string | number | boolean)[] = options ?? [true, false];
    const choices = all.map((value) => {
      const reason = unavailable.find((each) => each.pointer === pointer && each.value === value)?.reason;
      const shown = value === true ? 'yes' : value === false ? 'no' : String(value);
      return { name: shown, value, ...(reason === undefined ? {} : { unavailable: reason }) };
    });
    return withAnswer(answers, name, await questions.choose(label, choices, now as string | number | boolean));
  }
  const changed = (text: string) => withAnswer(answers, name, valueOfText(field, text, required));
  return changed(await questions.text(label, textOfValue(now), (text) => wrong(changed(text))));
}

async function askSecret(
  questions: Questions,
  { secret: { name, label, help }, required }: FieldOf<'secret'>,
  answers: LaunchAnswers,
  { access_credentials: stored }: Offers,
  wrong: WrongWith,
): Promise<LaunchAnswers> {
  const answered = (secret: SecretAnswer) => ({ ...answers, secrets: { ...answers.secrets, [name]: secret } });
  const how = await questions.choose<string | null | undefined>(help === null ? label : `${label} (${help})`, [
    ...(required ? [] : [{ name: 'none', value: undefined }]),
    { name: 'type it', value: null },
    ...stored.map((each) => ({ name: `stored: ${each.name}`, value: each.id })),
  ]);
  if (how === undefined) return answers;
  return answered(
    how === null ? await questions.secret(label, (text) => wrong(answered(text))) : { credential_id: how },
  );
}

/** What it will be, and what stands against it; the page to go back to, or the go-ahead. */
async function review(
  { profile, questions }: Form,
  steps: readonly FormStep[],
  answers: LaunchAnswers,
  { accepted, refusals, warnings = [] }: Checks,
): Promise<'launch' | FormStep> {
  questions.say(['', ...reviewLines(profile, answers)].join('\n'));
  for (const { message } of warnings) questions.say(`warning: ${message}`);
  for (const { path, message } of refusals) questions.say(`refused: ${path}: ${message}`);
  const wrong = new Set(refusals.map(({ path }) => stepOf(steps, path)));
  const back = steps.map((step, index) => ({
    ...{ name: `change ${step.title}${wrong.has(index) ? ', which is refused' : ''}`, value: step },
  }));
  const go: Choice<'launch' | FormStep> = {
    ...{ name: 'launch it', value: 'launch' },
    ...(accepted ? {} : { unavailable: 'it would be refused' }),
  };
  const [first] = wrong;
  return questions.choose<'launch' | FormStep>(
    'All this',
    [go, ...back],
    accepted ? 'launch' : (steps[first ?? -1] ?? steps[0]),
  );
}

function reviewLines(profile: WorkloadProfile, answers: LaunchAnswers): string[] {
  const fields = formModel(profile).steps.flatMap(({ components }) =>
    components.flatMap((component) => (component.kind === 'field' ? [component.field] : [])),
  );
  return [
    `Name: ${answers.display_name}`,
    ...fields.map(({ name, label, default: standard }) => `${label}: ${answerTo(answers, name) ?? standard ?? ''}`),
  ];
}
