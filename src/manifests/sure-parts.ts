/**
 * A document of which some parts are wrong, for checks that hold its parts against each other.
 *
 * Authors want to hear of everything at once, and of nothing that is gone when the rest is mended. So a check gets the document
 * as it is, and what a schema has refused answers nobody: whoever asks for it, `ifSure` ends there and has no result. What
 * a check says without having asked is as true of the mended document. A copy (`{...part}`) answers as if it were whole: none is made.
 *
 *   a wrong value, or one that is missing                    is not told, and neither is whether it is there
 *   a key that is missing beside one that nobody knows       may be what that one was meant to be
 *   a key that is missing, where one of its name is strange  may be where that one belongs
 */
import { keysOf } from '../contract/pointer.ts';
import type { Fault, PathError } from '../contract/validate.ts';

const unsure = new Error('this part of the document cannot be relied on');

/** Undefined where that asks for what is wrong. */
export function ifSure<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error === unsure) return undefined;
    throw error;
  }
}

/** For who cannot tell for another reason. */
export function beUnsure(): never {
  throw unsure;
}

export function sure(check: () => readonly PathError[]): readonly PathError[] {
  return ifSure(check) ?? [];
}

/** Each entry for itself. */
export function each<T>(
  list: readonly T[],
  check: (entry: T, index: number) => readonly PathError[],
): readonly PathError[] {
  // By index: a list that is walked through ends at the first entry that is wrong.
  return Array.from({ length: list.length }, (_, index) => index).flatMap((index) =>
    sure(() => check(list[index] as T, index)),
  );
}

/** As `read`, which is asked once, also where it has no result. */
export function once<T>(read: () => T): () => T {
  let known: { readonly value: T } | { readonly isUnsure: true } | undefined;
  return () => {
    known ??= ifSure(() => ({ value: read() })) ?? { isUnsure: true };
    return 'value' in known ? known.value : beUnsure();
  };
}

interface Marks {
  isWrong: boolean;
  /** Nobody knows it: it is left out where keys are listed. */
  isStray: boolean;
  /** True if something in it is a stray. */
  isLoose: boolean;
  readonly below: Map<string, Marks>;
}

/** What is sure of the document; it is as unsure as the rest where the whole of it is wrong. */
export function surePartsOf(document: unknown, faults: readonly Fault[]): unknown {
  const root = unmarked();
  const strays = new Set<string>();
  for (const { path, isStray } of faults) {
    let holder: Marks | undefined;
    let marks = root;
    for (const key of keysOf(path)) {
      holder = marks;
      marks = marks.below.get(key) ?? unmarked();
      holder.below.set(key, marks);
    }
    marks.isWrong = true;
    if (!isStray || !holder) continue;
    marks.isStray = true;
    holder.isLoose = true;
    strays.add(keysOf(path).at(-1) ?? '');
  }
  return root.isWrong ? beUnsure() : guard(document, root, strays);
}

function unmarked(): Marks {
  return { isWrong: false, isStray: false, isLoose: false, below: new Map() };
}

function guard(value: unknown, marks: Marks | undefined, strays: ReadonlySet<string>): unknown {
  if (typeof value !== 'object' || value === null || (!marks && strays.size === 0)) return value;
  const inside = new Map<string, unknown>();
  const isThere = (target: object, key: string) => Object.hasOwn(target, key) && !marks?.below.get(key)?.isStray;
  const mayBe = (target: object, key: string) =>
    marks?.below.get(key)?.isWrong || (!Array.isArray(target) && (marks?.isLoose || strays.has(key)));
  const assertKnown = (target: object, key: string | symbol) => {
    if (typeof key === 'string' && !isThere(target, key) && mayBe(target, key)) beUnsure();
  };
  return new Proxy(value, {
    get(target, key) {
      assertKnown(target, key);
      if (typeof key === 'symbol' || !Object.hasOwn(target, key)) return Reflect.get(target, key);
      if (marks?.below.get(key)?.isWrong) return beUnsure();
      if (!inside.has(key)) inside.set(key, guard(Reflect.get(target, key), marks?.below.get(key), strays));
      return inside.get(key);
    },
    has(target, key) {
      assertKnown(target, key);
      return Reflect.has(target, key);
    },
    getOwnPropertyDescriptor(target, key) {
      assertKnown(target, key);
      return Reflect.getOwnPropertyDescriptor(target, key);
    },
    ownKeys: (target) => Reflect.ownKeys(target).filter((key) => typeof key === 'symbol' || isThere(target, key)),
  });
}
