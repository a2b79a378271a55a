/**
 * Fetches one file: in pieces side by side where it is large, each going on where it was cut, also by an earlier life of the agent.
 * Nothing is believed before it was compared with what the source said of it.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { AgentError } from '../../contract/failures.ts';
import type { Clock } from '../../kit/clock.ts';
import { measureFile } from '../../kit/measure-file.ts';
import type { Slots } from '../../kit/slots.ts';
import type { Authorize, SourceClient } from './client.ts';
import { PartFile, type Piece } from './part-file.ts';
import type { Checksum, RemoteFile } from './remote-file.ts';
import { describeTrouble, patiently, plainUrl, refused } from './trouble.ts';

export interface FetchOptions {
  readonly client: Pick<SourceClient, 'ask'>;
  readonly authorize: Authorize;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Attempts in a row that bring nothing before the source is given up. */
  readonly mostIdle?: number | undefined;
  /** Of connections, shared with other files. */
  readonly slots: Slots;
  /** Where it is put together. */
  readonly part: string;
  readonly onBytes: OnBytes;
  /** Of a file whose size nobody has told: throws `disk.full` where so many more bytes are too many. */
  readonly room: (bytes: number) => Promise<void>;
}

/** Bytes that came, or negative where some turned out to be worth nothing. `wereThere`: from an earlier life. */
export type OnBytes = (bytes: number, wereThere: boolean) => void;

export interface FetchedFile {
  readonly bytes: number;
  readonly sha256: string;
}

/** Written at once: what a SIGKILL can cost per piece. */
const batchBytes = 256 * 1024;

/** A whole, compared file lies at `part` when this resolves. */
export async function fetchFile(file: RemoteFile, options: FetchOptions): Promise<FetchedFile> {
  const { part: path, signal, onBytes } = options;
  signal.throwIfAborted();
  const part = await PartFile.open(path, file.size, isPinned(file));
  onBytes(part.total(), true);
  try {
    for (let whole = 0; ; whole += 1) {
      const isResumed = part.total() > 0;
      await fetchPieces(file, part, options);
      try {
        return await compare(file, path, part.total());
      } catch (error) {
        // What an earlier life had begun may have been spoilt since.
        if (whole > 0 || !isResumed) throw error;
        await restart(part, part.pieces.length, onBytes);
      }
    }
  } finally {
    await part.close();
  }
}

/** What is fetched later is of the same content as what is there. */
function isPinned({ version, checksum }: RemoteFile): boolean {
  return version !== undefined || checksum !== undefined;
}

async function restart(part: PartFile, pieces: number, onBytes: OnBytes): Promise<void> {
  onBytes(-part.total(), false);
  await part.restart(pieces);
}

async function fetchPieces(file: RemoteFile, part: PartFile, options: FetchOptions): Promise<void> {
  const { content } = file;
  const [first] = part.pieces;
  if (content && first) {
    await part.restart(1);
    await part.append(first, content);
    return;
  }
  const stop = new AbortController();
  const signal = AbortSignal.any([options.signal, stop.signal]);
  const work = part.pieces.map(async (piece) => {
    try {
      await patiently(
        { ...options, signal },
        () => options.slots.run(signal, () => fetchPiece(file, part, piece, { ...options, signal })),
        () => part.done(piece),
      );
    } catch (error) {
      stop.abort(error);
    }
  });
  await Promise.all(work);
  options.signal.throwIfAborted();
  const { aborted, reason } = stop.signal;
  if (reason === noPieces) {
    await restart(part, 1, options.onBytes);
    await fetchPieces(file, part, options);
  } else if (aborted) {
    throw reason;
  }
}

/** The source sends files as a whole only. */
const noPieces = new Error('The source knows no ranges.');

