/**
 * Asks a service by a command in its own container whether it is well: until it is for the first time, and again and again after.
 *
 * The command belongs to the engine, and nobody can end it. One that takes too long has not passed, and is not begun a second time
 * beside the first: it is joined until it ends.
 */
import { AgentError } from '../contract/failures.ts';
import { backoffDelay, pause } from '../kit/backoff.ts';
import type { ContainerEngine } from '../runtime/engine.ts';
import { isEngineAway } from '../runtime/engine-away.ts';

export interface AskedByCommand {
  readonly engine: Pick<ContainerEngine, 'exec'>;
  readonly container: string;
  readonly command: readonly string[];
  /** Aborts when the container has ended. */
  readonly signal: AbortSignal;
  /** True where it had passed in an earlier life of the agent. */
  readonly wasReady: boolean;
  /** The first time that it passes, or at once where it had. */
  readonly onReady: () => void;
  /** After each try that did not pass, before it has passed for the first time. */
  readonly onWait: (answer: string) => void;
  /** Once, when it does not pass any more. Nothing is asked after that. */
  readonly onUnhealthy: (answer: string) => void;
}

const backoff = { firstMs: 50, maxMs: 2000, factor: 1.5 };
/** What one try may take, time between two once it is well, and how many in a row have to fail. */
const tryMs = 30_000;
const againMs = 5000;
const failuresInARow = 3;

/** Resolves when it is not well any more; rejects with the signal's reason. */
export async function watchByCommand(asked: AskedByCommand): Promise<void> {
  const { signal, wasReady, onReady, onWait, onUnhealthy } = asked;
  for (let attempt = 1; !wasReady; attempt += 1) {
    const answer = await ask(asked);
    if (answer === 'passed') break;
    onWait(answer);
    await pause(backoffDelay(backoff, attempt), signal);
  }
  onReady();
  for (let failures = 0; ; ) {
    await pause(againMs, signal);
    const answer = await ask(asked);
    failures = answer === 'passed' ? 0 : failures + 1;
    if (failures < failuresInARow) continue;
    onUnhealthy(answer);
    return;
  }
}

/** `passed`, or why it did not. An engine that is away says nothing about it, and is waited for. */
async function ask({ engine, container, command, signal }: AskedByCommand): Promise<string> {
  for (;;) {
    const limit = AbortSignal.timeout(tryMs);
    try {
      const { exitCode } = await engine.exec(container, command, {
        ...{ signal: AbortSignal.any([signal, limit]), adopt: true },
      });
      return exitCode === 0 ? 'passed' : `exit code ${exitCode}`;
    } catch (error) {
      signal.throwIfAborted();
      if (limit.aborted) return `no end within ${tryMs / 1000} s`;
      if (!isEngineAway(error)) return error instanceof AgentError ? error.message : 'the command could not be run';
    }
    await pause(againMs, signal);
  }
}
