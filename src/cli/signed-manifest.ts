/** A computation payload manifest and what proves whose it is, out of the files in which people have them. */
import { readFile, stat } from 'node:fs/promises';
import { buffer } from 'node:stream/consumers';
import { AgentError } from '../contract/failures.ts';
import { SignedManifest } from '../contract/payload-manifest.ts';
import { readStrictJson } from '../contract/strict-json.ts';
import { judge } from '../contract/validate.ts';

export interface ProofFiles {
  /** The signature as base64, or its bytes. */
  readonly signature?: string;
  /** PEM with the signer last, or DER; or base64 of either. */
  readonly certificate?: string;
  /** Name that OpenSSL has for the digest. */
  readonly algorithm?: string;
  /** JSON `{document, signature, algorithm, certificate}`. */
  readonly partner?: string;
}

const mostBytes = 2 ** 20;
const base64Text = /^[A-Za-z0-9+/\s]+={0,2}\s*$/;

/**
 * `file` is the manifest as JSON, the base64 text of it, or JSON of all of it: `{manifest, proof, partner}`. `-` is standard input.
 * `file.unusable`, `command.invalid`.
 */
export async function readSignedManifest(file: string, files: ProofFiles): Promise<SignedManifest> {
  const { signature, certificate, algorithm = 'sha256', partner } = files;
  if ((signature === undefined) !== (certificate === undefined)) {
    throw new AgentError('command.invalid', { reason: '--signature and --certificate belong together.' });
  }
  const bytes = await readFileBounded(file);
  const whole = wholeOf(bytes);
  if (whole !== undefined && (signature !== undefined || partner !== undefined)) {
    throw new AgentError('command.invalid', { reason: `${file} says itself by whom it is signed.` });
  }
  const proof =
    signature !== undefined && certificate !== undefined
      ? { signature: await base64Of(signature), algorithm, certificate: await base64Of(certificate) }
      : undefined;
  const signed = whole ?? {
    manifest: base64In(bytes),
    ...(proof && { proof }),
    ...(partner !== undefined && { partner: parsed(await readFileBounded(partner)) ?? null }),
  };
  const judged = judge(SignedManifest, signed);
  if (judged.ok) return judged.value;
  const errors = judged.errors.map((error) => ({ ...error }));
  throw new AgentError('file.unusable', {
    reason: `${file} cannot be a manifest with what proves whose it is.`,
    errors,
  });
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
