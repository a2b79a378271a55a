/**
 * The keys that tasks are signed with. Nodes pin one of them when they enrol and believe another only if the one before
 * has signed it, so the chain of rotations is kept: a node that was away for months follows it key by key.
 *
 *   key 1 ──signs──▶ key 2 ──signs──▶ key 3 (signs tasks)
 */
import { createHash } from 'node:crypto';
import { CompactSign, type CryptoKey, exportJWK, generateKeyPair, importJWK, type JWK } from 'jose';
import { type Static, Type } from 'typebox';
import { TaskKey, type TaskKeyRotation } from '../../contract/enrolment.ts';
import { AgentError } from '../../contract/failures.ts';
import { rotationJwsType, taskJwsType } from '../../contract/signing.ts';
import type { TaskEnvelope } from '../../contract/task-envelope.ts';
import { judge } from '../../contract/validate.ts';
import { KeyedMutex } from '../../kit/mutex.ts';
import { keyFile } from './key-file.ts';

const StoredKey = Type.Object(
  {
    ...TaskKey.properties,
    private: Type.String({ description: 'Private half, base64url.' }),
    /** Signed with the key before; null for the first key. */
    rotation: Type.Union([Type.String(), Type.Null()], { description: 'Rotation JWS that leads to this key.' }),
  },
  { additionalProperties: false, description: 'A task key as it lies on disk.' },
);
type StoredKey = Static<typeof StoredKey>;
const StoredKeys = Type.Array(StoredKey, { minItems: 1, description: 'Oldest first; the last signs.' });

/** A node that missed more rotations than a welcome holds has to enrol again. */
export const maxRotations = 8;

export class TaskKeys {
  readonly #file: ReturnType<typeof keyFile>;
  readonly #rotations = new KeyedMutex();
  #keys: readonly StoredKey[];
  #signer: CryptoKey;

  private constructor(file: ReturnType<typeof keyFile>, keys: readonly StoredKey[], signer: CryptoKey) {
    this.#file = file;
    this.#keys = keys;
    this.#signer = signer;
  }

  /** Opens the keys in `folder`, making the first one where there is none. */
  static async open(folder: string): Promise<TaskKeys> {
    const file = keyFile(folder, 'task-keys.json');
    if (file.read() === undefined) file.create([{ ...(await makeKey()), rotation: null }]);
    const judged = judge(StoredKeys, file.read());
    if (!judged.ok) {
      throw new AgentError('server.key_unusable', { path: 'task-keys.json', reason: 'It is damaged.' });
    }
    return new TaskKeys(file, judged.value, await signerOf(judged.value.at(-1) as StoredKey));
  }

  /** The key that signs now; what a node pins when it enrols. */
  get current(): TaskKey {
    const { kid, jwk } = this.#keys.at(-1) as StoredKey;
    return { kid, jwk };
  }

  /** A key that signs or has signed; join tokens outlive a rotation. */
  named(kid: string): TaskKey | undefined {
    const known = this.#keys.find((key) => key.kid === kid);
    return known && { kid: known.kid, jwk: known.jwk };
  }

  /** The task as compact JWS. */
  async sign(envelope: TaskEnvelope): Promise<string> {
    return await this.#signed(taskJwsType, envelope);
  }

  /**
   * What a node that believes `kid` needs to believe the current key: nothing if it does already. Undefined if it cannot
   * be led there, because the key is unknown or too many rotations ago.
   */
  rotationsAfter(kid: string): readonly string[] | undefined {
    const known = this.#keys.findIndex((key) => key.kid === kid);
    const missing = this.#keys.slice(known + 1);
    if (known < 0 || missing.length > maxRotations) return undefined;
    return missing.flatMap(({ rotation }) => rotation ?? []);
  }

  /** Hands over to a new key, which is on disk before it signs anything. Nodes learn of it with their next welcome. */
  rotate(retireAfter: Date): Promise<TaskKey> {
    return this.#rotations.run('rotate', () => this.#rotate(retireAfter));
  }

  async #rotate(retireAfter: Date): Promise<TaskKey> {
    const next = await makeKey();
    const statement: TaskKeyRotation = {
      next: { kid: next.kid, jwk: next.jwk },
      retire_after: retireAfter.toISOString(),
    };
    const keys = [...this.#keys, { ...next, rotation: await this.#signed(rotationJwsType, statement) }];
    const signer = await signerOf(next);
    this.#file.replace(keys);
    // Together: what is signed meanwhile names the key that signs it.
    this.#keys = keys;
    this.#signer = signer;
    return this.current;
  }

  async #signed(typ: string, payload: object): Promise<string> {
    return await new CompactSign(Buffer.from(JSON.stringify(payload)))
      .setProtectedHeader({ alg: 'EdDSA', kid: this.current.kid, typ })
      .sign(this.#signer);
  }
}

async function makeKey(): Promise<Omit<StoredKey, 'rotation'>> {
  const { privateKey } = await generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true });
  const { d = '', x = '' } = await exportJWK(privateKey);
  return { kid: kidOf(x), jwk: { kty: 'OKP', crv: 'Ed25519', x }, private: d };
}

async function signerOf({ jwk, private: d }: Omit<StoredKey, 'rotation'>): Promise<CryptoKey> {
  return (await importJWK({ ...(jwk as JWK), d }, 'EdDSA')) as CryptoKey;
}

/** Names a key by what it is, so that two keys never share a name. An identifier: events speak of it. */
function kidOf(x: string): string {
  return createHash('sha256').update(x).digest('hex').slice(0, 24);
}
