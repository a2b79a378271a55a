/** One attempt to pull: asks the engine, reads its stream to the end, watches for a stall and for the disk. */
import { AgentError } from '../../contract/failures.ts';
import { readLines } from '../../kit/lines.ts';
import type { ImageRef } from '../../policy/image-reference.ts';
import type { PullCredential, PullProgress } from '../engine.ts';
import { parseAnswer } from './call-errors.ts';
import type { Calls } from './calls.ts';
import { readFacts } from './facts.ts';
import { ProgressSum, type PullLine } from './pull-progress.ts';
import { AnswerError } from './transport.ts';

export interface PullAttempt {
  readonly ref: ImageRef;
  readonly credential: PullCredential | undefined;
  readonly signal: AbortSignal;
  readonly onProgress: (progress: PullProgress) => void;
  /** Throws `disk.full` if the disk does not hold this many bytes more. */
  readonly assertRoom: (bytes: number) => Promise<void>;
}

const progressMs = 250;
const maxLineBytes = 1024 * 1024;

/** Resolves when the engine says it is done; throws what it says instead. Neither proves anything about the image. */
export async function pullOnce(calls: Calls, attempt: PullAttempt): Promise<void> {
  try {
    await readPull(calls, attempt);
  } catch (error) {
    if (error instanceof AgentError && error.code === 'engine.timed_out') {
      // Throws if it is the engine that hangs.
      await readFacts(calls, attempt.signal);
      const reason = `Nothing came for ${calls.timeouts.stallMs / 1000} seconds.`;
      throw new AgentError('image.pull_failed', { reason }, { cause: error });
    }
    throw error;
  }
}

async function readPull(calls: Calls, { ref, credential, signal, onProgress, assertRoom }: PullAttempt): Promise<void> {
  const { stallMs } = calls.timeouts;
  const query = { fromImage: `${ref.host}/${ref.repository}`, tag: ref.digest };
  const auth = credential && registryAuth(credential, ref);
  // The headers come only after the registry gave the manifest, so they may take as long as any other part.
  const stream = await calls.open({ call: 'pull', timeoutMs: stallMs, signal }, (docker, abortSignal) => {
    return docker.createImage(auth, { _query: query, abortSignal });
  });

  const sum = new ProgressSum();
  let reportAt = 0;
  let foreseen = 0;
  for await (const text of readLines(stream.chunks(stallMs), maxLineBytes)) {
    sum.add(parseLine(text));
    const due = performance.now() >= reportAt;
    if (due) {
      reportAt = performance.now() + progressMs;
      onProgress(sum.read());
    }
    // At once when a layer told its size: a disk fills faster than the next report comes.
    if (due || sum.missing() > foreseen) {
      foreseen = sum.missing();
      await assertRoom(foreseen);
    }
  }
  onProgress(sum.read());
}

function parseLine(text: string): PullLine {
  const line = text === '' ? {} : parseAnswer<PullLine>(text, 'pull');
  const message = line.errorDetail?.message ?? line.error;
  if (message !== undefined) {
    throw new AgentError('engine.failed', { reason: message }, { cause: new AnswerError(200, { message }) });
  }
  return line;
}

/** The engine's AuthConfig. A bearer goes to the registry as it is; a user and password through its token service. */
function registryAuth({ bearer, username, password }: PullCredential, { host }: ImageRef): object {
  return bearer === undefined ? { username, password, serveraddress: host } : { registrytoken: bearer };
}
