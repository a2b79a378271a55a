/** What comes beside a computation payload manifest, in files: a batch of commands, and what proves whose the manifest is. */
import { readFile } from 'node:fs/promises';
import { readDocument } from '../../agent/read-document.ts';
import { ExeScript } from '../../contract/exe-script.ts';
import { AgentError } from '../../contract/failures.ts';
import type { SignedManifest } from '../../contract/payload-manifest.ts';
import { judge } from '../../contract/validate.ts';

/** `file.unusable` for what is no list of commands, with what is wrong with it. */
export async function readBatch(file: string): Promise<ExeScript> {
  return batchIn(file, await readDocument(file, { mayBeQuoted: true }));
}

/** The same of what was read of that file. */
export function batchIn(file: string, batch: unknown): ExeScript {
  const judged = judge(ExeScript, batch);
  if (judged.ok) return judged.value;
  const [first] = judged.errors;
  const more = judged.errors.length > 1 ? ` (and ${judged.errors.length - 1} more)` : '';
  const reason = `${file} is no list of commands: ${first?.path || 'the whole'} ${first?.message}${more}.`;
  throw new AgentError('file.unusable', { reason, file, errors: judged.errors.map((error) => ({ ...error })) });
}

export interface ProofFiles {
  readonly signature?: string | undefined;
  readonly certificate?: string | undefined;
  readonly algorithm?: string | undefined;
}

/** Undefined where there is none. `command.invalid` where only a part of it is there. */
export async function readProof({ signature, certificate, algorithm }: ProofFiles): Promise<SignedManifest['proof']> {
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

/** Files of signatures and certificates are bytes, PEM, or base64 already, with line breaks or without. */
async function base64Of(file: string): Promise<string> {
  const bytes = await readFile(file).catch((error: NodeJS.ErrnoException) => {
    throw new AgentError(
      'file.unusable',
      { reason: `${file} cannot be read (${error.code}).`, file },
      { cause: error },
    );
  });
  const bare = bytes.toString('latin1').replaceAll(/\s/g, '');
  const isBase64 = bare.length > 0 && bare.length % 4 === 0 && /^[A-Za-z0-9+/]+={0,2}$/.test(bare);
  return isBase64 ? bare : bytes.toString('base64');
}
