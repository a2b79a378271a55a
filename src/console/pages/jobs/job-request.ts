/** The form that submits a job: what of it is sent, and where what the control plane refuses belongs. */
import type { PathError } from '../../../contract/validate.ts';
import type { JobOptions } from '../../../server/db/entities/job.ts';
import type { ListedError } from '../../lib/api.ts';

/** As it is typed; empty for what the control plane chooses. */
export interface JobForm {
  readonly document: string;
  readonly project_id: string | undefined;
  readonly name: string;
  readonly sandbox: string;
  readonly on_failure: string;
  readonly allocation_id: string;
  readonly keep: boolean;
  readonly amounts: Readonly<Partial<Record<AmountName, string>>>;
}

export const emptyForm: JobForm = {
  ...{ document: '', project_id: undefined, name: '', sandbox: '', on_failure: '', allocation_id: '', keep: false },
  amounts: {},
};

type ResourceName = keyof NonNullable<JobOptions['resources']>;
export type AmountName = ResourceName | 'deadline_seconds' | 'retries';

interface Amount {
  readonly name: AmountName;
  readonly label: string;
  readonly hint: string;
  readonly least: number;
  readonly most: number;
  readonly isWhole: boolean;
  /** True for what is one of `resources`. */
  readonly isResource: boolean;
}

const resource = { isWhole: false, isResource: true } as const;

/** Bounds as the control plane has them; it judges again. */
export const amounts: readonly Amount[] = [
  {
    ...{ name: 'gpu_count', label: 'GPUs', hint: 'Of each step that asks for one; 1 if empty.' },
    ...{ least: 0, most: 64, isWhole: true, isResource: true },
  },
  {
    ...{ name: 'cpu_cores', label: 'CPU cores', hint: 'Of all steps together; a share of the host if empty.' },
    ...{ least: 0.1, most: 4096, ...resource },
  },
  {
    ...{ name: 'memory_gib', label: 'Memory in GiB', hint: 'Of all steps together; a share of the host if empty.' },
    ...{ least: 0.0625, most: 65_536, ...resource },
  },
  {
    ...{ name: 'shm_gib', label: 'Shared memory in GiB', hint: 'Size of /dev/shm; 0.0625 if empty.' },
    ...{ least: 0.0625, most: 65_536, ...resource },
  },
  {
    ...{ name: 'disk_gib', label: 'Free disk in GiB', hint: 'That its host must have; 1 if empty.' },
    ...{ least: 0, most: 1_048_576, ...resource },
  },
  {
    ...{
      name: 'deadline_seconds',
      label: 'Deadline in seconds',
      hint: 'From its acceptance by a host to its end; 86400, a day, if empty.',
    },
    ...{ least: 1, most: 2_592_000, isWhole: true, isResource: false },
  },
  {
    ...{ name: 'retries', label: 'Retries', hint: 'After a failure that is none of its own; 0 if empty.' },
    ...{ least: 0, most: 10, isWhole: true, isResource: false },
  },
];

/** Where a value is in the request, as a JSON pointer. */
export function pathOfAmount({ name, isResource }: Pick<Amount, 'name' | 'isResource'>): string {
  return isResource ? `/options/resources/${name}` : `/options/${name}`;
}

/** What is wrong with what is typed; undefined if nothing is. */
export function faultOfAmount({ least, most, isWhole }: Amount, text: string): string | undefined {
  if (text.trim() === '') return undefined;
  const value = Number(text);
  if (!Number.isFinite(value)) return 'must be a number';
  if (isWhole && !Number.isInteger(value)) return 'must be a whole number';
  return value < least || value > most ? `must be from ${least} to ${most}` : undefined;
}

/** Of a form in which nothing is wrong. What is left empty is not sent. */
export function requestOf(form: JobForm): object {
  const given = amounts.flatMap((amount) => {
    const text = (form.amounts[amount.name] ?? '').trim();
    return text === '' ? [] : [{ ...amount, value: Number(text) }];
  });
  const valuesOf = (isResource: boolean) =>
    Object.fromEntries(given.filter((each) => each.isResource === isResource).map(({ name, value }) => [name, value]));
  const resources = valuesOf(true);
  const chosen = {
    ...{ sandbox: form.sandbox, on_failure: form.on_failure, allocation_id: form.allocation_id },
  };
  const options = {
    ...Object.fromEntries(Object.entries(chosen).filter(([, value]) => value !== '')),
    ...(Object.keys(resources).length > 0 && { resources }),
    ...valuesOf(false),
    ...(form.keep && { keep: true }),
  };
  const name = form.name.trim();
  return {
    document: form.document,
    ...(form.project_id !== undefined && { project_id: form.project_id }),
    ...(name !== '' && { name }),
    options,
  };
}

export interface PlacedErrors {
  /** Their paths lead into the document. */
  readonly document: readonly PathError[];
  /** By JSON pointer into the request. */
  readonly fields: ReadonlyMap<string, string>;
  /** What belongs to nothing that the form has. */
  readonly others: readonly ListedError[];
}

const ownFields: ReadonlySet<string> = new Set([
  ...['/name', '/project_id', '/options/sandbox', '/options/on_failure', '/options/allocation_id', '/options/keep'],
  ...amounts.map(pathOfAmount),
]);
/** What the request has beside the document; all other paths lead into the document. */
const beside = /^(\/(name|project_id|dialect|options)(\/.*)?)?$/;

/** Sorts what the control plane has refused by where it is to be put right. */
export function placeErrors(errors: readonly ListedError[]): PlacedErrors {
  const inDocument = errors.filter(({ path }) => !beside.test(path));
  const atFields = errors.filter(({ path }) => ownFields.has(path));
  return {
    document: inDocument.map(({ path, code, message }) => ({ path, code, message })),
    fields: new Map(atFields.map(({ path, message }) => [path, message])),
    others: errors.filter((error) => !inDocument.includes(error) && !atFields.includes(error)),
  };
}
