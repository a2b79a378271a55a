/** The part of the timeline that a task is responsible for: what was asked, each phase, what stood out, how it ended. */
import type { Failure } from '../../contract/failures.ts';
import type { LogFacts } from '../logs/task-lines.ts';
import { endings } from './conclusion.ts';
import { exitWords } from './exit-words.ts';
import type { TimelineEntry } from './explanation.ts';
import type { TaskStory } from './task-story.ts';

export function taskEntries(story: TaskStory): TimelineEntry[] {
  return [askedEntry(story), ...phaseEntries(story), ...remarks(story), ...endEntries(story)];
}

/** Of a launch whose job tells the rest by its record. */
export function jobLaunchEntries(story: TaskStory, { hasEnded }: { readonly hasEnded: boolean }): TimelineEntry[] {
  const log = story.log.filter((line) => !isInRecord(line));
  return [askedEntry(story), ...remarks({ ...story, log }), ...(hasEnded ? [] : endEntries(story))];
}

/** True for what the record of a job says as well. */
function isInRecord({ event, attempt }: LogFacts): boolean {
  if (event === 'step.started') return attempt === 1;
  return ['job.preparing', 'job.running', 'job.ended', 'step.ended'].includes(String(event));
}

function askedEntry({ taskId, type, fencing, attempt, traceId, askedAt, asked, cancelled }: TaskStory): TimelineEntry {
  const ids = [
    `task ${taskId}`,
    ...(fencing === null ? [] : [`fencing ${fencing}`]),
    ...(attempt > 1 ? [`attempt ${attempt}`] : []),
    ...(traceId === '' ? [] : [`trace ${traceId}`]),
  ];
  return {
    ...{ time: askedAt, source: 'request', task_id: taskId, level: 'info', duration_ms: null },
    title: `${type} was asked for.`,
    details: [
      ids.join(', '),
      ...(fencing === null ? [] : [askedBy(traceId)]),
      ...asked,
      ...(cancelled ? ['later it was asked to give up'] : []),
    ],
  };
}

/** A host knows no people: a task of the control plane has a trace, a bare one of `run-task` has none. */
function askedBy(traceId: string): string {
  return traceId === ''
    ? 'by a command on this host'
    : 'by the control plane, whose events of this trace name who asked there';
}

/** Each phase lasts until the next, the last one until the task ends. */
function phaseEntries({ taskId, phases, endedAt, log, failure }: TaskStory): TimelineEntry[] {
  return phases.map(({ phase, at }, index) => {
    const until = phases[index + 1]?.at ?? endedAt;
    const isLast = index === phases.length - 1;
    const lasting = !['running', 'stopped', 'removed', 'failed'].includes(phase);
    const took = lasting && until !== null ? Math.max(0, Date.parse(until) - Date.parse(at)) : null;
    const words = phase.replaceAll('_', ' ');
    return {
      ...{ time: at, source: 'agent', task_id: taskId, duration_ms: took },
      level: isLast && failure !== null ? 'error' : 'info',
      title: lasting ? `The workload was ${words}.` : `The workload is ${words}.`,
      details: [
        ...lastOf(news[phase], log),
        ...(isLast && failure !== null ? ['it did not get beyond this'] : []),
        ...(took === null && lasting && endedAt === null ? ['at work on this now'] : []),
      ],
    };
  });
}

/** What says again and again how far a phase is. */
const news: Readonly<Record<string, string>> = { pulling: 'image.progress', probing: 'readiness.waiting' };

function lastOf(type: string | undefined, log: readonly LogFacts[]): string[] {
  const last = type === undefined ? undefined : log.findLast((line) => line['event'] === type);
  return last ? [String(last['text'])] : [];
}

const told = new Set(['phase.entered', 'input.progress', ...Object.values(news)]);
const common = new Set(['time', 'level', 'msg', 'task_id', 'task_type', 'instance', 'phase', 'event', 'text', 'err']);

const isOfJob = /^(job|step|input|output|check|log|egress)\./;

