/**
 * Pulls an image by digest.
 *
 *   held and verified? ─▶ done, nothing is asked of the registry
 *   else, shared by all who want it:  room on the disk ─▶ pull ─▶ verify by inspection ─▶ done
 *                                         ▲                │
 *                                         └── backoff ◀────┘ what may pass: 5xx, cut, stall, 429
 *
 * One pull per reference at a time, whoever asks; it is given up when the last of them has gone. The stream of the engine
 * says how far it is and why it failed; whether it succeeded only the image itself says.
 */
import { AgentError } from '../../contract/failures.ts';
import type { RegistryImage } from '../../contract/workload-oci-launch.ts';
import { type Backoff, backoffDelay, pause } from '../../kit/backoff.ts';
import { SharedWork } from '../../kit/shared-work.ts';
import type { ImageFacts } from '../../policy/container-request.ts';
import { type ImageRef, isRepoDigestOf, parseImageReference } from '../../policy/image-reference.ts';
import type { MakeRoom, PullOptions, PullProgress } from '../engine.ts';
import type { Calls } from './calls.ts';
import { freeOf, type RoomMeans } from './disk-room.ts';
import { readFacts } from './facts.ts';
import { inspectImage } from './images.ts';
import { PullCredentials } from './pull-credentials.ts';
import { type PullFailure, readPullFailure } from './pull-failure.ts';
import { pullOnce } from './pull-once.ts';

export interface PullSettings {
  /** Attempts in all. Those with a fresh credential are not counted. */
  readonly attempts: number;
  readonly backoff: Backoff;
  /** Longest wait that a registry may ask for; beyond it the pull fails and says so. */
  readonly maxRetryAfterMs: number;
}

export const usualPullSettings: PullSettings = {
  attempts: 5,
  backoff: { firstMs: 1000, maxMs: 30_000, factor: 3 },
  maxRetryAfterMs: 120_000,
};

/** Who waits for a pull, first come first. Empty only once the pull was given up. */
type Waiting = ReadonlySet<PullOptions>;

export class Puller {
  readonly #calls: Calls;
  readonly #settings: PullSettings;
  readonly #shared = new SharedWork<PullOptions, ImageFacts>();

  constructor(calls: Calls, settings: PullSettings) {
    this.#calls = calls;
    this.#settings = settings;
  }

  async pull({ reference }: Pick<RegistryImage, 'reference'>, options: PullOptions): Promise<ImageFacts> {
    const ref = parseImageReference(reference);
    const held = await this.#held(reference, ref, options.signal);
    return (
      held ??
      (await this.#shared.run(reference, options, options.signal, (waiting, signal) => {
        return this.#persist(reference, ref, waiting, signal);
      }))
    );
  }

  async #persist(reference: string, ref: ImageRef, waiting: Waiting, signal: AbortSignal): Promise<ImageFacts> {
    const credentials = new PullCredentials(waiting);
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#attempt(reference, ref, waiting, credentials, signal);
      } catch (error) {
        signal.throwIfAborted();
        const failure = readPullFailure(error, reference);
        if (credentials.mayGoOn(failure)) {
          attempt -= 1;
        } else {
          await this.#waitBeforeNext(attempt, failure, waiting, signal);
        }
      }
    }
  }

  async #attempt(
    reference: string,
    ref: ImageRef,
    waiting: Waiting,
    credentials: PullCredentials,
    signal: AbortSignal,
  ): Promise<ImageFacts> {
    const { rootDir } = await readFacts(this.#calls, signal);
    const assertRoom = (bytes: number) =>
      assertDiskRoom(rootDir, bytes + reserveOf(waiting), { makeRoom: makeRoomOf(waiting), signal });
    await assertRoom(0);
    const credential = await credentials.next(signal);
    signal.throwIfAborted();

    const onProgress = (progress: PullProgress) => {
      for (const options of waiting) {
        options.onProgress?.(progress);
      }
    };
    await pullOnce(this.#calls, { ref, credential, signal, onProgress, assertRoom });
    const held = await this.#held(reference, ref, signal);
    if (!held) {
      throw new AgentError('image.pull_failed', { reason: 'The engine says that it has pulled it, and has it not.' });
    }
    return held;
  }

  /** Undefined if the engine does not have it; `image.digest_mismatch` if what it has is something else. */
  async #held(reference: string, ref: ImageRef, signal: AbortSignal): Promise<ImageFacts | undefined> {
    const image = await inspectImage(this.#calls, reference, signal);
    if (image && !image.repoDigests.some((digest) => isRepoDigestOf(digest, ref))) {
      throw new AgentError('image.digest_mismatch', { expected: reference, actual: [...image.repoDigests] });
    }
    return image;
  }

  /** Throws the failure where there is no next attempt. */
  async #waitBeforeNext(
    attempt: number,
    { error, retry, retryAfterMs = 0 }: PullFailure,
    waiting: Waiting,
    signal: AbortSignal,
  ): Promise<void> {
    const { attempts, backoff, maxRetryAfterMs } = this.#settings;
    if (!retry || attempt >= attempts || retryAfterMs > maxRetryAfterMs) {
      throw error;
    }
    const delayMs = Math.max(backoffDelay(backoff, attempt), retryAfterMs);
    for (const options of waiting) {
      options.onRetry?.({ attempt, delayMs, error });
    }
    await pause(delayMs, signal);
  }
}

function reserveOf(waiting: Waiting): number {
  return Math.max(0, ...[...waiting].map(({ diskReserveBytes }) => diskReserveBytes));
}

function makeRoomOf(waiting: Waiting): MakeRoom | undefined {
  return [...waiting].find(({ makeRoom }) => makeRoom)?.makeRoom;
}

async function assertDiskRoom(path: string, neededBytes: number, room: RoomMeans): Promise<void> {
  const freeBytes = await freeOf(path, neededBytes, room);
  if (freeBytes < neededBytes) {
    throw new AgentError('disk.full', { path, free_bytes: freeBytes, needed_bytes: neededBytes });
  }
}
