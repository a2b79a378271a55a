/**
 * What is known of one task, put together from the journal and from the task's own log. Either of them may be missing:
 * a task of `run-task` is in no journal, the log of an old one is gone.
 */
import type { Failure } from '../../contract/failures.ts';
import type { TaskResult } from '../../contract/task-envelope.ts';
import type { Cleanup } from '../../contract/workload-output.ts';
import type { KeptTask } from '../journal/journal.ts';
import type { LogFacts } from '../logs/task-lines.ts';
import { askedFor } from './asked.ts';

export interface TaskStory {
  readonly taskId: string;
  readonly type: string;
  readonly workloadId: string;
  readonly fencing: number | null;
  readonly attempt: number;
  readonly traceId: string;
  readonly name: string | null;
  readonly askedAt: string;
  readonly asked: readonly string[];
  readonly cancelled: boolean;
  readonly phases: readonly { readonly phase: string; readonly at: string }[];
  readonly endedAt: string | null;
  /** Null while it is at work. */
  readonly status: TaskResult['status'] | null;
  readonly failure: Failure | null;
  /** Containers that it made, for what the kernel says about them. */
  readonly containerIds: readonly string[];
  /** What it said last of taking away what it had made; null where it said nothing. */
  readonly cleanup: (Cleanup & { readonly at: string }) | null;
  readonly log: readonly LogFacts[];
}

export function storyOf(taskId: string, kept: KeptTask | undefined, log: readonly LogFacts[]): TaskStory | undefined {
  const begun = log.find(({ msg }) => msg === 'task begins');
  const first = begun ?? log[0];
  if (!kept && !first) {
    return undefined;
  }
  const ended = log.findLast(({ msg }) => msg === 'task ends');
  const envelope = kept?.envelope;
  const result = kept?.result ?? null;
  return {
    taskId,
    type: envelope?.type ?? text(first?.['task_type']),
    workloadId: envelope?.workload_id ?? text(first?.['instance']),
    fencing: envelope?.fencing ?? numberOf(begun?.['fencing']),
    attempt: envelope?.attempt ?? numberOf(begun?.['attempt']) ?? 1,
    traceId: envelope?.trace_id ?? text(begun?.['trace_id']),
    name: nameOf(envelope?.params) ?? (text(begun?.['name']) || null),
    askedAt: kept?.accepted_at ?? first?.time ?? '',
    asked: envelope ? askedFor(envelope.type, envelope.params) : texts(begun?.['asked']),
    cancelled: kept?.cancelled ?? false,
    phases: kept && kept.phases.length > 0 ? kept.phases : phasesOf(log),
    endedAt: result?.finished_at ?? ended?.time ?? null,
    status: result?.status ?? (ended ? (text(ended['status']) as TaskResult['status']) : null),
    failure: result?.failure ?? (ended?.['failure'] as Failure | null | undefined) ?? null,
    containerIds: log.flatMap((line) => (line.msg === 'container created' ? [text(line['container_id'])] : [])),
    cleanup: cleanupOf(log, result),
    log,
  };
}

function cleanupOf(log: readonly LogFacts[], result: TaskResult | null): TaskStory['cleanup'] {
  const said = log.findLast(({ msg }) => msg === 'job cleaned up');
  if (said) {
    const { time: at, removed, kept, failed } = said;
    return { at, removed: texts(removed), kept: texts(kept), failed: texts(failed) };
  }
  const { cleanup } = (result?.output ?? {}) as { readonly cleanup?: Cleanup | null };
  return result && cleanup ? { ...cleanup, at: result.finished_at } : null;
}

function phasesOf(log: readonly LogFacts[]): { phase: string; at: string }[] {
  return log.flatMap((line) =>
    line['event'] === 'phase.entered' ? [{ phase: text(line['phase']), at: line.time }] : [],
  );
}

function nameOf(params: unknown): string | null {
  const identity = (params as { identity?: { display_name?: string } } | null | undefined)?.identity;
  return identity?.display_name ?? null;
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function texts(value: unknown): string[] {
  return Array.isArray(value) ? value.map(String) : [];
}

function numberOf(value: unknown): number | null {
  return typeof value === 'number' ? value : null;
}
