/**
 * What happens to our containers, as the engine reports it.
 *
 * The stream ends with an error when the connection is lost; connecting again is the caller's business, with the time of
 * the last event it saw as `since`. The engine remembers a few hundred events, and none over its own restart: after a
 * gap, look at the containers themselves.
 */
import { AgentError } from '../../contract/failures.ts';
import { labels } from '../../contract/names.ts';
import { readLines } from '../../kit/lines.ts';
import { formatNanos, formatSeconds, toUnixNanos } from '../../kit/nano-time.ts';
import type { EngineEvent } from '../engine.ts';
import { parseAnswer } from './call-errors.ts';
import type { Calls } from './calls.ts';

/** Events of commands are left out: the engine puts their argument vectors, which may hold secrets, into the action. */
const actions = [
  ...['create', 'start', 'restart', 'die', 'oom', 'kill', 'stop', 'destroy', 'pause', 'unpause', 'health_status'],
];
const maxLineBytes = 1024 * 1024;

export async function* readEvents(
  calls: Calls,
  { since, until, signal }: { since?: string | undefined; until?: string | undefined; signal: AbortSignal },
): AsyncGenerator<EngineEvent, void, undefined> {
  const options = { call: 'events', timeoutMs: calls.timeouts.lookMs, signal };
  const filters = JSON.stringify({ type: ['container'], event: actions, label: [labels.instance] });
  const query = {
    filters,
    ...(since === undefined ? {} : { since: formatSeconds(nanosOf('/since', since) + 1n) }),
    ...(until === undefined ? {} : { until: formatSeconds(nanosOf('/until', until)) }),
  };
  const stream = await calls.open(options, (docker, abortSignal) => {
    return docker.getEvents({ ...query, abortSignal } as object);
  });
  for await (const line of readLines(stream.chunks(), maxLineBytes)) {
    const event = line === '' ? undefined : readEvent(line);
    if (event) {
      yield event;
    }
  }
}

/** Within a string of the event the quotes would be escaped, so this finds the key alone. */
const nanos = /"timeNano":(\d+)/g;

/** Undefined for a line that is no event of a container of ours. */
export function readEvent(line: string): EngineEvent | undefined {
  // The engine's nanoseconds do not fit into a number: they are taken from the text.
  const event = parseAnswer<EventObject>(line.replace(nanos, '"timeNano":"$1"'), 'events');
  const { Attributes: attributes = {} } = event.Actor ?? {};
  const { name, exitCode } = attributes;
  const instance = attributes[labels.instance];
  if (name === undefined || instance === undefined || event.Action === undefined) {
    return undefined;
  }
  return {
    time: formatNanos(BigInt(event.timeNano ?? 0)),
    container: name,
    instance,
    action: event.Action,
    exitCode: exitCode === undefined ? null : Number(exitCode),
  };
}

/** The engine's `since` includes its moment, so one nanosecond is added to it. */
function nanosOf(path: string, time: string): bigint {
  const nanos = toUnixNanos(time);
  if (nanos === undefined) {
    throw new AgentError('task.invalid', { path, reason: 'It is not the time of an event.' });
  }
  return nanos;
}

/** The engine's event (Docker Engine API 1.41), as far as it is read. */
interface EventObject {
  readonly Action?: string;
  readonly Actor?: { readonly Attributes?: Readonly<Record<string, string>> };
  readonly timeNano?: string;
}
