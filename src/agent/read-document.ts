/** Reads a JSON document that an operator names, strictly and no more of it than there may be. */
import { createReadStream } from 'node:fs';
import { AgentError, type FailureCode } from '../contract/failures.ts';
import { readStrictJson } from '../contract/strict-json.ts';

/** Largest document that is read, in bytes. The wire has the same limit. */
const maxDocumentBytes = 2 ** 20;

interface ReadOptions {
  /** True if an error may quote the text around a mistake; never for a file with a credential in it. */
  readonly mayBeQuoted?: boolean;
  /** What a document is that cannot be used; `file.unusable` if absent. */
  readonly failure?: FailureCode;
}

/** The value in the file, or on stdin for `-`. Fails with the system's error as its cause where nothing can be read. */
export async function readDocument(file: string, options: ReadOptions = {}): Promise<unknown> {
  const { mayBeQuoted = false, failure = 'file.unusable' } = options;
  const unusable: Refusal = (complaint, cause) => {
    const reason = `${file === '-' ? 'stdin' : file} ${complaint}.`;
    return new AgentError(failure, { reason, file }, { cause });
  };
  const bytes = await readBounded(file, unusable);
  const read = readStrictJson(bytes);
  if (read.ok) {
    return read.value;
  }
  const complaint = read.errors.map(({ message }) => message).join('; ');
  throw unusable(`${complaint}${mayBeQuoted ? mistakeIn(bytes) : ''}`);
}

/** `complaint` continues a sentence that begins with the file. */
type Refusal = (complaint: string, cause?: unknown) => AgentError;

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
async function readBounded(file: string, unusable: Refusal): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of file === '-' ? process.stdin : createReadStream(file)) {
      size += (chunk as Buffer).length;
      if (size > maxDocumentBytes) {
        throw unusable(`is larger than ${maxDocumentBytes} bytes`);
      }
      chunks.push(chunk as Buffer);
    }
  } catch (error) {
    if (error instanceof AgentError) {
      throw error;
    }
    const code = (error as NodeJS.ErrnoException).code ?? 'error';
    throw unusable(`cannot be read: ${code}`, error);
  }
  return Buffer.concat(chunks);
}
