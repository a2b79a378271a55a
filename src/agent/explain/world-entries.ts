/** What the supervisor, the engine and the kernel say, as entries of the timeline. */
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
  create: 'The container was created.',
  start: 'The container was started.',
  restart: 'The container was restarted.',
  stop: 'The container was stopped.',
  oom: 'A process of the container ran out of the memory it may use.',
  destroy: 'The container was removed.',
  pause: 'The container was paused.',
  unpause: 'The container was resumed.',
};

/** `kill` is left out: the end of the container follows and says more. */
export function engineEntries(events: readonly EngineEvent[]): TimelineEntry[] {
  const told = events.filter(isFirst);
  return told.flatMap(({ time, action, exitCode }, index): TimelineEntry[] => {
    const base = { ...alone, time, source: 'engine' as const, details: [] as string[] };
    if (action === 'die') {
      const code = exitCode ?? 0;
      const asked = wasAskedToEnd(told.slice(0, index));
      const title = `The container ended with exit code ${code}: ${exitWords(code)}${asked ? ', as it was told to' : ''}.`;
      return [{ ...base, title, level: code === 0 || asked ? 'info' : 'error' }];
    }
    if (action.startsWith('health_status')) {
      const health = action.slice(action.indexOf(':') + 1).trim();
      return [{ ...base, title: `Its health check says: ${health}.`, level: health === 'healthy' ? 'info' : 'warn' }];
    }
    const title = actions[action];
    return title === undefined ? [] : [{ ...base, title, level: action === 'oom' ? 'error' : 'info' }];
  });
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
export function factEntries(facts: ContainerFacts, known: readonly TimelineEntry[]): TimelineEntry[] {
  const has = (start: string) => known.some(({ source, title }) => source === 'engine' && title.startsWith(start));
  const { startedAt, finishedAt, exitCode, status, oomKilled } = facts;
  const entries: TimelineEntry[] = [];
  if (startedAt !== null && !has('The container was started')) {
    const title = 'The container was started.';
    entries.push({ ...alone, time: startedAt, source: 'engine', level: 'info', title, details: [] });
  }
  const ended = status === 'exited' || status === 'dead';
  if (ended && finishedAt !== null && exitCode !== null && !has('The container ended')) {
    entries.push({
      ...{ ...alone, time: finishedAt, source: 'engine', level: exitCode === 0 ? 'info' : 'error' },
      title: `The container ended with exit code ${exitCode}: ${exitWords(exitCode)}.`,
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
