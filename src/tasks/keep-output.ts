/**
 * Writes the end of a container's output into the task log, before the container is taken away and the output with it:
 * why a launch failed often stands there and nowhere else.
 *
 * The engine of a task has taken its secrets out before anything is cut or dropped here (`agent/discreet-engine.ts`).
 */
import { AgentError } from '../contract/failures.ts';
import type { LogEntry } from '../runtime/engine.ts';
import type { TaskContext } from './task-context.ts';

/** What the lines say in the task log; whoever reads the output of the launch looks for them. */
export const keptOutput = 'container output';
export const longerOutput = 'container output was longer';

/** Entries that are asked for, and what of them is kept, as JSON writes it: a task log has bounds of its own. */
const mostEntries = 1000;
const mostCharacters = 256 * 1024;
/** What has no end is kept in pieces. */
const longestLine = 64 * 1024;
/** The container must go, whatever its log does. */
const timeoutMs = 10_000;

interface Line {
  readonly channel: LogEntry['channel'];
  /** RFC 3339, the engine's own. */
  readonly time: string;
  text: string;
}

export async function keepOutput(
  name: string,
  { engine, log }: Pick<TaskContext, 'engine' | 'log'>,
  signal: AbortSignal,
): Promise<void> {
  const lines: Line[] = [];
  let entries = 0;
  let size = 0;
  let dropped = false;
  // A line that came in pieces is put together again.
  const open: { [channel in LogEntry['channel']]?: Line | undefined } = {};
  const limited = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
  try {
    for await (const entry of engine.logs(name, { signal: limited, follow: false, tail: mostEntries })) {
      const { channel, time, data, partial } = entry;
      const text = data.toString('utf8');
      const line = open[channel] ?? { channel, time, text: '' };
      if (open[channel] === undefined) {
        lines.push(line);
      }
      line.text += text;
      open[channel] = partial && line.text.length < longestLine ? line : undefined;
      entries += 1;
      size += costOf(text);
      while (size > mostCharacters && lines.length > 1) {
        const oldest = lines.shift() as Line;
        size -= costOf(oldest.text);
        // What is still to come of it is a line of its own.
        if (open[oldest.channel] === oldest) open[oldest.channel] = undefined;
        dropped = true;
      }
    }
  } catch (error) {
    if (!(error instanceof AgentError) || error.code !== 'container.not_found') {
      log.warn({ container: name, err: error }, 'output of the container could not be read to its end');
    }
  }
  if (dropped || entries >= mostEntries) {
    log.info({ container: name }, longerOutput);
  }
  for (const { channel, time, text } of lines) {
    log.info({ channel, time_of_event: time, text }, keptOutput);
  }
}

function costOf(text: string): number {
  return JSON.stringify(text).length - 2;
}
