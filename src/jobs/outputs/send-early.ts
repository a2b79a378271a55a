/**
 * Sends an output while it is still read out of its container, before anybody knows its sha256. To read a large one takes the host as
 * long as to send it. What was sent so is nothing yet: the output is offered afterwards as any other, and finds its bytes there.
 */
import { randomBytes } from 'node:crypto';
import { open } from 'node:fs/promises';
import { AgentError } from '../../contract/failures.ts';
import type { EarlyOutput, OutputReceived } from '../../contract/job-outputs.ts';
import { type Backoff, fullJitterDelay } from '../../kit/backoff.ts';
import type { Clock } from '../../kit/clock.ts';
import { FilePieces } from './file-pieces.ts';
import { isFinal } from './final-refusal.ts';
import type { GrowingFile } from './growing-file.ts';

/** The control plane, for what has no sha256 yet. All throw `control_plane.*`; an older one refuses the first. */
export interface EarlyDestination {
  begin(output: EarlyOutput, signal: AbortSignal): Promise<OutputReceived>;
  send(piece: EarlyPiece, signal: AbortSignal): Promise<OutputReceived>;
  drop(upload: string, signal: AbortSignal): Promise<void>;
}

export interface EarlyPiece {
  readonly upload: string;
  readonly offset: number;
  readonly bytes: Uint8Array;
  /** How long the answer may take. */
  readonly timeoutMs: number;
}

export interface SentEarly {
  readonly upload: string;
  readonly bytes: number;
}

export interface SendEarlyOptions {
  readonly destination: EarlyDestination;
  readonly file: GrowingFile;
  readonly clock: Clock;
  /** Aborts when no further piece is to be sent; one that is on its way still is. */
  readonly enough: AbortSignal;
  /** Gives up at once. */
  readonly signal: AbortSignal;
  readonly backoff?: Backoff;
}

const usualBackoff: Backoff = { firstMs: 500, maxMs: 60_000, factor: 2 };
const timeoutMs = 30_000;

/** A name for an upload that nobody guesses. */
export function newUpload(): string {
  return randomBytes(16).toString('hex');
}

/** What the control plane has of it, by its own word; rejects only with the reason of `signal`, or where the file cannot be read. */
export async function sendEarly(output: EarlyOutput, options: SendEarlyOptions): Promise<SentEarly> {
  const { file, clock, enough, signal, backoff = usualBackoff } = options;
  const over = AbortSignal.any([signal, enough]);
  const handle = await open(file.path);
  // The last byte comes with the sha256.
  const pieces = new FilePieces(handle, output.bytes - 1, (bytes) => file.has(bytes));
  let sent = 0;
  const onReceived = (bytes: number) => {
    sent = bytes;
  };
  try {
    for (let failed = 0; !enough.aborted; failed += 1) {
      try {
        await attempt({ output, pieces }, options, onReceived);
        break;
      } catch (error) {
        signal.throwIfAborted();
        if (!(error instanceof AgentError)) throw error;
        if (isFinal(error)) {
          // Not known there, or not any more: it is offered later.
          sent = 0;
          break;
        }
      }
      await clock.pause(fullJitterDelay(backoff, failed + 1), over).catch(() => undefined);
    }
    signal.throwIfAborted();
    return { upload: output.upload, bytes: sent };
  } finally {
    await pieces.settled();
    await handle.close();
  }
}

interface Sending {
  readonly output: EarlyOutput;
  readonly pieces: FilePieces;
}

/** Returns where no more is to be sent. */
async function attempt(
  { output, pieces }: Sending,
  { destination, clock, enough, signal }: SendEarlyOptions,
  onReceived: (bytes: number) => void,
): Promise<void> {
  let { received, refused } = await destination.begin(output, signal);
  onReceived(received);
  while (refused === null && !enough.aborted) {
    const bytes = await pieces.at(received);
    if (!bytes?.length || enough.aborted) return;
    const piece = { upload: output.upload, offset: received, bytes, timeoutMs };
    const sentAt = clock.monotonicMs();
    ({ received, refused } = await destination.send(piece, signal));
    pieces.sent(bytes.length, clock.monotonicMs() - sentAt);
    onReceived(received);
  }
}