/** True for what the sentence of an event of a job says. */
function isTold(key: string, value: unknown): boolean {
  return ['step', 'to', 'input', 'output', 'host', 'port', 'scheme'].includes(key) || value === false;
}

/** Warnings and events that are neither a phase nor progress; the failure itself is told at the end. */
function remarks({ taskId, log }: TaskStory): TimelineEntry[] {
  return log.flatMap((line): TimelineEntry[] => {
    const isEvent = line.msg === 'event' && !told.has(String(line['event']));
    const isWarning = line['level'] === 'warn' || (line['level'] === 'error' && line.msg !== 'task failed');
    if (!isEvent && !isWarning) {
      return [];
    }
    return [
      {
        ...{ time: line.time, source: 'agent', task_id: taskId, duration_ms: null },
        level: isWarning ? 'warn' : 'info',
        title: isEvent ? String(line['text'] ?? line['event']) : sentence(line.msg),
        details: [
          ...Object.entries(line)
            .filter(([key, value]) => !common.has(key) && !(isOfJob.test(String(line['event'])) && isTold(key, value)))
            .flatMap(([key, value]) => factLines(key, value)),
          ...causes(line['err']),
        ],
      },
    ];
  });
}

function endEntries({ taskId, type, asked, status, failure, endedAt }: TaskStory): TimelineEntry[] {
  if (endedAt === null || status === null) {
    return [];
  }
  const what = wordOf(type, asked);
  return [
    {
      ...{ time: endedAt, source: 'agent', task_id: taskId, duration_ms: null },
      level: status === 'succeeded' ? 'info' : status === 'cancelled' ? 'warn' : 'error',
      title: failure
        ? `The ${what} ${endings[status]}: ${failure.message} [${failure.code}]`
        : `The ${what} ${endings[status]}.`,
      details: failure ? failureDetails(failure) : [],
    },
  ];
}

/** What people call it: a control is the stop, the start or the restart that it asks for. */
function wordOf(type: string, asked: readonly string[]): string {
  const word = type.replace(/^workload\.(oci|compose|job)_/, '').replaceAll('_', ' ');
  return word === 'control' ? (/^(stop|start|restart)\b/.exec(asked[0] ?? '')?.[0] ?? word) : word;
}

/** The facts of a failure, one a line, the end of a log last. */
export function failureDetails({ detail }: Failure): string[] {
  const { reason: _told, errors, excerpt, phase: _phase, exit_code, ...facts } = detail;
  const paths = Array.isArray(errors) ? (errors as { path?: string; message?: string }[]) : [];
  return [
    ...paths.map(({ path, message }) => `${path || '/'}: ${message}`),
    ...(typeof exit_code === 'number' ? [`exit code ${exit_code}: ${exitWords(exit_code)}`] : []),
    ...Object.entries(facts).flatMap(([key, value]) => factLines(key, value)),
    ...(typeof excerpt === 'string' && excerpt.trim() !== ''
      ? [
          'the last it said:',
          ...excerpt
            .trimEnd()
            .split('\n')
            .slice(-20)
            .map((line) => `  ${line}`),
        ]
      : []),
  ];
}

/** Nothing for what says nothing. */
export function factLines(key: string, value: unknown): string[] {
  if (value === null || value === undefined || value === '' || (Array.isArray(value) && value.length === 0)) {
    return [];
  }
  const words = key.replaceAll('_', ' ');
  const shown = Array.isArray(value)
    ? value.map(String).join(', ')
    : typeof value === 'object'
      ? JSON.stringify(value)
      : String(value);
  return [`${words} ${shown}`];
}

/** The chain of causes of a logged error, each once. */
function causes(err: unknown): string[] {
  const seen: string[] = [];
  for (let each = err; typeof each === 'object' && each !== null; each = (each as { cause?: unknown }).cause) {
    const { message } = each as { message?: unknown };
    if (typeof message === 'string' && !seen.includes(message)) {
      seen.push(message);
    }
  }
  return seen.map((message) => `because: ${message}`);
}

function sentence(text: string): string {
  const first = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(first) ? first : `${first}.`;
}
