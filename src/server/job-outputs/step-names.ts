/** Steps by the names that people have for them: a plan calls some of them otherwise than their author does. */
import type { Job } from '../db/entities/job.ts';

type Steps = Pick<Job, 'steps'>;

/** The step with that id in the plan, and else the one that its author calls so. */
export function stepNamed({ steps }: Steps, name: string): Job['steps'][number] | undefined {
  return steps.find(({ id }) => id === name) ?? steps.find((step) => step.name === name);
}

/** Name of what is kept of a step, whose id is in it. */
export function outputNameIn(job: Steps, name: string): string {
  const [, step = name, ending = ''] = /^(.*)(\.log)$/.exec(name) ?? [];
  return `${stepNamed(job, step)?.id ?? step}${ending}`;
}
