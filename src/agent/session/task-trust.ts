/**
 * Which keys tasks may be signed with, and whether one is.
 *
 * The first key was proven by the pin of the join token; each other one is believed because the key before it has signed
 * it. A key hands on once: whoever gets hold of an old one cannot name another heir.
 */
import type { CryptoKey } from 'jose';
import { type TaskKey, TaskKeyRotation } from '../../contract/enrolment.ts';
import { AgentError } from '../../contract/failures.ts';
import { rotationJwsType, taskJwsType } from '../../contract/signing.ts';
import { readStrictJson } from '../../contract/strict-json.ts';
import { judge } from '../../contract/validate.ts';
import type { TrustedTaskKey } from '../identity/node-record.ts';

export class TaskTrust {
  #keys: readonly TrustedTaskKey[];
  readonly #imported = new Map<string, CryptoKey>();

  constructor(keys: readonly TrustedTaskKey[]) {
    this.#keys = keys;
  }

  /** All that were ever trusted, oldest first. */
  get keys(): readonly TrustedTaskKey[] {
    return this.#keys;
  }

  /** Loads what proving a task needs, so that the first one does not wait for it. */
  async warmUp(): Promise<void> {
    await Promise.all(this.#keys.map((key) => this.#import(key)));
  }

  /** Bytes that a trusted key has signed as a task; `task.untrusted` for everything else. `now` is server time. */
  async prove(jws: string, now: number): Promise<Uint8Array> {
    const key = this.#named(jws);
    if (!key) {
      throw untrusted('It is signed by a key that this node does not know.');
    }
    if (key.retire_after !== null && !(now <= Date.parse(key.retire_after))) {
      throw untrusted('It is signed by a key that was replaced.');
    }
    return await this.#verify(jws, key, taskJwsType);
  }

  /**
   * Follows rotations, oldest first, and returns true if a key was added. Those that are known already are skipped; one
   * that nobody trusted has signed ends it with `task.untrusted`, and none after it counts.
   */
  async follow(rotations: readonly string[]): Promise<boolean> {
    let added = false;
    for (const jws of rotations) {
      added = (await this.#followOne(jws)) || added;
    }
    return added;
  }

  async #followOne(jws: string): Promise<boolean> {
    const by = this.#named(jws);
    if (!by) {
      throw untrusted('A task key is handed on by one that this node does not know.');
    }
    const payload = readStrictJson(await this.#verify(jws, by, rotationJwsType));
    const judged = payload.ok ? judge(TaskKeyRotation, payload.value) : payload;
    if (!judged.ok) {
      throw untrusted('A task key is handed on in a way that nobody understands.');
    }
    const { next, retire_after } = judged.value;
    const heir = this.#keys[this.#keys.indexOf(by) + 1];
    if (heir) {
      if (!isSame(heir, next)) {
        throw untrusted('A task key is handed on that was handed on to another one before.');
      }
      return false;
    }
    if (this.#keys.some(({ kid }) => kid === next.kid)) {
      throw untrusted('A task key is handed on to one of the same name.');
    }
    const before = this.#keys.slice(0, -1);
    this.#keys = [...before, { ...by, retire_after }, { ...next, retire_after: null }];
    return true;
  }

  #named(jws: string): TrustedTaskKey | undefined {
    const kid = kidOf(jws);
    return this.#keys.find((key) => key.kid === kid);
  }

  async #verify(jws: string, key: TrustedTaskKey, typ: string): Promise<Uint8Array> {
    const { compactVerify } = await import('jose');
    const imported = await this.#import(key);
    let verified: Awaited<ReturnType<typeof compactVerify>>;
    try {
      verified = await compactVerify(jws, imported, { algorithms: ['EdDSA'] });
    } catch (error) {
      throw new AgentError('task.untrusted', { reason: 'Its signature is wrong.' }, { cause: error });
    }
    if (verified.protectedHeader.typ !== typ) {
      throw untrusted('It was signed for another purpose.');
    }
    return verified.payload;
  }

  async #import({ kid, jwk }: TrustedTaskKey): Promise<CryptoKey> {
    const { importJWK } = await import('jose');
    const known = this.#imported.get(kid) ?? ((await importJWK(jwk, 'EdDSA')) as CryptoKey);
    this.#imported.set(kid, known);
    return known;
  }
}

function untrusted(reason: string): AgentError {
  return new AgentError('task.untrusted', { reason });
}

function isSame(a: TaskKey, b: TaskKey): boolean {
  return a.kid === b.kid && a.jwk.x === b.jwk.x;
}

/** Which key is said to have signed it; nothing is believed of it before the signature is proven. */
function kidOf(jws: string): unknown {
  const header = readStrictJson(Buffer.from(jws.slice(0, jws.indexOf('.')), 'base64url'));
  return header.ok ? (header.value as { kid?: unknown } | null)?.kid : undefined;
}
