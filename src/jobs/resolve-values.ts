/** Values of a plan once they are known: typed references become what they refer to. Nothing here reads a foreign syntax. */
import { AgentError } from '../contract/failures.ts';
import type { EnvValue, ListValue, Reference, TextValue } from '../contract/job-values.ts';

export interface KnownValues {
  /** What a step has brought out; undefined where it has not, or not yet. */
  readonly result: (step: string, name: string) => readonly string[] | undefined;
  /** Name of a step on the network of the job. */
  readonly host: (step: string) => string | undefined;
  /** Address of a published port, `127.0.0.1:41234`; undefined where it is not published. */
  readonly endpoint: (step: string, port: number) => string | undefined;
  /** How a service stands; undefined for none of the plan. */
  readonly service: (id: string) => 'starting' | 'ready' | 'ended' | undefined;
  readonly job: { readonly id: string; readonly host: string; readonly project: string };
}

/** More than a kernel gives a program. References multiply what a step has said, and all of it is held at once. */
const mostTaken = 4 * 1024 * 1024;

/** For one container or input. Throws `step.unresolved` where results that it refers to, each as often as it does, are too long. */
export function rationed(known: KnownValues): KnownValues {
  let taken = 0;
  return {
    ...known,
    result: (step, name) => {
      const found = known.result(step, name);
      taken += (found ?? []).reduce((sum, { length }) => sum + length, 0);
      if (taken <= mostTaken) return found;
      throw new AgentError('step.unresolved', { reason: 'The results that it refers to are too long together.' });
    },
  };
}

/** Throws `step.unresolved`, naming the reference, for what is not known. */
export function resolveText(value: TextValue, known: KnownValues): string {
  return typeof value === 'string'
    ? value
    : value.join.map((piece) => (typeof piece === 'string' ? piece : wordsOf(piece, known).join(' '))).join('');
}

/** Undefined for a list that counts as not given. */
export function resolveList({ items, omit_if_empty: omits }: ListValue, known: KnownValues): string[] | undefined {
  const words = items.flatMap((item) => {
    if (typeof item === 'string' || 'join' in item) return [resolveText(item, known)];
    return 'spread' in item ? spreadOf(item.spread, item.chunked, known) : wordsOf(item, known);
  });
  return words.length === 0 && omits ? undefined : words;
}

/** Variables that came later win. Names and values are judged by whoever makes the container. */
export function resolveEnv({ values, merge }: EnvValue, known: KnownValues): Record<string, string> {
  const env = Object.fromEntries(Object.entries(values).map(([name, value]) => [name, resolveText(value, known)]));
  for (const { kind, from } of merge) {
    const value = jsonOf(from, known);
    const pairs = kind === 'object' ? Object.entries(asObject(value)) : pairsOf(value);
    for (const [name, text] of pairs) {
      if (name !== '__proto__') env[name] = asText(text);
    }
  }
  return env;
}

/** A value that is one reference is what it refers to, and not the words of that. */
function jsonOf(value: TextValue, known: KnownValues): unknown {
  const [only, ...more] = typeof value === 'string' ? [value] : value.join;
  if (only === undefined || typeof only === 'string' || more.length > 0) return parsed(resolveText(value, known));
  const whole = referred(only, known);
  return typeof whole === 'string' ? parsed(whole) : Array.isArray(whole) ? parsed(whole.join('')) : whole;
}

/** The words that a reference stands for: a list one by one, whatever else as one. */
function wordsOf(reference: Reference, known: KnownValues): string[] {
  const value = referred(reference, known);
  const open = Array.isArray(value) ? value.map(parsedIfList) : parsedIfList(value);
  return [open]
    .flat(8)
    .filter((word) => word !== null && word !== undefined)
    .map(asText);
}

function referred(reference: Reference, { result, host, endpoint, service, job }: KnownValues): unknown {
  switch (reference.ref) {
    case 'job':
      return job[reference.name];
    case 'step_host':
      return host(reference.step) ?? unresolved(reference);
    case 'step_endpoint':
      return endpoint(reference.step, reference.port) ?? unresolved(reference);
    case 'service_state':
      return service(reference.service) ?? unresolved(reference);
    case 'step_result': {
      const found = result(reference.step, reference.name) ?? unresolved(reference);
      const whole = found.length === 1 ? found[0] : found;
      return (reference.path ?? []).reduce<unknown>((value, key) => inside(value, key) ?? unresolved(reference), whole);
    }
  }
}

function inside(value: unknown, key: string): unknown {
  const open = typeof value === 'string' ? parsedIfList(value) : value;
  return typeof open === 'object' && open !== null && Object.hasOwn(open, key)
    ? (open as Record<string, unknown>)[key]
    : undefined;
}

function spreadOf(reference: Reference, chunked: boolean, known: KnownValues): string[] {
  const value = referred(reference, known);
  const whole = Array.isArray(value) && chunked ? value.join('') : value;
  const list = typeof whole === 'string' ? parsed(whole) : whole;
  if (!Array.isArray(list)) throw malformed(reference, 'no JSON list');
  return list.flat().map(asText);
}

/** Of JSON only what is clearly meant as such: a number stays the text that it was. */
function parsedIfList(value: unknown): unknown {
  if (typeof value !== 'string' || !/^\s*[[{]/.test(value)) return value;
  try {
    return JSON.parse(value);
  } catch {
    return value;
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new AgentError('step.unresolved', { reason: 'A value that has to be JSON is none.' });
  }
}

function asObject(value: unknown): object {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  throw new AgentError('step.unresolved', { reason: 'Variables that have to be a JSON object are none.' });
}

function pairsOf(value: unknown): [string, unknown][] {
  if (!Array.isArray(value))
    throw new AgentError('step.unresolved', { reason: 'Variables that have to be pairs are none.' });
  return value.map((pair) => {
    const { key, value: text = '' } = asObject(pair) as { key?: unknown; value?: unknown };
    if (typeof key === 'string') return [key, text];
    throw new AgentError('step.unresolved', { reason: 'A pair of variables has no key.' });
  });
}

function asText(value: unknown): string {
  return typeof value === 'string' ? value : typeof value === 'object' ? JSON.stringify(value) : String(value);
}

function unresolved(reference: Reference): never {
  throw malformed(reference, 'not there');
}

function malformed(reference: Reference, what: string): AgentError {
  return new AgentError('step.unresolved', {
    reason: `${nameOf(reference)} is ${what}.`,
    reference: nameOf(reference),
  });
}

function nameOf(reference: Reference): string {
  switch (reference.ref) {
    case 'job':
      return `job.${reference.name}`;
    case 'step_host':
      return `steps.${reference.step}.host`;
    case 'step_endpoint':
      return `steps.${reference.step}.endpoint.${reference.port}`;
    case 'service_state':
      return `services.${reference.service}.state`;
    case 'step_result':
      return ['steps', reference.step, 'results', reference.name, ...(reference.path ?? [])].join('.');
  }
}
