/** Faults of shape anywhere in a document, each with nothing lost that mending it would not bring back. */
import fc from 'fast-check';
import type { TSchema } from 'typebox';
import { pointerToken } from '../../src/contract/pointer.ts';
import { judge, type PathError } from '../../src/contract/validate.ts';

export interface Damage {
  /** Which of all keys, counted around. */
  readonly at: number;
  readonly change: 'replace' | 'drop' | 'misspell' | 'stray' | 'move';
  readonly value: unknown;
  /** Where a key is moved to, counted around. */
  readonly to: number;
}

interface Spot {
  readonly holder: Record<string, unknown>;
  readonly key: string;
  readonly path: string;
}

/** The document with those of the damages that are faults of shape by themselves, and in none of the others. */
export function damaged<T>(schema: TSchema, document: T, damages: readonly Damage[]): T {
  const paths: string[] = [];
  return damages.reduce((sound, damage) => {
    const next = structuredClone(sound);
    const [from, path] = apply(next, damage) ?? [];
    const isNear = (place: string) => paths.some((other) => isWithin(place, other) || isWithin(other, place));
    if (from === undefined || path === undefined || isNear(from) || isNear(path)) return sound;
    const judged = judge(schema, next);
    // A key among names that people choose is taken for one of those.
    const counts = (error: PathError) =>
      error.path === path && (damage.change !== 'move' || error.code === 'unknown_key');
    if (judged.ok || !judged.errors.some(counts)) return sound;
    paths.push(path);
    return next;
  }, document);
}

function isWithin(path: string, other: string): boolean {
  return `${path}/`.startsWith(`${other}/`);
}

/** Every key of the document. */
function spotsOf(node: unknown, path = ''): Spot[] {
  if (typeof node !== 'object' || node === null) return [];
  return Object.keys(node).flatMap((key) => {
    const holder = node as Record<string, unknown>;
    const at = `${path}/${pointerToken(key)}`;
    return [{ holder, key, path: at }, ...spotsOf(holder[key], at)];
  });
}

/** Path of what is changed, and of the fault; undefined where it cannot be. */
function apply(document: unknown, { at, change, value, to }: Damage): [string, string] | undefined {
  const spots = spotsOf(document);
  const spot = spots[at % spots.length];
  if (!spot) return undefined;
  const { holder, key, path } = spot;
  if (change === 'replace') {
    holder[key] = value;
    return [path, path];
  }
  if (Array.isArray(holder)) return undefined;
  if (change === 'stray') {
    holder['unheard_of'] = value;
    const stray = path.replace(/[^/]*$/, 'unheard_of');
    return [stray, stray];
  }
  const moved = holder[key];
  const others = spots.filter(({ holder: { [key]: taken } }) => taken === undefined);
  const other = others[to % others.length];
  const isInside = spotsOf(moved).some((inside) => inside.holder === other?.holder);
  if (change === 'move' && (!other || isInside || Array.isArray(other.holder))) return undefined;
  delete holder[key];
  if (change === 'drop') return [path, path];
  const [target, name] = change === 'move' && other ? [other, key] : [spot, `${key}_`];
  target.holder[name] = moved;
  return [path, target.path.replace(/[^/]*$/, pointerToken(name))];
}

export const damages: fc.Arbitrary<readonly Damage[]> = fc.array(
  fc.record({
    at: fc.nat(10_000),
    change: fc.constantFrom('replace', 'replace', 'drop', 'misspell', 'stray', 'move'),
    value: fc.oneof(fc.constantFrom(null, true, 7, -1.5, '', 'text', '\u0000'), fc.constant([]), fc.constant({})),
    to: fc.nat(10_000),
  }),
  { minLength: 1, maxLength: 6 },
);
