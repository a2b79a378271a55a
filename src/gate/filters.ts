/**
 * Filters of lists and event streams: the client's own, as far as they are harmless, and always ours on top.
 *
 * Both forms that engine clients write are read: `{"label": ["a=b"]}` and `{"label": {"a=b": true}}`.
 */
import { AgentError } from '../contract/failures.ts';
import { labels } from '../contract/names.ts';
import type { PathError } from '../contract/validate.ts';
import { parseStrictJson } from './strict-json.ts';

type Shapes = Readonly<Record<string, RegExp>>;

const label = /^(?:gpuaas\.[a-z]{1,32}|com\.docker\.compose\.[a-z_.-]{1,64})(?:=[A-Za-z0-9_.:,-]{0,256})?$/;
const ofContainers: Shapes = {
  label,
  status: /^[a-z]{1,16}$/,
  name: /^[A-Za-z0-9_.^$/-]{1,128}$/,
  id: /^[0-9a-f]{1,64}$/,
};
const ofNetworks: Shapes = { label, name: /^[A-Za-z0-9_.-]{1,128}$/, id: /^[0-9a-f]{1,64}$/ };
const ofVolumes: Shapes = { label, name: /^[A-Za-z0-9_.-]{1,160}$/ };
const ofEvents: Shapes = { label, type: /^container$/, event: /^[a-z_]{1,32}$/, container: /^[A-Za-z0-9_.-]{1,128}$/ };

/** Containers that claim to be ours. */
export function containerFilters(text: string | undefined): string {
  const filters = read(text, ofContainers);
  return JSON.stringify({ ...filters, label: [...(filters['label'] ?? []), labels.seal] });
}

/** The client's own alone: which networks are ours their seals say. Undefined where there are none. */
export function networkFilters(text: string | undefined): Readonly<Record<string, readonly string[]>> | undefined {
  return text === undefined ? undefined : read(text, ofNetworks);
}

/** Volumes that claim to be ours. */
export function volumeFilters(text: string | undefined): string {
  const filters = read(text, ofVolumes);
  return JSON.stringify({ ...filters, label: [...(filters['label'] ?? []), labels.seal] });
}

/** Events of containers that claim to be ours. */
export function eventFilters(text: string | undefined): string {
  const filters = read(text, ofEvents);
  return JSON.stringify({ ...filters, type: ['container'], label: [...(filters['label'] ?? []), labels.seal] });
}

function read(text: string | undefined, shapes: Shapes): Record<string, string[]> {
  if (text === undefined) return {};
  const value = parseStrictJson(Buffer.from(text));
  if (value === null || typeof value !== 'object' || Array.isArray(value)) throw refusal('', 'must be an object');
  const filters: Record<string, string[]> = {};
  for (const [key, given] of Object.entries(value)) {
    const shape = Object.hasOwn(shapes, key) ? shapes[key] : undefined;
    const wanted = listOf(given);
    if (shape === undefined) throw refusal(`/${key.slice(0, 64)}`, 'is not offered here');
    if (!wanted?.every((entry) => shape.test(entry))) throw refusal(`/${key}`, 'has a value that is not allowed');
    filters[key] = wanted;
  }
  return filters;
}

function listOf(given: unknown): string[] | undefined {
  if (given === null || typeof given !== 'object') return undefined;
  const wanted: unknown[] = Array.isArray(given) ? given : Object.keys(given);
  return wanted.every((entry) => typeof entry === 'string') ? wanted : undefined;
}

function refusal(path: string, message: string): AgentError {
  const error: PathError = { path: `?filters${path}`, code: 'filter', message };
  return new AgentError('policy.refused', { errors: [{ ...error }] });
}
