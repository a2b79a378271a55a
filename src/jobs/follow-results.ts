/** Follows the log of a step that runs, and reads its results out of it as they come. */
import { setImmediate } from 'node:timers/promises';
import { pause } from '../kit/backoff.ts';
import type { ContainerEngine, LogChannel, LogEntry } from '../runtime/engine.ts';
import { isEngineAway } from '../runtime/engine-away.ts';
import type { StepResults } from './step-results.ts';

/** A longer line is looked at as far as this. */
const longestLine = 64 * 1024;
const againMs = 500;
const turnMs = 20;

/** Resolves when the container has ended and all of its log was read. */
export async function followResults(
  engine: Pick<ContainerEngine, 'logs'>,
  name: string,
  results: StepResults,
  signal: AbortSignal,
): Promise<void> {
  const open: { [channel in LogChannel]: string } = { stdout: '', stderr: '' };
  const take = ({ channel, data, partial }: LogEntry) => {
    const text = open[channel] + data.toString('utf8');
    open[channel] = partial ? text.slice(0, longestLine) : '';
    if (!partial) results.line(channel, text.slice(0, longestLine).replace(/\r?\n$/, ''));
  };
  let turnEnds = performance.now() + turnMs;
  for (let cursor: string | undefined; ; ) {
    try {
      for await (const entry of engine.logs(name, { signal, follow: true, cursor })) {
        cursor = entry.cursor;
        take(entry);
        // Whatever a step prints, the rest of the agent has its turn.
        if (performance.now() < turnEnds) continue;
        await setImmediate();
        turnEnds = performance.now() + turnMs;
      }
      // What has no end of line is a line as well.
      for (const channel of ['stdout', 'stderr'] as const)
        if (open[channel] !== '') results.line(channel, open[channel]);
      return;
    } catch (error) {
      signal.throwIfAborted();
      if (!isEngineAway(error)) throw error;
      await pause(againMs, signal);
    }
  }
}
