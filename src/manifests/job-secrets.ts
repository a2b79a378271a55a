/** Takes the secrets out of a document, by JSON pointers, and puts them back where it is rendered. */

import { createHash } from 'node:crypto';
import { keysOf } from '../contract/pointer.ts';
import { canonicalJson } from '../policy/container-spec.ts';

export type Secrets = Readonly<Record<string, string>>;

/** A copy of the document with what is `shown` instead in the place of each text that is pointed to, and those texts by pointer. */
export function takeSecrets(
  document: unknown,
  shown: Readonly<Record<string, string>>,
): { document: unknown; secrets: Secrets } {
  const bare = copyOf(document);
  const secrets = Object.entries(shown).map(([pointer, text]) => [pointer, replaceAt(bare, pointer, text)] as const);
  return { document: bare, secrets: Object.fromEntries(secrets) };
}

/**
 * What a receipt says of a document: of what it says, in JSON as in YAML, and not of its secrets. Who has a receipt could try what
 * they are otherwise, and what is kept of a document verifies as well as what was submitted.
 */
export function documentHash(document: unknown, shown: Readonly<Record<string, string>>): string {
  return createHash('sha256')
    .update(canonicalJson(takeSecrets(document, shown).document))
    .digest('hex');
}

export function putSecrets(document: unknown, secrets: Secrets): unknown {
  const whole = copyOf(document);
  for (const [pointer, secret] of Object.entries(secrets)) replaceAt(whole, pointer, secret);
  return whole;
}

/** What an alias of YAML repeats is one thing in memory, and several places in the copy. */
function copyOf(document: unknown): unknown {
  return JSON.parse(JSON.stringify(document));
}

/** What was there. Pointers come from who has read the document, so something else than a text there is a bug. */
function replaceAt(document: unknown, pointer: string, text: string): string {
  const keys = keysOf(pointer);
  const last = keys.pop() ?? '';
  const parent = keys.reduce<unknown>((value, key) => (value as Record<string, unknown>)[key], document);
  const before = (parent as Record<string, unknown>)[last];
  if (typeof before !== 'string') throw new Error(`no text at ${pointer}`);
  (parent as Record<string, unknown>)[last] = text;
  return before;
}
