/**
 * The readiness checks of a launch as they are written on its container, so that an agent whose journal was lost asks the
 * same. They hold no secret: a launch brings those sealed, in fields of their own.
 */
import { Type } from 'typebox';
import { readStrictJson } from '../contract/strict-json.ts';
import { judge } from '../contract/validate.ts';
import { ReadinessCheck } from '../contract/workload-oci-launch.ts';
import { canonicalJson } from './container-spec.ts';

const ReadinessChecks = Type.Array(ReadinessCheck, { maxItems: 16 });

/** A label is in every list of containers. */
const longest = 8192;

/** Stands for checks that are too long to be noted. */
const unnoted = 'unnoted';

export function readinessLabel(readiness: readonly ReadinessCheck[]): string {
  const text = canonicalJson(readiness);
  return text.length > longest ? unnoted : text;
}

/** True for what a launch may write there. */
export function isReadinessLabel(value: string): boolean {
  return value === unnoted || readReadinessLabel(value) !== undefined;
}

/** Undefined where it says nothing, or nothing that makes sense. */
export function readReadinessLabel(value = ''): ReadinessCheck[] | undefined {
  if (value.length > longest) {
    return undefined;
  }
  const read = readStrictJson(Buffer.from(value));
  const judged = read.ok ? judge(ReadinessChecks, read.value) : read;
  return judged.ok ? judged.value : undefined;
}
