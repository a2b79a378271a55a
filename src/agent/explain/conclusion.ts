/** How an instance or a task is now, what is the matter with it, and what to do next. */
import { AgentError, type Failure } from '../../contract/failures.ts';
import type { ContainerFacts } from '../../runtime/engine.ts';
import { stateOf } from '../../tasks/workload-report.ts';
import type { KeptEvent, KeptWorkload } from '../journal/journal.ts';
import { shownState } from '../supervision/sick-cards.ts';
import { adviceFor } from './advice.ts';
import { exitWords } from './exit-words.ts';
import type { Explanation, TimelineEntry } from './explanation.ts';
import type { TaskStory } from './task-story.ts';

/** How a task ended, behind "it". */
export const endings = {
  succeeded: 'succeeded',
  failed: 'failed',
  cancelled: 'was cancelled',
  rejected: 'was refused before anything was done',
} as const;

export interface EngineWords {
  /** Of the instance, or of the services of its stack; none where the engine does not say. */
  readonly containers: readonly ContainerFacts[];
  readonly entries: readonly TimelineEntry[];
  /** Why the engine says nothing. */
  readonly failure: Failure | null;
}

export type Conclusion = Pick<Explanation, 'state' | 'summary' | 'failure' | 'next'>;

export function aboutTask(story: TaskStory): Conclusion {
  const { failure, status, phases, taskId, workloadId } = story;
  const phase = phases.at(-1)?.phase.replaceAll('_', ' ');
  if (failure) {
    const where = phase === undefined ? '' : ` while the workload was ${phase}`;
    return {
      state: status ?? 'failed',
      summary: `It ${endings[status ?? 'failed']}${where}. ${failure.message}`,
      failure,
      next: next(failure, story),
    };
  }
  return status === null
    ? {
        ...{
          state: 'running',
          failure: null,
          summary: phase ? `It is at work: the workload is ${phase}.` : 'It waits for its turn.',
        },
        next: `Wait, or follow it with \`node-agent logs --task -f ${taskId}\`.`,
      }
    : {
        ...{ state: status, summary: 'It did what was asked.', failure: null },
        next: `Nothing. \`node-agent explain ${workloadId}\` tells how the workload is now.`,
      };
}

function next(failure: Failure, story: TaskStory | undefined, instance = story?.workloadId ?? ''): string {
  const service = String(failure.detail['service'] ?? '');
  const asked = story?.asked.filter((line) => service === '' || line.startsWith(`service ${service}:`)) ?? [];
  const gib = /([\d.]+) GiB of memory/.exec(asked.join('\n'))?.[1];
  return adviceFor(failure, { instance, memoryGib: gib === undefined ? null : Number(gib) });
}

export interface InstanceFacts {
  readonly id: string;
  readonly stories: readonly TaskStory[];
  readonly events: readonly KeptEvent[];
  readonly engine: EngineWords;
  readonly kept: KeptWorkload | undefined;
}

export function aboutInstance({ id, stories, events, engine, kept }: InstanceFacts): Conclusion {
  const last = stories.at(-1);
  const launch = stories.findLast(({ type }) => type.endsWith('_launch'));
  if (last?.status === null) {
    return { ...aboutTask(last), state: last.phases.at(-1)?.phase ?? 'waiting' };
  }
  if (engine.failure) {
    const { failure } = engine;
    return {
      state: 'unknown',
      failure,
      summary: `Nobody can tell how it is. ${failure.message}`,
      next: next(failure, launch, id),
    };
  }
  const state =
    (kept && shownState(kept)) ??
    (engine.containers.length > 0 ? stateOfAll(engine.containers) : (stateAfter(last) ?? 'unknown'));
  const failure =
    state === 'running' || state === 'stopped' || state === 'removed' ? null : trouble(last, events, engine);
  const refused =
    last?.failure && failure === null ? ` Its last task ${endings[last.status]}: ${last.failure.message}` : '';
  if (failure) {
    return { state, failure, summary: failure.message, next: next(failure, launch ?? last, id) };
  }
  return {
    ...{ state, failure: null, summary: `${words(state, kept?.restarts ?? 0)}${refused}` },
    next: last?.failure && refused !== '' ? next(last.failure, last, id) : nothingToDo(state, id),
  };
}

/** What the last task left behind, where neither journal nor engine knows of anything. */
function stateAfter(last: TaskStory | undefined): string | undefined {
  if (last?.status === 'succeeded') {
    return last.type.endsWith('_remove') ? 'removed' : last.phases.at(-1)?.phase;
  }
  return last ? 'failed' : undefined;
}

/** The newest of what went wrong: in a task, or seen by the supervisor, or said by the engine. */
function trouble(
  last: TaskStory | undefined,
  events: readonly KeptEvent[],
  { containers }: EngineWords,
): Failure | null {
  const seen = events.findLast(({ body }) => body.failure !== null);
  const taskIsNewer = seen === undefined || (last?.endedAt ?? '') > seen.body.event.time;
  if (last?.failure && taskIsNewer) {
    return last.failure;
  }
  if (seen?.body.failure) {
    return seen.body.failure;
  }
  const container = containers.find(
    // A service of a stack may have done its work.
    ({ exitCode, status }) => exitCode !== null && status !== 'running' && (exitCode !== 0 || containers.length === 1),
  );
  if (container && container.exitCode !== null) {
    const code = container.oomKilled ? 'container.oom_killed' : 'container.exited';
    const detail = {
      container: container.name,
      exit_code: container.exitCode,
      reason: `Its exit code says: ${exitWords(container.exitCode)}.`,
    };
    return new AgentError(code, detail).toFailure();
  }
  return null;
}

/** Nobody remembers what was asked for: as bad as the worst of them. */
function stateOfAll(containers: readonly ContainerFacts[]): string {
  const states = new Set(containers.map(stateOf));
  const [first = 'unknown'] = states;
  return states.size === 1 ? first : 'degraded';
}

function words(state: string, restarts: number): string {
  const again =
    restarts === 0
      ? ''
      : ` The agent has started it again ${restarts === 1 ? 'once' : `${restarts} times`} since its launch.`;
  return `The workload is ${state.replaceAll('_', ' ')}.${again}`;
}

function nothingToDo(state: string, id: string): string {
  switch (state) {
    case 'running':
      return `Nothing: it runs. Its output is \`node-agent logs ${id}\`.`;
    case 'stopped':
      return 'Start it when it is wanted: somebody stopped it, or it ended by itself.';
    case 'removed':
    case 'absent':
      return 'Nothing: it was taken away. Launch it again when it is wanted.';
    default:
      return 'Look again in a minute; if it stays so, run `node-agent doctor`.';
  }
}
