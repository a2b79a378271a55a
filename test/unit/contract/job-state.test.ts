import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import {
  type JobState,
  jobHasEnded,
  jobStates,
  moveJob,
  moveStep,
  type StepState,
  stepHasEnded,
  stepStates,
} from '../../../src/contract/job-state.ts';

/** The transitions, written down a second time and by hand: a change of the table has to be meant twice. */
const legalOfJob: Record<JobState, string> = {
  queued: 'preparing failed cancelled expired',
  preparing: 'running failed cancelled expired',
  running: 'succeeded failed cancelled expired',
  succeeded: '',
  failed: '',
  cancelled: '',
  expired: '',
};
const legalOfStep: Record<StepState, string> = {
  pending: 'waiting skipped cancelled',
  waiting: 'running failed skipped cancelled',
  running: 'waiting succeeded failed timed_out cancelled',
  succeeded: '',
  failed: '',
  skipped: '',
  cancelled: '',
  timed_out: '',
};
const pairs = <State extends string>(states: readonly State[]) =>
  states.flatMap((from) => states.map((to) => [from, to] as const));

it.each(pairs(jobStates))('a job from %s to %s goes or throws as the table says', (from, to) => {
  if (from === to || legalOfJob[from].split(' ').includes(to)) expect(moveJob(from, to)).toBe(to);
  else expect(() => moveJob(from, to)).toThrow(`forbidden job transition ${from} -> ${to}`);
});

it.each(pairs(stepStates))('a step from %s to %s goes or throws as the table says', (from, to) => {
  if (from === to || legalOfStep[from].split(' ').includes(to)) expect(moveStep(from, to)).toBe(to);
  else expect(() => moveStep(from, to)).toThrow(`forbidden step transition ${from} -> ${to}`);
});

it('what has ended stays as it ended, whatever is wished', () => {
  expect(jobStates.filter(jobHasEnded)).toEqual(['succeeded', 'failed', 'cancelled', 'expired']);
  expect(stepStates.filter(stepHasEnded)).toEqual(['succeeded', 'failed', 'skipped', 'cancelled', 'timed_out']);
  fc.assert(
    fc.property(fc.constantFrom(...jobStates.filter(jobHasEnded)), fc.constantFrom(...jobStates), (end, wish) => {
      if (end !== wish) expect(() => moveJob(end, wish)).toThrow('forbidden');
    }),
  );
});

const page = readFileSync(join(import.meta.dirname, '../../../docs/jobs.md'), 'utf8');

it.each([
  ['a job', jobStates, legalOfJob],
  ['a step', stepStates, legalOfStep],
] as const)('docs/jobs.md tells of %s what the table says', (what, states, legal) => {
  const [, table = ''] = page.split(`| ${what} that is | may become |`);
  const rows = [...(table.split('\n\n')[0] ?? '').matchAll(/^\| `(\w+)` \| (.*) \|$/gm)];
  const told = Object.fromEntries(rows.map(([, from, to = '']) => [from, to.replaceAll(/[`,]/g, '')]));

  expect(told).toEqual(Object.fromEntries(Object.entries(legal).filter(([, to]) => to !== '')));
  const [own = ''] = page.split('```').filter((block) => block.trimStart().startsWith(`${states[0]} ─▶`));
  const arrows = [...own.matchAll(/(\w+)(?= ─▶ (\w+))/g)].map(([, from, to]) => [from, to]);
  expect(arrows.length).toBeGreaterThan(2);
  for (const [from = '', to] of arrows) expect(told[from]?.split(' ')).toContain(to);
});
