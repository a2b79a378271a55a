/**
 * What comes next in a job: which steps may start, which have to be stopped, which are left out, and how it ends. Pure, and
 * asked anew after everything that happens, so a job that is taken up again goes on where it was.
 */
import type { JobPlan, JobStep } from '../contract/job-plan.ts';
import { type StepState, stepHasEnded } from '../contract/job-state.ts';

export interface StepStatus {
  readonly state: StepState;
  /** True while it runs and its checks have passed. */
  readonly ready: boolean;
}

export interface WhatNext {
  /** Steps of the group whose turn it is, which wait from now on. */
  readonly wait: readonly string[];
  readonly start: readonly string[];
  /** Served its purpose: to be stopped, and succeeded then. */
  readonly stop: readonly string[];
  readonly skip: readonly string[];
  /** How the job ends; undefined while it does not. */
  readonly end: 'succeeded' | 'failed' | undefined;
}

type Plan = Pick<JobPlan, 'on_failure'> & {
  readonly steps: readonly Pick<JobStep, 'id' | 'group' | 'depends_on' | 'stops_with'>[];
};

export function whatNext({ steps, on_failure: onFailure }: Plan, statusOf: (step: string) => StepStatus): WhatNext {
  const state = (id: string) => statusOf(id).state;
  const ended = (id: string) => stepHasEnded(state(id));
  const wentWrong = (id: string) => ended(id) && state(id) !== 'succeeded';
  const groups = [...new Set(steps.map(({ group }) => group))];
  const turn = groups.find((group) => steps.some((step) => step.group === group && !ended(step.id)));
  if (turn === undefined) {
    const end = steps.some(({ id }) => wentWrong(id)) ? 'failed' : 'succeeded';
    return { wait: [], start: [], stop: [], skip: [], end };
  }
  const place = groups.indexOf(turn);
  const isLost = onFailure === 'stop' && steps.some(({ id, group }) => groups.indexOf(group) < place && wentWrong(id));
  if (isLost) {
    return {
      wait: [],
      start: [],
      stop: [],
      skip: steps.map(({ id }) => id).filter((id) => !ended(id)),
      end: undefined,
    };
  }
  const members = steps.filter(({ group }) => group === turn);
  const waiting = members.filter(({ id }) => state(id) === 'waiting');
  const isThere = (id: string) => statusOf(id).ready || state(id) === 'succeeded';
  const skip = waiting.filter(({ depends_on }) => depends_on.some(wentWrong));
  return {
    wait: members.filter(({ id }) => state(id) === 'pending').map(({ id }) => id),
    start: waiting.filter((step) => !skip.includes(step) && step.depends_on.every(isThere)).map(({ id }) => id),
    stop: members
      .filter(({ id, stops_with: served }) => state(id) === 'running' && served.length > 0 && served.every(ended))
      .map(({ id }) => id),
    skip: skip.map(({ id }) => id),
    end: undefined,
  };
}
