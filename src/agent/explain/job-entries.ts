/** The part of the timeline that the record of a job is responsible for: what it got, each of its parts, its end, what it left. */
import { jobHasEnded, stepHasEnded } from '../../contract/job-state.ts';
import type { LogFacts } from '../logs/task-lines.ts';
import type { TimelineEntry } from './explanation.ts';
import { verdict } from './job-conclusion.ts';
import { endSentence, type JobFacts, type JobPart, partName } from './job-facts.ts';
import { failureDetails } from './task-entries.ts';

export function jobEntries(job: JobFacts): TimelineEntry[] {
  return [
    ...acceptance(job),
    ...preparation(job),
    ...preflight(job),
    ...job.parts.flatMap(partEntries),
    ...end(job),
    ...cleanUp(job),
  ].map((entry) => ({ source: 'agent', task_id: job.kept.task_id, duration_ms: null, ...entry }));
}

type Entry = Pick<TimelineEntry, 'time' | 'level' | 'title' | 'details'> & Partial<TimelineEntry>;

function acceptance({ kept: { record } }: JobFacts): Entry[] {
  const details = [`it has to end by ${new Date(record.deadline_at).toISOString()}`];
  return [{ time: record.accepted_at, level: 'info', title: 'The job was accepted.', details }];
}

/** It lasts until the first container starts. */
function preparation({ kept: { plan, record }, parts, launch }: JobFacts): Entry[] {
  const { started_at: time, ended_at, state } = record;
  if (time === null) return [];
  const starts = parts.flatMap(({ record: { started_at } }) => started_at ?? []);
  const isStuck = starts.length === 0 && jobHasEnded(state);
  const until = isStuck ? ended_at : first(starts);
  const lacks = state === 'preparing' ? 'is not here yet' : 'was not fetched';
  const images = plan.images.map(({ id }) => `image ${id} ${record.images[id] === undefined ? lacks : 'is here'}`);
  const inputs = plan.inputs.map(({ id }) => {
    const provided = record.inputs[id];
    if (!provided) return `input ${id} ${lacks}`;
    const { files, bytes, commit, from_cache } = provided;
    const of = commit === undefined ? '' : ` of commit ${commit}`;
    return `input ${id} is here: ${files} files${of}, ${bytes} bytes${from_cache ? ', which this host had' : ''}`;
  });
  const words = isStuck ? 'were to be' : state === 'preparing' ? 'are being' : 'were';
  return [
    {
      ...{ time, level: isStuck ? 'error' : 'info', duration_ms: until === null ? null : lasting(time, until) },
      title: `${plan.inputs.length === 0 ? 'Images' : 'Images and inputs'} ${words} fetched.`,
      details: [
        ...[...images, ...inputs, ...(state === 'preparing' ? progressOf(launch?.log ?? []) : [])],
        ...(isStuck ? ['it did not get beyond this'] : []),
      ],
    },
  ];
}

/** What was looked for in the images, before any container of it ran. */
function preflight({ kept: { plan, record } }: JobFacts): Entry[] {
  const { preflight: looked = [] } = record;
  const last = looked.at(-1);
  if (!last) return [];
  const lacking = looked.filter(({ reason }) => reason !== null);
  const duration_ms = looked.reduce((sum, each) => sum + each.duration_ms, 0);
  return [
    {
      ...{ time: last.at, level: lacking.length === 0 ? 'info' : 'error', duration_ms },
      title: `Of ${looked.length} things that its images have to have, ${looked.length - lacking.length} are there.`,
      details: lacking.map(({ index, reason }) => `${plan.preflight?.[index]?.name ?? ''} ${reason}`),
    },
  ];
}

function first(times: readonly string[]): string | null {
  return times.toSorted((a, b) => Date.parse(a) - Date.parse(b))[0] ?? null;
}

/** How far each of what is being fetched is. */
function progressOf(log: readonly LogFacts[]): string[] {
  const lines = log.filter(({ event }) => event === 'image.progress' || event === 'input.progress');
  const newest = new Map(lines.map((line) => [`${line['image'] ?? ''}/${line['input'] ?? ''}`, String(line['text'])]));
  return [...newest.values()];
}

