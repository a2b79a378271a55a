/** Reads a JSON document that an operator names, strictly and no more of it than there may be. */
import { createReadStream } from 'node:fs';
import { AgentError } from '../contract/failures.ts';
import { readStrictJson } from '../contract/strict-json.ts';

/** Largest document that is read, in bytes. The wire has the same limit. */
const maxDocumentBytes = 2 ** 20;

interface ReadOptions {
  /** True if an error may quote the text around a mistake; never for a file with a credential in it. */
  readonly mayBeQuoted?: boolean;
}

/** The value in the file, or on stdin for `-`; `file.unusable` if there is none that can be read. */
export async function readDocument(file: string, { mayBeQuoted = false }: ReadOptions = {}): Promise<unknown> {
  const bytes = await readBounded(file);
  const read = readStrictJson(bytes);
  if (read.ok) {
    return read.value;
  }
  const complaint = read.errors.map(({ message }) => message).join('; ');
  throw unusable(file, `${complaint}${mayBeQuoted ? mistakeIn(bytes) : ''}.`);
}

/** The parser's own words on what is no JSON at all. */
function mistakeIn(bytes: Buffer): string {
  try {
    JSON.parse(bytes.toString('utf8'));
    return '';
  } catch (error) {
    return `: ${(error as Error).message}`;
  }
}

/** Reads no more than the limit, also from a pipe or a device that never ends. */
async function readBounded(file: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of file === '-' ? process.stdin : createReadStream(file)) {
      size += (chunk as Buffer).length;
      if (size > maxDocumentBytes) {
        throw unusable(file, `is larger than ${maxDocumentBytes} bytes.`);
      }
      chunks.push(chunk as Buffer);
    }
  } catch (error) {
    if (error instanceof AgentError) {
      throw error;
    }
    const code = (error as NodeJS.ErrnoException).code ?? 'error';
    throw unusable(file, `cannot be read: ${code}.`, error);
  }
  return Buffer.concat(chunks);
}

function unusable(file: string, complaint: string, cause?: unknown): AgentError {
  return new AgentError('file.unusable', { reason: `${file} ${complaint}`, file }, { cause });
}