async function fetchPiece(file: RemoteFile, part: PartFile, piece: Piece, options: FetchOptions): Promise<void> {
  const { client, authorize, signal, onBytes } = options;
  if (part.done(piece) > 0 && !isPinned(file)) await restart(part, 1, onBytes);
  const from = piece.start + part.done(piece);
  if (from === piece.end) return;
  const isOnly = part.pieces.length === 1;
  const isWhole = isOnly && from === 0;
  const last = piece.end === undefined ? '' : piece.end - 1;
  const headers = {
    ...(isWhole ? {} : { range: `bytes=${from}-${last}` }),
    ...(file.etag === undefined ? {} : { 'if-match': file.etag }),
  };
  const answer = await client.ask({ url: file.url, authorize, signal, headers, also: [412, 416] });
  try {
    judgeAnswer(file, answer, from);
    if (answer.statusCode === 200 && !isOnly) throw noPieces;
    if (answer.statusCode === 200 && !isWhole) await restart(part, 1, onBytes);
    await take(answer, part, piece, options);
  } catch (error) {
    signal.throwIfAborted();
    throw error === noPieces ? error : describeTrouble(file.url, error);
  } finally {
    answer.destroy();
  }
  if (piece.end !== undefined && piece.start + part.done(piece) < piece.end) {
    throw new AgentError('input.failed', { reason: 'It ended before its end.', url: plainUrl(file.url) });
  }
}

function judgeAnswer({ url, size, etag }: RemoteFile, answer: IncomingMessage, from: number): void {
  const { etag: told, 'content-range': range = '', 'content-length': length } = answer.headers;
  const { statusCode: status = 0 } = answer;
  const [, start, total] = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(range) ?? [];
  const isOther =
    [412, 416].includes(status) ||
    (etag !== undefined && told !== undefined && told !== etag) ||
    (status === 200 && size !== undefined && length !== undefined && Number(length) !== size) ||
    (status === 206 && (Number(start) !== from || (size !== undefined && total !== '*' && Number(total) !== size)));
  if (isOther) throw refused('The source has replaced the file while it was fetched.', { url: plainUrl(url), status });
}

async function take(
  answer: IncomingMessage,
  part: PartFile,
  piece: Piece,
  { onBytes, room }: Pick<FetchOptions, 'onBytes' | 'room'>,
): Promise<void> {
  const most = piece.end === undefined ? Number.POSITIVE_INFINITY : piece.end - piece.start;
  let batch: Buffer[] = [];
  let length = 0;
  const flush = async () => {
    if (length === 0) return;
    await part.append(piece, Buffer.concat(batch));
    onBytes(length, false);
    batch = [];
    length = 0;
  };
  try {
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      if (part.done(piece) + length + chunk.length > most) throw refused('The source sends more than it said.');
      batch.push(chunk);
      length += chunk.length;
      if (length < batchBytes) continue;
      if (piece.end === undefined) await room(length);
      await flush();
    }
  } finally {
    // Also what came before a cut.
    await flush();
  }
}

async function compare({ url, checksum, size }: RemoteFile, path: string, bytes: number): Promise<FetchedFile> {
  const { sha256, size: found } = await measureFile(path);
  if (found !== bytes || (size !== undefined && found !== size)) {
    throw new AgentError('input.failed', { reason: `${found} bytes came of ${size ?? bytes}.`, url: plainUrl(url) });
  }
  const actual =
    checksum === undefined || checksum.algorithm === 'sha256' ? sha256 : await hashOf(path, checksum, found);
  if (checksum && actual !== checksum.hex) {
    const detail = { url: plainUrl(url), expected: checksum.hex, actual };
    throw refused(`The ${checksum.algorithm} of what came is another one.`, detail);
  }
  return { bytes: found, sha256 };
}

/** In hex, of what lies there. */
export async function hashOf(path: string, { algorithm }: Checksum, size: number): Promise<string> {
  const hash = algorithm === 'git-sha1' ? createHash('sha1').update(`blob ${size}\0`) : createHash(algorithm);
  for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) hash.update(chunk);
  return hash.digest('hex');
}
