/**
 * Whether receipts of jobs may be believed. Pure, and needs nothing but the receipts and the keys of their nodes: anybody can
 * verify them, years later and without a network.
 */
import { createHash, createPublicKey, verify } from 'node:crypto';
import type { IdentityKey } from '../contract/enrolment.ts';
import { JobReceipt, maxReceiptLength, type NodeKeys, receiptJwsType } from '../contract/job-receipt.ts';
import { readStrictJson } from '../contract/strict-json.ts';
import { judge } from '../contract/validate.ts';
import { canonicalJson } from './container-spec.ts';

interface Signer {
  readonly publicJwk: IdentityKey;
  /** Ed25519 over the UTF-8 bytes, base64url. */
  sign(text: string): string;
}

export function signReceipt(receipt: JobReceipt, { publicJwk, sign }: Signer): string {
  const header = { alg: 'EdDSA', kid: thumbprint(publicJwk), typ: receiptJwsType };
  const text = `${encoded(canonicalJson(header))}.${encoded(canonicalJson(receipt))}`;
  return `${text}.${sign(text)}`;
}

/** What the next receipt says of the one before. */
export function receiptHash(jws: string): string {
  return createHash('sha256').update(jws).digest('hex');
}

/** What a receipt says of a plan. */
export function planHash(plan: object): string {
  return createHash('sha256').update(canonicalJson(plan)).digest('hex');
}

export interface PresentedReceipt {
  /** Where it is from, for a person. */
  readonly file: string;
  readonly jws: string;
}

export interface ReceiptVerdict {
  readonly file: string;
  /** Undefined where it cannot be read. */
  readonly receipt: JobReceipt | undefined;
  /** Why it is not to be believed; null where it is. */
  readonly refusal: string | null;
}

/**
 * Judges each receipt, and that they follow one another: in the order of nodes and numbers, what cannot be read last. Where
 * `gaps` are allowed, receipts may be missing between them, such as those of other projects.
 */
export function judgeReceipts(
  presented: readonly PresentedReceipt[],
  keys: readonly NodeKeys[],
  { gaps }: { readonly gaps: boolean },
): ReceiptVerdict[] {
  const read = presented.map(({ file, jws }) => ({ file, jws: jws.trim(), ...readReceipt(jws.trim(), keys) }));
  const sound = read.filter((each): each is Sound => each.refusal === null).toSorted(inOrder);
  return [
    ...sound.map(({ file, receipt, ...link }, place) => {
      const before = sound.slice(0, place).findLast((other) => isSameChain(other.receipt, receipt));
      return { file, receipt, refusal: brokenLink({ file, receipt, ...link }, before, gaps) };
    }),
    ...read.filter(({ refusal }) => refusal !== null).map(({ file, receipt, refusal }) => ({ file, receipt, refusal })),
  ];
}

/** What a receipt says, whoever has signed it, if anybody; undefined for what is none. */
export function readUnverified(jws: string): JobReceipt | undefined {
  const judged = judge(JobReceipt, jsonOf(jws.split('.')[1] ?? ''));
  return judged.ok ? judged.value : undefined;
}

type Read =
  | { readonly refusal: null; readonly receipt: JobReceipt; readonly key: number }
  | { readonly refusal: string; readonly receipt: undefined };
type Sound = PresentedReceipt & Extract<Read, { refusal: null }>;

function readReceipt(jws: string, keys: readonly NodeKeys[]): Read {
  const refused = (refusal: string): Read => ({ refusal, receipt: undefined });
  const parts = jws.split('.');
  const [header = '', payload = '', signature = ''] = parts;
  if (jws.length > maxReceiptLength || parts.length !== 3) return refused('It is no receipt.');
  const { alg, typ, kid } = (jsonOf(header) ?? {}) as Readonly<Record<string, unknown>>;
  if (alg !== 'EdDSA' || typ !== receiptJwsType) return refused('It is no receipt.');
  const known = keys.flatMap(({ node_id: node, keys: own }) => own.map(({ key }, place) => ({ node, key, place })));
  const signer = known.find(({ key }) => thumbprint(key) === kid);
  if (!signer) return refused('It is signed by a key that is none of the keys that were given.');
  const bytes = Buffer.from(signature, 'base64url');
  // The last character has bits that mean nothing: a signature is written in one way only.
  const isOne = bytes.toString('base64url') === signature && verifies(signer.key, `${header}.${payload}`, bytes);
  if (!isOne) return refused('Its signature is wrong: it was changed after it was signed.');
  const judged = judge(JobReceipt, jsonOf(payload));
  if (!judged.ok) return refused('It is signed, and is no receipt of this version.');
  if (judged.value.node_id !== signer.node) {
    return refused(`It speaks for node ${judged.value.node_id}, and ${signer.node} has signed it.`);
  }
  return { refusal: null, receipt: judged.value, key: signer.place };
}

/** What is wrong between two receipts that are sound by themselves; null for nothing. */
function brokenLink(one: Sound, before: Sound | undefined, gaps: boolean): string | null {
  const { number, previous } = one.receipt;
  if ((number === 1) !== (previous === null))
    return `It is number ${number}, and what it says of the one before is not.`;
  if (!before || before.jws === one.jws) return null;
  const { number: last } = before.receipt;
  if (number === last) return `There are two receipts with the number ${number}: the other one is ${before.file}.`;
  if (one.key < before.key) return `It is signed by a key that number ${last}, before it, had left behind.`;
  if (number > last + 1) {
    const missing = number === last + 2 ? `number ${last + 1} is` : `the numbers ${last + 1} to ${number - 1} are`;
    return gaps ? null : `Of the chain, ${missing} missing between ${before.file} and ${one.file}.`;
  }
  return previous === receiptHash(before.jws)
    ? null
    : `It does not follow ${before.file}, number ${last} of its chain.`;
}

function isSameChain(one: JobReceipt, other: JobReceipt): boolean {
  return one.node_id === other.node_id && one.chain === other.chain;
}

function inOrder({ receipt: a }: Sound, { receipt: b }: Sound): number {
  const name = ({ node_id: node, chain }: JobReceipt) => `${node} ${chain}`;
  return name(a) === name(b) ? a.number - b.number : name(a) < name(b) ? -1 : 1;
}

/** RFC 7638. */
function thumbprint({ crv, kty, x }: IdentityKey): string {
  return createHash('sha256').update(JSON.stringify({ crv, kty, x })).digest('base64url');
}

function verifies(key: IdentityKey, text: string, signature: Uint8Array): boolean {
  try {
    return verify(null, Buffer.from(text), createPublicKey({ key, format: 'jwk' }), signature);
  } catch {
    return false;
  }
}

function encoded(text: string): string {
  return Buffer.from(text).toString('base64url');
}

function jsonOf(part: string): unknown {
  const read = readStrictJson(Buffer.from(part, 'base64url'));
  return read.ok ? read.value : undefined;
}