function partEntries(part: JobPart): Entry[] {
  const { started_at, ended_at, state } = part.record;
  const endedAt = stepHasEnded(state) ? ended_at : null;
  return [
    ...(started_at === null ? [] : [beginOf(part, started_at, endedAt)]),
    ...(endedAt === null ? [] : [endOf(part, endedAt)]),
  ];
}

function beginOf(part: JobPart, time: string, endedAt: string | null): Entry {
  const { attempts, unhealthy, ports } = part.record;
  const now = [
    ...ports.map(({ name, host_port }) => `${name} answers on 127.0.0.1:${host_port}`),
    'at work on this now',
  ];
  return {
    ...{ time, level: 'info', title: `The ${partName(part)} began.` },
    duration_ms: endedAt === null ? null : lasting(time, endedAt),
    details: [
      ...(attempts > 1 ? [`it was started ${attempts} times`] : []),
      ...(unhealthy > 0 ? [`${unhealthy} of them because a check of it did not pass`] : []),
      ...(endedAt === null ? now : []),
    ],
  };
}

function endOf(part: JobPart, time: string): Entry {
  const { attempts, state, failure } = part.record;
  const isRead = attempts > 0 && state !== 'cancelled';
  const { step: _step, service: _service, signal: _signal, exit_code: _exit, ...rest } = failure?.detail ?? {};
  const { timeout_seconds: _seconds, ...facts } = rest;
  return {
    ...{ time, level: failure ? 'error' : state === 'cancelled' ? 'warn' : 'info', title: endSentence(part) },
    details: [
      ...(isRead ? part.missing.map((name) => `its result ${name} was not in what it wrote`) : []),
      ...(failure ? failureDetails({ ...failure, detail: facts }) : []),
    ],
  };
}

function end(job: JobFacts): Entry[] {
  const { ended_at, failure, state, receipt } = job.kept.record;
  if (ended_at === null) return [];
  const unbegun = job.parts.filter(({ record }) => record.attempts === 0 && record.failure === null);
  const level = failure === null ? 'info' : state === 'cancelled' ? 'warn' : 'error';
  return [
    {
      ...{ time: ended_at, level, title: failure ? `${verdict(job)} [${failure.code}]` : verdict(job) },
      details: [
        ...unbegun.map((part) => `the ${partName(part)} was not begun: it is ${part.record.state}`),
        ...outputLines(job),
        ...(receipt === null ? [] : ['its receipt is signed']),
      ],
    },
  ];
}

const whereabouts = {
  waiting: 'kept on this host, not handed over yet',
  handed_over: 'at the control plane',
  refused: 'the control plane does not keep it',
} as const;

function outputLines({ kept: { plan, record }, outputs }: JobFacts): string[] {
  const kept = record.outputs.map(({ name, bytes }) => {
    const state = outputs.get(name);
    return `output ${name}, ${bytes} bytes: ${state === undefined ? 'kept' : whereabouts[state]}`;
  });
  const names = new Set(record.outputs.map(({ name }) => name));
  const missing = plan.outputs
    .filter(({ name }) => !names.has(name))
    .map(({ name, path, volume, required }) => {
      return `output ${name}${required ? ', which is required' : ''}: not kept; it would be ${path} of the volume ${volume}`;
    });
  return [...kept, ...missing];
}

function cleanUp({ launch }: JobFacts): Entry[] {
  const { cleanup } = launch ?? {};
  if (!cleanup) return [];
  const { at: time, kept, failed } = cleanup;
  const isKept = kept.length > 0;
  const title =
    failed.length > 0
      ? 'Not all that the job had made could be taken away.'
      : isKept
        ? 'What the job had made was left, as it asks for.'
        : 'What the job had made was taken away.';
  return [{ time, level: failed.length > 0 ? 'error' : 'info', title, details: [...failed, ...kept] }];
}

function lasting(from: string, to: string): number {
  return Math.max(0, Date.parse(to) - Date.parse(from));
}
