/**
 * Hands one spooled output over to the control plane, piece by piece, however long that takes: over lost connections, its
 * restarts and ours. How much is there already is its own word each time.
 */
import { type FileHandle, open } from 'node:fs/promises';
import { AgentError } from '../../contract/failures.ts';
import type { OutputOffer, OutputReceived } from '../../contract/job-outputs.ts';
import { type Backoff, fullJitterDelay } from '../../kit/backoff.ts';
import type { Clock } from '../../kit/clock.ts';
import type { Spooled } from './spool.ts';

/** The control plane, as the node reaches it; both throw `control_plane.*`. */
export interface OutputDestination {
  offer(offer: OutputOffer, signal: AbortSignal): Promise<OutputReceived>;
  send(piece: OutputPiece, signal: AbortSignal): Promise<OutputReceived>;
}

export interface OutputPiece {
  readonly job: string;
  readonly sha256: string;
  readonly offset: number;
  readonly bytes: Uint8Array;
  /** How long the answer may take: with the last piece, all of it is read once more there. */
  readonly timeoutMs: number;
}

export interface HandOverOptions {
  readonly destination: OutputDestination;
  readonly file: string;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly backoff?: Backoff;
}

export type HandedOver = { readonly state: 'handed_over' } | { readonly state: 'refused'; readonly reason: string };

/** Gets through within the time that a request has, also over a slow line. */
const firstPieceBytes = 4 * 2 ** 20;
/** For a line on which one of half of that was through in no time. */
const mostPieceBytes = 16 * 2 ** 20;
const quickMs = 2000;
const usualBackoff: Backoff = { firstMs: 500, maxMs: 60_000, factor: 2 };
/** Bytes in a millisecond that a control plane reads at least, to see that it has what was announced. */
const readBytesPerMs = 20_000;
/** What comes out other than it went in so often is no accident. */
const maxDamaged = 3;

type HandedOn = Pick<Spooled, 'job' | 'output'>;

/** Rejects only with the signal's reason, or where the spool cannot be read. */
export async function handOver({ job, output }: HandedOn, options: HandOverOptions): Promise<HandedOver> {
  const { clock, signal, backoff = usualBackoff } = options;
  let damaged = 0;
  for (let failed = 0; ; ) {
    try {
      const answer = await attempt({ job, output }, options, () => {
        failed = 0;
      });
      if (answer.refused !== null) return { state: 'refused', reason: answer.refused };
      if (answer.complete) return { state: 'handed_over' };
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof AgentError)) throw error;
      damaged += error.detail['refused_as'] === 'output.damaged' ? 1 : 0;
      if (isFinal(error) || damaged >= maxDamaged) return { state: 'refused', reason: error.message };
    }
    failed += 1;
    await clock.pause(fullJitterDelay(backoff, failed), signal);
  }
}

async function attempt(
  { job, output }: HandedOn,
  { destination, file, clock, signal }: HandOverOptions,
  onProgress: () => void,
): Promise<OutputReceived> {
  let answer = await destination.offer({ job_id: job, output }, signal);
  if (answer.complete || answer.refused !== null) return answer;
  const handle = await open(file);
  const pieces = new Pieces(handle, output.bytes);
  try {
    while (!answer.complete && answer.refused === null) {
      const offset = answer.received;
      const bytes = await pieces.at(offset);
      if (!bytes) return { received: 0, complete: false, refused: 'It is not whole on the host.' };
      const timeoutMs =
        30_000 + (offset + bytes.length === output.bytes ? Math.ceil(output.bytes / readBytesPerMs) : 0);
      const sentAt = clock.monotonicMs();
      answer = await destination.send({ job, sha256: output.sha256, offset, bytes, timeoutMs }, signal);
      const isQuick = bytes.length === pieces.size && clock.monotonicMs() - sentAt < quickMs;
      if (isQuick) pieces.size = Math.min(pieces.size * 2, mostPieceBytes);
      if (answer.received > offset) onProgress();
      else if (!answer.complete && answer.refused === null) return answer;
    }
    return answer;
  } finally {
    await handle.close();
  }
}

interface Piece {
  readonly offset: number;
  /** Undefined where the file is shorter. */
  readonly bytes: Uint8Array | undefined;
}

/** Of a file that has so many bytes: the next one is read while one is on its way. */
class Pieces {
  /** Most bytes of those that are not read yet. */
  size = firstPieceBytes;
  readonly #file: FileHandle;
  readonly #total: number;
  #buffer = new Uint8Array();
  #other = new Uint8Array();
  #ahead: Promise<Piece> | undefined;

  constructor(file: FileHandle, total: number) {
    this.#file = file;
    this.#total = total;
  }

  /** It is there until the next is asked for. */
  async at(offset: number): Promise<Uint8Array | undefined> {
    const ahead = await this.#ahead;
    const { bytes } = ahead?.offset === offset ? ahead : await this.#read(offset);
    if (bytes) {
      this.#ahead = this.#read(offset + bytes.length);
      // Told with the next.
      this.#ahead.catch(() => undefined);
    }
    return bytes;
  }

  async #read(offset: number): Promise<Piece> {
    const length = Math.min(this.size, this.#total - offset);
    if (length < 0) return { offset, bytes: undefined };
    [this.#buffer, this.#other] = [this.#other, this.#buffer];
    if (this.#buffer.length < length) this.#buffer = new Uint8Array(length);
    const bytes = this.#buffer.subarray(0, length);
    const { bytesRead } = await this.#file.read(bytes, 0, length, offset);
    return { offset, bytes: bytesRead < length ? undefined : bytes };
  }
}

const passingRefusals: readonly unknown[] = ['node.untrusted', 'resource.conflict', 'disk.full', 'output.damaged'];

/** A no that stays one. Another session, another sender and a full disk pass. */
function isFinal({ code, detail }: AgentError): boolean {
  return code === 'control_plane.refused' && !passingRefusals.includes(detail['refused_as']);
}
