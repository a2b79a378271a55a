/** What the supervisor, the engine and the kernel say, as entries of the timeline. */
import { serviceOfContainer } from '../../contract/names.ts';
import type { KernelLine } from '../../host/kernel-log.ts';
import type { ContainerFacts, EngineEvent } from '../../runtime/engine.ts';
import type { KeptEvent } from '../journal/journal.ts';
import { exitWords } from './exit-words.ts';
import type { TimelineEntry } from './explanation.ts';
import { factLines, failureDetails } from './task-entries.ts';

const alone = { task_id: null, duration_ms: null } as const;

export function eventEntry({ body: { source, event, failure, state } }: KeptEvent): TimelineEntry {
  const facts = Object.entries(event.values).flatMap(([key, value]) => factLines(key, value));
  return {
    ...alone,
    ...{ time: event.time, source, title: event.message, level: failure ? 'error' : 'info' },
    details: [
      ...(state === null ? [] : [`state ${state.replaceAll('_', ' ')}`]),
      ...(failure ? [`${failure.message} [${failure.code}]`, ...failureDetails(failure)] : facts),
    ],
  };
}

const actions: Readonly<Record<string, string>> = {
  create: 'was created.',
  start: 'was started.',
  restart: 'was restarted.',
  stop: 'was stopped.',
  destroy: 'was removed.',
  pause: 'was paused.',
  unpause: 'was resumed.',
};

/** How a container is called at the begin of a sentence. */
export type NameOfContainer = (container: string) => string;

/** Of a stack by its service. */
function named(container: string): string {
  const service = serviceOfContainer(container);
  return service === undefined ? 'The container' : `The container of the service ${service}`;
}

/** `kill` is left out: the end of the container follows and says more. In the order of the events, each container by itself. */
export function engineEntries(events: readonly EngineEvent[], nameOf: NameOfContainer = named): TimelineEntry[] {
  return [...Map.groupBy(events, ({ container }) => container)].flatMap(([container, own]) => {
    const told = own.filter(isFirst);
    return told.flatMap((event, index) => entryOf(event, nameOf(container), told.slice(0, index)));
  });
}

function entryOf(
  { time, action, exitCode }: EngineEvent,
  name: string,
  before: readonly EngineEvent[],
): TimelineEntry[] {
  const base = { ...alone, time, source: 'engine' as const, details: [] as string[] };
  if (action === 'die') {
    const code = exitCode ?? 0;
    const asked = wasAskedToEnd(before);
    const title = `${name} ended with exit code ${code}: ${exitWords(code)}${asked ? ', as it was told to' : ''}.`;
    return [{ ...base, title, level: code === 0 || asked ? 'info' : 'error' }];
  }
  if (action === 'oom') {
    const title = `A process of ${name.replace('The', 'the')} ran out of the memory it may use.`;
    return [{ ...base, title, level: 'error' }];
  }
  if (action.startsWith('health_status')) {
    const health = action.slice(action.indexOf(':') + 1).trim();
    const whose =
      name === 'The container' ? 'Its health check' : `The health check of ${name.replace('The container of t', 't')}`;
    return [{ ...base, title: `${whose} says: ${health}.`, level: health === 'healthy' ? 'info' : 'warn' }];
  }
  const what = actions[action];
  return what === undefined ? [] : [{ ...base, title: `${name} ${what}`, level: 'info' }];
}

/** True if somebody had the engine end it: what it made of that is no fault. The kernel asks no engine. */
function wasAskedToEnd(before: readonly EngineEvent[]): boolean {
  return before.findLast(({ action }) => action === 'kill' || action === 'start')?.action === 'kill';
}

/** The engine repeats itself: a group that runs out of memory says so for each process. */
function isFirst({ action }: EngineEvent, index: number, events: readonly EngineEvent[]): boolean {
  return action !== events[index - 1]?.action;
}

/** What the engine says about a container that is there, where its events are forgotten. */
export function factEntries(
  facts: ContainerFacts,
  known: readonly TimelineEntry[],
  nameOf: NameOfContainer = named,
): TimelineEntry[] {
  const name = nameOf(facts.name);
  const has = (start: string) => known.some(({ source, title }) => source === 'engine' && title.startsWith(start));
  const { startedAt, finishedAt, exitCode, status, oomKilled } = facts;
  const entries: TimelineEntry[] = [];
  if (startedAt !== null && !has(`${name} was started`)) {
    const title = `${name} was started.`;
    entries.push({ ...alone, time: startedAt, source: 'engine', level: 'info', title, details: [] });
  }
  const ended = status === 'exited' || status === 'dead';
  if (ended && finishedAt !== null && exitCode !== null && !has(`${name} ended`)) {
    entries.push({
      ...{ ...alone, time: finishedAt, source: 'engine', level: exitCode === 0 ? 'info' : 'error' },
      title: `${name} ended with exit code ${exitCode}: ${exitWords(exitCode)}.`,
      details: oomKilled ? ['the kernel killed it for its memory'] : [],
    });
  }
  return entries;
}

const oomContainer = /^oom-kill:.*task_memcg=\S*([0-9a-f]{64}).*task=([^,]+),pid=(\d+)/;
const oomKilled = /Killed process (\d+) \(([^)]*)\).*?anon-rss:(\d+)kB/;
const xid = /NVRM: Xid \((PCI:[^)]+)\): (\d+)/;

/** Only what concerns these containers, and trouble of the graphics cards since `since`. */
export function kernelEntries(
  lines: readonly KernelLine[],
  containerIds: ReadonlySet<string>,
  since: string,
): TimelineEntry[] {
  const base = { ...alone, source: 'kernel', level: 'error' } as const;
  const killed = new Map<string, string>();
  return lines.flatMap(({ time, text }): TimelineEntry[] => {
    const [, container, task, pid] = oomContainer.exec(text) ?? [];
    if (container !== undefined && task !== undefined && pid !== undefined && containerIds.has(container)) {
      killed.set(pid, task);
      return [];
    }
    const [, victim = '', name, rss] = oomKilled.exec(text) ?? [];
    if (killed.has(victim)) {
      const used = (Number(rss) / 1024).toFixed(0);
      const title = `The kernel killed ${name} (process ${victim}): the container was at its memory limit.`;
      return [{ ...base, time, title, details: [`${used} MiB of it were in memory`] }];
    }
    const [, card, number] = xid.exec(text) ?? [];
    return card !== undefined && time >= since
      ? [{ ...base, time, title: `The graphics card at ${card} reported Xid ${number}.`, details: [text] }]
      : [];
  });
}
