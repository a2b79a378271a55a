import { describe, expect, it } from 'vitest';
import {
  actorWords,
  type InstanceEvent,
  kindOf,
  matches,
  shownEvents,
  tasksOf,
  withEvents,
} from '../../../../src/console/pages/instance/instance-events.ts';
import { progressOf } from '../../../../src/console/pages/instance/steps.ts';
import { anEvent } from '../../../support/store-samples.ts';

let seq = 0;
/** `second` of the minute at which it happened. */
function event(type: string, second: number, data: Record<string, unknown> = {}, message = type): InstanceEvent {
  seq += 1;
  const time = new Date(Date.parse('2026-11-25T12:00:00Z') + second * 1000).toISOString();
  return { ...anEvent({ type: `apps.instance.${type}`, time, data, message, actor: 'node:n1' }), seq };
}

function state(to: string, second: number): InstanceEvent {
  return event(to, second, { from: 'requested', to });
}

function phase(to: string, second: number, task_id = 't1'): InstanceEvent {
  return event('phase', second, { type: 'phase.entered', phase: to, to, from: null, task_id });
}

const plain = { config: {} };
const now = Date.parse('2026-11-25T12:01:00Z');
const launch = [event('requested', 0), state('deploying', 1), phase('pulling', 2), phase('creating', 12)];

describe('the steps of a launch', () => {
  it('say what is done, with the time each took, what goes on and what is ahead', () => {
    const progress = progressOf([...launch, phase('starting', 13)], plain, now);

    expect(progress).toMatchObject({ purpose: 'launch', isOver: false, seconds: 60 });
    expect(progress?.steps.map(({ name, is, seconds }) => [name, is, seconds])).toEqual([
      ...[
        ['asked', 'done', 1],
        ['waiting', 'done', 1],
        ['pulling', 'done', 10],
        ['creating', 'done', 1],
      ],
      ...[
        ['starting', 'current', null],
        ['probing', 'ahead', null],
        ['running', 'ahead', null],
      ],
    ]);
  });

  it('name the packages ahead only where some were chosen', () => {
    const names = (config: Record<string, unknown>) =>
      progressOf(launch, { config }, now)?.steps.map(({ name }) => name);

    expect(names({ python_packages: 'numpy' })).toContain('installing_packages');
    expect(names({ python_packages: '' })).not.toContain('installing_packages');
  });

  it('end where it runs, and what comes later is not its', () => {
    const later = [phase('probing', 15), phase('running', 20), state('running', 20), state('degraded', 50)];

    const progress = progressOf([...launch, ...later], plain, now);

    expect(progress).toMatchObject({ isOver: true, seconds: 20 });
    expect(progress?.steps.at(-2)).toMatchObject({ name: 'probing', is: 'done', seconds: 5 });
    expect(progress?.steps.at(-1)).toMatchObject({ name: 'running', is: 'done' });
  });

  it('say at which it failed', () => {
    const progress = progressOf([...launch, state('failed', 30)], plain, now);

    expect(progress?.steps.at(-1)).toMatchObject({ name: 'creating', is: 'failed', seconds: 18 });
  });

  it('are those of the newest thing that was asked for', () => {
    const stopped = [
      ...launch,
      state('running', 20),
      state('stopping', 40),
      phase('stopping', 41, 't2'),
      phase('stopped', 43, 't2'),
    ];

    expect(progressOf([...stopped, state('stopped', 44)], plain, now)).toMatchObject({
      ...{ purpose: 'stop', isOver: true, seconds: 4 },
      steps: [{ name: 'asked' }, { name: 'stopping', seconds: 3 }, { name: 'stopped' }],
    });
  });

  it('are unknown where the beginning is, and never take less than no time', () => {
    expect(progressOf([phase('pulling', 2)], plain, now)).toBeUndefined();
    expect(
      progressOf([event('requested', 10), phase('pulling', 5), phase('creating', 3)], plain, now)?.steps.slice(0, 2),
    ).toMatchObject([{ seconds: 0 }, { seconds: 0 }]);
  });
});

describe('the events of an instance', () => {
  it('are of kinds, and a type that a later version has is a report', () => {
    expect(
      [...launch.slice(0, 3), event('packages', 3), event('progress', 4), event('something_new', 5)].map(kindOf),
    ).toEqual(['state', 'state', 'phase', 'packages', 'progress', 'report']);
  });

  it('show of a long pull the last word, and how many came before', () => {
    const pull = (second: number, task_id = 't1') =>
      event('progress', second, { type: 'image.progress', task_id }, `${second}`);

    const shown = shownEvents([pull(1), pull(2), pull(3), phase('creating', 4), pull(5), pull(6, 't2')]);

    expect(shown.map(({ event: { message }, repeats }) => [message, repeats])).toEqual([
      ['3', 2],
      ['phase', 0],
      ['5', 0],
      ['6', 0],
    ]);
  });

  it('are found by kind and by word', () => {
    const [asked] = shownEvents([event('requested', 0, {}, 'My page was asked for.')]);
    if (!asked) throw new Error('no event');

    expect(matches(asked, { kind: null, text: ' PAGE ' })).toBe(true);
    expect(matches(asked, { kind: 'state', text: 'requested' })).toBe(true);
    expect(matches(asked, { kind: 'phase', text: '' })).toBe(false);
    expect(matches(asked, { kind: null, text: 'nothing of it' })).toBe(false);
  });

  it('are kept once, however often a stream repeats them, and the newest only', () => {
    const [one, two, three] = launch as [InstanceEvent, InstanceEvent, InstanceEvent];
    const known = withEvents([], [one, two]);

    expect(withEvents(known, [one, two])).toBe(known);
    expect(withEvents(known, [two, three], 2)).toEqual([two, three]);
  });

  it('name the tasks of the instance by what it was about, newest first', () => {
    const events = [...launch, state('running', 20), state('stopping', 40), phase('stopping', 41, 't2')];

    expect(tasksOf(events, 't2').map(({ id, label }) => [id, label.split(' ')[0]])).toEqual([
      ['t2', 'Stop'],
      ['t1', 'Launch'],
    ]);
    expect(tasksOf([...events, state('starting', 50)], 't3')[0]).toMatchObject({
      id: 't3',
      label: expect.stringMatching(/^Start of /),
    });
    expect(tasksOf([], null)).toEqual([]);
  });

  it('say who did it, and no name can steer the page', () => {
    expect(['node:n1', 'system', 'token:abc', 'x\u202ey'].map(actorWords)).toEqual([
      ...['the node', 'the control plane', 'token abc', 'x\\u202ey'],
    ]);
  });
});
