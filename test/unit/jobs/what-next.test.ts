import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { moveStep, type StepState, stepHasEnded } from '../../../src/contract/job-state.ts';
import { type StepStatus, type WhatNext, whatNext } from '../../../src/jobs/what-next.ts';

const step = (id: string, group: string, depends_on: string[] = [], stops_with: string[] = []) => ({
  ...{ id, group, depends_on, stops_with },
});
const nothing: WhatNext = { wait: [], start: [], stop: [], skip: [], end: undefined };
const ask = (
  steps: ReturnType<typeof step>[],
  states: Record<string, StepState | 'ready'>,
  onFailure = 'stop' as const,
) =>
  whatNext({ steps, on_failure: onFailure }, (id) => {
    const state = states[id] ?? 'pending';
    return state === 'ready' ? { state: 'running', ready: true } : { state, ready: false };
  });

describe('what comes next in a job', () => {
  const groups = [step('a', '1'), step('b', '2'), step('c', '1')];

  it('is the first group, then the next', () => {
    expect(ask(groups, {})).toEqual({ ...nothing, wait: ['a', 'c'] });
    expect(ask(groups, { a: 'waiting', c: 'waiting' })).toEqual({ ...nothing, start: ['a', 'c'] });
    expect(ask(groups, { a: 'succeeded', c: 'running' })).toEqual(nothing);
    expect(ask(groups, { a: 'succeeded', c: 'succeeded' })).toEqual({ ...nothing, wait: ['b'] });
    expect(ask(groups, { a: 'succeeded', c: 'succeeded', b: 'succeeded' })).toEqual({ ...nothing, end: 'succeeded' });
  });

  it.each(['failed', 'timed_out'] as const)(
    'is nothing more after a step that %s, unless the rest is wanted',
    (end) => {
      expect(ask(groups, { a: end, c: 'running' })).toEqual(nothing);
      expect(ask(groups, { a: end, c: 'succeeded' })).toEqual({ ...nothing, skip: ['b'] });
      expect(ask(groups, { a: end, c: 'succeeded', b: 'skipped' })).toEqual({ ...nothing, end: 'failed' });
      const all = whatNext({ steps: groups, on_failure: 'continue' }, (id) => ({
        ...{ state: id === 'a' ? end : id === 'c' ? 'succeeded' : 'pending', ready: false },
      }));
      expect(all).toEqual({ ...nothing, wait: ['b'] });
    },
  );

  it('is a step when all that it depends on are ready, and not while one is not', () => {
    const steps = [step('db', 'g'), step('api', 'g'), step('load', 'g', ['db', 'api'])];

    expect(ask(steps, { db: 'ready', api: 'running', load: 'waiting' }).start).toEqual([]);
    expect(ask(steps, { db: 'ready', api: 'ready', load: 'waiting' }).start).toEqual(['load']);
    expect(ask(steps, { db: 'ready', api: 'succeeded', load: 'waiting' }).start).toEqual(['load']);
    expect(ask(steps, { db: 'ready', api: 'failed', load: 'waiting' })).toEqual({ ...nothing, skip: ['load'] });
  });

  it('is the end of what serves others, when they have ended', () => {
    const steps = [
      step('proxy', 'g', [], ['work', 'more']),
      step('work', 'g', ['proxy']),
      step('more', 'g', ['proxy']),
    ];

    expect(ask(steps, { proxy: 'ready', work: 'succeeded', more: 'running' }).stop).toEqual([]);
    expect(ask(steps, { proxy: 'ready', work: 'succeeded', more: 'failed' }).stop).toEqual(['proxy']);
  });
});

/** Steps in some groups, each depending on some of those before it in its group. */
const anyJob = fc
  .array(fc.record({ group: fc.nat(3), depends: fc.array(fc.nat(20), { maxLength: 3 }) }), {
    minLength: 1,
    maxLength: 12,
  })
  .map((drafts) =>
    drafts.map(({ group, depends }, index) => {
      const before = drafts.flatMap((other, at) => (at < index && other.group === group ? [`s${at}`] : []));
      const chosen = depends.flatMap((pick) => before[pick % Math.max(1, before.length)] ?? []);
      return step(`s${index}`, `g${group}`, [...new Set(chosen)]);
    }),
  );

it('every job comes to an end, with each step run once at most, and never before what it depends on', () => {
  const fates = fc.array(fc.constantFrom('succeeded', 'failed', 'timed_out'), { minLength: 12, maxLength: 12 });
  fc.assert(
    fc.property(anyJob, fates, fc.constantFrom('stop', 'continue'), (steps, ends, onFailure) => {
      const status = new Map<string, StepStatus>(steps.map(({ id }) => [id, { state: 'pending', ready: false }]));
      const of = (id: string) => status.get(id) as StepStatus;
      const go = (id: string, state: StepState, ready = false) =>
        status.set(id, { state: moveStep(of(id).state, state), ready });
      const started: string[] = [];
      let end: WhatNext['end'];
      for (let turn = 0; end === undefined; turn += 1) {
        expect(turn).toBeLessThan(200);
        const next = whatNext({ steps, on_failure: onFailure }, of);
        for (const id of next.wait) go(id, 'waiting');
        for (const id of next.skip) go(id, 'skipped');
        for (const id of next.start) {
          const { depends_on } = steps.find((each) => each.id === id) as (typeof steps)[number];
          expect(depends_on.every((other) => of(other).ready || of(other).state === 'succeeded')).toBe(true);
          started.push(id);
          go(id, 'running');
        }
        // One thing happens at a time: something becomes ready, or the first that is ready ends.
        const running = steps.map(({ id }) => id).filter((id) => of(id).state === 'running');
        const unready = running.find((id) => !of(id).ready);
        if (unready) status.set(unready, { state: 'running', ready: true });
        else if (running[0]) go(running[0], ends[Number(running[0].slice(1))] ?? 'succeeded');
        end = next.end;
      }
      expect(new Set(started).size).toBe(started.length);
      expect(steps.every(({ id }) => stepHasEnded(of(id).state))).toBe(true);
      expect(end).toBe(steps.every(({ id }) => of(id).state === 'succeeded') ? 'succeeded' : 'failed');
    }),
  );
});
