/** A receipt as a page reads it. Nothing is verified here: that is for a program that does not come from who is to be checked. */
import type { JobReceipt } from '../../../contract/job-receipt.ts';

/** What the node says; undefined where it is no receipt that can be read. */
export function readReceipt(jws: string): JobReceipt | undefined {
  try {
    const bytes = Uint8Array.from(
      atob((jws.split('.')[1] ?? '').replaceAll('-', '+').replaceAll('_', '/')),
      (character) => character.charCodeAt(0),
    );
    const said: unknown = JSON.parse(new TextDecoder().decode(bytes));
    return typeof said === 'object' && said !== null ? (said as JobReceipt) : undefined;
  } catch {
    return undefined;
  }
}

export interface RanImage {
  readonly id: string;
  /** What it is called and made of: the engine's id first, then what was asked for, then what it was built on. */
  readonly names: readonly string[];
  /** Empty where its host has not built it. */
  readonly builder: string;
}

/** What ran, and of what its host has built it. A node can write anything: what is no list or text is none here. */
export function imagesOf({ images }: JobReceipt): RanImage[] {
  return listOf<Partial<JobReceipt['images'][number]> | null>(images).map((image) => {
    const { builder, engine } = image?.provenance ?? {};
    const names: unknown[] = [image?.image_id, image?.reference, ...listOf(image?.provenance?.bases)];
    return {
      id: textOf(image?.id),
      names: names.filter((name) => typeof name === 'string'),
      builder: textOf(builder) + (textOf(engine) && ` of engine ${textOf(engine)}`),
    };
  });
}

/** What is no text cannot be made one without harm: an object may have a `toString` that is no function. */
export function textOf(said: unknown): string {
  return typeof said === 'string' || typeof said === 'number' ? String(said) : '';
}

function listOf<T>(said: readonly T[] | undefined): readonly T[] {
  return Array.isArray(said) ? said : [];
}

/** What verifies it, offline. */
export function verifyCommands(job: { readonly id: string; readonly node_id: string | null }): string[] {
  return [
    `gpuaas jobs receipt ${job.id} -o ${job.id}.receipt`,
    `gpuaas nodes keys ${job.node_id ?? 'NODE'} -o node-keys.json`,
    `gpuaas jobs verify ${job.id}.receipt --key node-keys.json`,
  ];
}
