/** The agent's own life, as tasks may touch it: whether it drains, and what it has in hand. */
import { AgentError } from '../contract/failures.ts';
import { isLaunch } from '../contract/tasks.ts';
import type { Clock } from '../kit/clock.ts';
import type { Lifecycle } from '../tasks/task-context.ts';
import type { Candidate } from './dispatch.ts';
import type { Drainer, DrainState } from './drain-state.ts';
import type { Journal } from './journal/journal.ts';

export interface LifecycleParts {
  readonly drain: DrainState;
  readonly journal: Pick<Journal, 'workloads'>;
  readonly clock: Clock;
  /** Tasks that are at work or wait. */
  readonly tasks: () => number;
  readonly onDrain: () => void;
  /** Whose wish a drain is that begins or ends here. */
  readonly by: Drainer;
  readonly update: Lifecycle['update'];
  readonly diagnose: Lifecycle['diagnose'];
  readonly rotateKeys: Lifecycle['rotateKeys'];
}

export function lifecycleOf({
  drain,
  journal,
  clock,
  tasks,
  onDrain,
  by,
  update,
  diagnose,
  rotateKeys,
}: LifecycleParts): Lifecycle {
  return {
    beginDrain: (reason) => {
      drain.begin(by, reason, new Date(clock.wallMs()).toISOString());
      onDrain();
    },
    endDrain: () => {
      drain.end(by);
      onDrain();
    },
    look: () => ({
      drainingSince: drain.current?.since ?? null,
      workloads: journal.workloads().filter(({ desired }) => desired === 'running').length,
      tasks: tasks(),
    }),
    ...{ update, diagnose, rotateKeys },
  };
}

/** Throws `agent.draining` for a launch on a host that drains; everything that empties the host goes on. */
export function admitUnlessDraining({ current }: DrainState, { type }: Candidate): void {
  if (current !== null && isLaunch(type)) {
    throw new AgentError('agent.draining', { reason: current.reason, since: current.since });
  }
}
