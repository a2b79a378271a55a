/** A computation payload manifest and what proves whose it is, out of the files in which people have them. */
import { readFile, stat } from 'node:fs/promises';
import { buffer } from 'node:stream/consumers';
import { AgentError } from '../contract/failures.ts';
import { SignedManifest } from '../contract/payload-manifest.ts';
import { readStrictJson } from '../contract/strict-json.ts';
import { judge } from '../contract/validate.ts';

export interface ProofFiles {
  /** The signature as base64, or its bytes. */
  readonly signature?: string | undefined;
  /** PEM with the signer last, or DER; or base64 of either. */
  readonly certificate?: string | undefined;
  /** Name that OpenSSL has for the digest. */
  readonly algorithm?: string | undefined;
  /** JSON `{document, signature, algorithm, certificate}`. */
  readonly partner?: string | undefined;
}

const mostBytes = 2 ** 20;
const base64Text = /^[A-Za-z0-9+/\s]+={0,2}\s*$/;

/**
 * `file` is the manifest as JSON, the base64 text of it, or JSON of all of it: `{manifest, proof, partner}`. `-` is standard input.
 * `file.unusable`, `command.invalid`.
 */
export async function readSignedManifest(file: string, files: ProofFiles): Promise<SignedManifest> {
  const { proof, partner } = await readProofs(files);
  const bytes = await readFileBounded(file);
  const whole = wholeOf(bytes);
  if (whole !== undefined && (proof !== undefined || partner !== undefined)) {
    throw new AgentError('command.invalid', { reason: `${file} says itself by whom it is signed.` });
  }
  const signed = whole ?? {
    manifest: base64In(bytes),
    ...(proof && { proof }),
    ...(partner !== undefined && { partner }),
  };
  const judged = judge(SignedManifest, signed);
  if (judged.ok) return judged.value;
  const errors = judged.errors.map((error) => ({ ...error }));
  throw new AgentError('file.unusable', {
    reason: `${file} cannot be a manifest with what proves whose it is.`,
    errors,
  });
}

interface Proofs {
  readonly proof: SignedManifest['proof'];
  /** As the file has it; undefined where there is none. */
  readonly partner: unknown;
}

/** `file.unusable`; `command.invalid` where only a part of a signature is there. */
export async function readProofs({ signature, certificate, algorithm, partner }: ProofFiles): Promise<Proofs> {
  return {
    proof: await readProof(signature, certificate, algorithm),
    partner: partner === undefined ? undefined : await jsonIn(partner),
  };
}

async function readProof(
  signature: string | undefined,
  certificate: string | undefined,
  algorithm: string | undefined,
): Promise<SignedManifest['proof']> {
  if (signature === undefined && certificate === undefined && algorithm === undefined) return undefined;
  if (signature === undefined || certificate === undefined) {
    const reason = '--signature and --certificate belong together: who signs is in the certificate.';
    throw new AgentError('command.invalid', { reason });
  }
  return {
    signature: await base64Of(signature),
    algorithm: algorithm ?? 'sha256',
    certificate: await base64Of(certificate),
  };
}

async function jsonIn(file: string): Promise<unknown> {
  const read = readStrictJson(await readFileBounded(file));
  if (read.ok) return read.value;
  throw new AgentError('file.unusable', { reason: `${file} ${read.errors[0]?.message ?? 'is no JSON'}.`, file });
}

/** Undefined where it is not the whole of it in one. */
function wholeOf(bytes: Buffer): unknown {
  const value = parsed(bytes);
  return typeof value === 'object' && value !== null && 'manifest' in value ? value : undefined;
}

function parsed(bytes: Buffer): unknown {
  const read = readStrictJson(bytes);
  return read.ok ? read.value : undefined;
}

async function base64Of(file: string): Promise<string> {
  return base64In(await readFileBounded(file));
}

/** A text that is base64 is taken for it, whatever its lines are. */
function base64In(bytes: Buffer): string {
  const text = bytes.toString('latin1');
  return base64Text.test(text) ? text.replaceAll(/\s/g, '') : bytes.toString('base64');
}

/** `file.unusable` for what cannot be read, is empty or larger than any. */
export async function readFileBounded(file: string): Promise<Buffer> {
  let bytes: Buffer;
  try {
    if (file !== '-' && (await stat(file)).size > mostBytes) throw tooLarge(file);
    bytes = file === '-' ? await buffer(process.stdin) : await readFile(file);
  } catch (cause) {
    if (cause instanceof AgentError) throw cause;
    const code = (cause as NodeJS.ErrnoException).code ?? 'error';
    throw new AgentError('file.unusable', { reason: `${file} cannot be read: ${code}.`, file }, { cause });
  }
  if (bytes.length > mostBytes) throw tooLarge(file);
  if (bytes.length === 0) throw new AgentError('file.unusable', { reason: `${file} is empty.`, file });
  return bytes;
}

function tooLarge(file: string): AgentError {
  return new AgentError('file.unusable', { reason: `${file} is larger than ${mostBytes} bytes.`, file });
}
