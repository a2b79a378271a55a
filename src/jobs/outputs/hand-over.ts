/**
 * Hands one spooled output over to the control plane, piece by piece, however long that takes: over lost connections, its
 * restarts and ours. How much is there already is its own word each time.
 */
import { open } from 'node:fs/promises';
import { AgentError } from '../../contract/failures.ts';
import type { OutputOffer, OutputReceived } from '../../contract/job-outputs.ts';
import { type Backoff, fullJitterDelay } from '../../kit/backoff.ts';
import type { Clock } from '../../kit/clock.ts';
import { FilePieces } from './file-pieces.ts';
import { isFinal } from './final-refusal.ts';
import type { EarlyDestination, SentEarly } from './send-early.ts';
import type { Spooled } from './spool.ts';

/** The control plane, as the node reaches it; both throw `control_plane.*`. */
export interface OutputDestination {
  offer(offer: OutputOffer, signal: AbortSignal): Promise<OutputReceived>;
  send(piece: OutputPiece, signal: AbortSignal): Promise<OutputReceived>;
  /** Undefined for one that takes only what is offered. */
  readonly early?: EarlyDestination;
}

export interface OutputPiece {
  readonly job: string;
  readonly sha256: string;
  readonly offset: number;
  readonly bytes: Uint8Array;
  /** What is before it was sent as this, if it is not there yet. */
  readonly early?: string;
  /** How long the answer may take: with the last piece, all of it is read once more there. */
  readonly timeoutMs: number;
}

export interface HandOverOptions {
  readonly destination: OutputDestination;
  readonly file: string;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly backoff?: Backoff;
  /** What was sent before the output was whole. */
  readonly early?: SentEarly | undefined;
}

export type HandedOver = { readonly state: 'handed_over' } | { readonly state: 'refused'; readonly reason: string };

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
  let { early } = options;
  for (let failed = 0; ; ) {
    try {
      const answer = await attempt({ job, output }, { ...options, early }, () => {
        failed = 0;
      });
      if (answer.refused !== null) return { state: 'refused', reason: answer.refused };
      if (answer.complete) return { state: 'handed_over' };
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof AgentError)) throw error;
      damaged += error.detail['refused_as'] === 'output.damaged' ? 1 : 0;
      if ((isFinal(error) && !early) || damaged >= maxDamaged) return { state: 'refused', reason: error.message };
      early = stillThere(error, early);
    }
    failed += 1;
    await clock.pause(fullJitterDelay(backoff, failed), signal);
  }
}

async function attempt(
  { job, output }: HandedOn,
  { destination, file, clock, signal, early }: HandOverOptions,
  onProgress: () => void,
): Promise<OutputReceived> {
  let answer = await destination.offer({ job_id: job, output }, signal);
  if (answer.complete || answer.refused !== null) return answer;
  let before = early && early.bytes > answer.received ? early : undefined;
  const handle = await open(file);
  const pieces = new FilePieces(handle, output.bytes);
  try {
    while (!answer.complete && answer.refused === null) {
      const offset = before?.bytes ?? answer.received;
      const bytes = await pieces.at(offset);
      if (!bytes) return { received: 0, complete: false, refused: 'It is not whole on the host.' };
      const timeoutMs =
        30_000 + (offset + bytes.length === output.bytes ? Math.ceil(output.bytes / readBytesPerMs) : 0);
      const piece = { job, sha256: output.sha256, offset, bytes, timeoutMs };
      const sentAt = clock.monotonicMs();
      answer = await destination.send({ ...piece, ...(before && { early: before.upload }) }, signal);
      before = undefined;
      pieces.sent(bytes.length, clock.monotonicMs() - sentAt);
      if (answer.received > offset) onProgress();
      else if (!answer.complete && answer.refused === null) return answer;
    }
    return answer;
  } finally {
    await pieces.settled();
    await handle.close();
  }
}

/** Whatever was said no to with an early part: that may be gone, or wrong, and all of it is sent then. */
function stillThere({ code }: AgentError, early: SentEarly | undefined): SentEarly | undefined {
  return code === 'control_plane.refused' ? undefined : early;
}
