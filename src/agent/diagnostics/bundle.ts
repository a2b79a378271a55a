/** Puts the files of a bundle together: cleaned first, then cut, and never more than one frame can carry. */
import {
  type AgentCollectDiagnosticsOutput,
  type DiagnosticFile,
  mostDiagnosticBytes,
} from '../../contract/agent-collect-diagnostics.ts';

/** One file to be: what it is called, and how it is had. */
export interface Piece {
  readonly name: string;
  /** A value becomes JSON; a text stays as it is. Undefined: there is nothing of the kind on this host. */
  read(signal: AbortSignal): Promise<unknown>;
}

/** One file may have this much of all; what is longer loses its beginning, line by line. */
const mostOfOne = mostDiagnosticBytes / 4;
/** One source that hangs must not cost the others. */
const pieceMs = 70_000;

export async function bundleOf(
  pieces: readonly Piece[],
  clean: (text: string) => string,
  signal: AbortSignal,
): Promise<AgentCollectDiagnosticsOutput> {
  const read = await Promise.all(pieces.map((piece) => readPiece(piece, clean, signal)));
  signal.throwIfAborted();
  const files: DiagnosticFile[] = [];
  const leftOut: string[] = [];
  let room = mostDiagnosticBytes;
  for (const { name, text, trouble } of read) {
    if (trouble !== undefined) leftOut.push(clean(`${name}: ${trouble}`).slice(0, 500).toWellFormed());
    if (text === undefined) continue;
    const fitting = lastLines(text, Math.min(mostOfOne, room));
    if (fitting === '' && text !== '') {
      leftOut.push(`${name}: there was no room for it.`);
      continue;
    }
    if (fitting.length < text.length) leftOut.push(`${name}: only its end is here, the rest had no room.`);
    files.push({ name, text: fitting });
    room -= bytesOf(fitting);
  }
  return { collected_at: new Date().toISOString(), files, left_out: leftOut.slice(0, 100) };
}

interface ReadPiece {
  readonly name: string;
  readonly text?: string;
  readonly trouble?: string;
}

async function readPiece(
  { name, read }: Piece,
  clean: (text: string) => string,
  signal: AbortSignal,
): Promise<ReadPiece> {
  const limit = AbortSignal.any([signal, AbortSignal.timeout(pieceMs)]);
  const { promise: late, reject } = Promise.withResolvers<never>();
  const onAbort = () => reject(new Error(`it did not come within ${pieceMs / 1000} s.`));
  limit.addEventListener('abort', onAbort, { once: true });
  try {
    const value = await Promise.race([read(limit), late]);
    if (value === undefined) return { name };
    return { name, text: clean(typeof value === 'string' ? value : `${JSON.stringify(value, null, 1)}\n`) };
  } catch (error) {
    return { name, trouble: (error as Error).message };
  } finally {
    limit.removeEventListener('abort', onAbort);
  }
}

/** As it stands in a message. */
function bytesOf(text: string): number {
  return Buffer.byteLength(JSON.stringify(text));
}

/** The last whole lines that fit; nothing where not even one does. */
function lastLines(text: string, most: number): string {
  if (bytesOf(text) <= most) return text;
  const lines = text.split('\n');
  let room = most - 2;
  let from = lines.length;
  while (from > 0) {
    const needed = bytesOf(lines[from - 1] ?? '');
    if (needed > room) break;
    room -= needed;
    from -= 1;
  }
  return lines.slice(from).join('\n');
}
