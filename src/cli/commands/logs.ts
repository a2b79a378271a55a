/**
 * `node-agent logs ID`: the output of an instance, or with `--task` what the agent did for a task.
 *
 * Through the daemon where one runs, else by itself: logs must be had also when the agent is down.
 */
import { hostPolicyOf, type LoadedConfig, loadConfig } from '../../agent/config.ts';
import { type LogLine, linesOf } from '../../agent/local-api/lines.ts';
import { readOutput } from '../../agent/logs/open-sources.ts';
import { readTaskLog } from '../../agent/logs/task-log-file.ts';
import { taskLogFolder } from '../../agent/task-log.ts';
import { createLog } from '../../kit/log.ts';
import { openEngine } from '../engine-access.ts';
import { exitCodes } from '../exit-codes.ts';
import { untilInterrupted } from '../interruption.ts';
import { agentIfThere } from '../local-agent.ts';
import { printJson, printLine, tell } from '../output.ts';
import { ofService } from '../words.ts';

export interface LogsOptions {
  readonly config?: string;
  readonly json: boolean;
  readonly task: boolean;
  /** Of this service of a stack alone. */
  readonly service?: string;
  readonly follow: boolean;
  readonly tail?: number;
  /** Go on behind this cursor, as `--json` printed it. */
  readonly cursor?: string;
}

export async function printLogs(id: string, options: LogsOptions): Promise<number> {
  const loaded = await loadConfig(options.config, process.env);
  const { signal, stopListening } = untilInterrupted();
  const print = options.json ? printJson : printEntry;
  try {
    const agent = await agentIfThere(loaded.config);
    const kind = options.task ? 'task' : options.service === undefined ? 'instance' : 'service';
    const query = {
      ...{ kind, id, service: options.service, follow: String(options.follow), cursor: options.cursor },
      tail: options.tail === undefined ? undefined : String(options.tail),
    };
    const lines = agent ? agent.stream<LogLine>('/v1/logs', { query, signal }) : ownLines(loaded, id, options, signal);
    for await (const line of lines) {
      print(line);
    }
  } catch (error) {
    // The reader has seen enough.
    if (!signal.aborted) {
      throw error;
    }
  } finally {
    stopListening();
  }
  return exitCodes.ok;
}

/** Without a daemon: a task log from its file, a container's through the engine. */
async function* ownLines(
  loaded: LoadedConfig,
  id: string,
  { task, service, follow, tail, cursor }: LogsOptions,
  signal: AbortSignal,
): AsyncGenerator<LogLine> {
  const { config } = loaded;
  const options = { follow, tail, cursor, signal };
  if (task) {
    yield* linesOf(readTaskLog(taskLogFolder(config), id, options));
    return;
  }
  const access = await openEngine(config, await hostPolicyOf(loaded), createLog({ level: 'error' }), {
    lookOnly: true,
  });
  try {
    const source =
      service === undefined ? ({ kind: 'instance', id } as const) : ({ kind: 'service', id, service } as const);
    yield* linesOf(readOutput({ engine: access.engine, taskLogs: taskLogFolder(config) }, source, options));
  } finally {
    await access.close();
  }
}

/** Nothing of a workload's output may steer the terminal. */
function printEntry(line: LogLine): void {
  if ('gap' in line) {
    const { dropped } = line.gap;
    tell(`… ${dropped === null ? 'some' : dropped} entries are missing here: they were rotated away`);
    return;
  }
  const { text, encoding, channel, service } = line.entry;
  const words = encoding === 'utf8' ? text : Buffer.from(text, 'base64').toString('utf8');
  printLine(channel === 'task' ? taskLine(words) : ofService(service, words));
}

/** A line of a task log, for people: time, phase, what happened. What is no such line comes as it is. */
function taskLine(text: string): string {
  let line: Record<string, unknown>;
  try {
    line = JSON.parse(text) as Record<string, unknown>;
  } catch (error) {
    if (error instanceof SyntaxError) {
      return text;
    }
    throw error;
  }
  const { time, level, phase, msg, text: words, code } = line;
  const known = [String(time).slice(11, 23), level, phase, msg, words, code].filter((each) => each !== undefined);
  return known.filter((each) => each !== null && each !== '').join('  ');
}
