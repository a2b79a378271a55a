import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { VitalSigns } from '../../../src/agent/vital-signs.ts';
import type { Words } from '../../../src/host/systemd/service-manager.ts';
import { createLog } from '../../../src/kit/log.ts';
import { eventually } from '../../support/eventually.ts';
import { type ManualClock, manualClock } from '../../support/manual-clock.ts';

let clock: ManualClock;
let ending: AbortController;
beforeEach(() => {
  clock = manualClock();
  ending = new AbortController();
});
afterEach(() => ending.abort());

function watched(signs: Record<string, () => void | Promise<void>>, watchdogMs: number | undefined = 90) {
  const told: Words[] = [];
  const said = { status: 'All is well.' };
  const vital = new VitalSigns({
    ...{ clock, log: createLog({ level: 'silent' }), signs, status: () => said.status },
    manager: { listens: true, watchdogMs, tell: async (words) => void told.push(words) },
  });
  return { vital, told, said };
}

describe('an agent that is watched', () => {
  it('says that it gets on, three times within the limit', async () => {
    const { vital, told } = watched({ journal: () => undefined, socket: async () => undefined });
    await vital.ready();
    void vital.run(ending.signal);

    await eventually(() => expect(clock.waiting()).toEqual([30]));
    await clock.advance(30);
    await eventually(() => expect(told.filter(({ WATCHDOG }) => WATCHDOG === '1')).toHaveLength(2));

    expect(told[0]).toEqual({ READY: '1', STATUS: 'All is well.' });
    expect(told.filter(({ STATUS }) => STATUS !== undefined)).toHaveLength(1);
  });

  it.each([
    ['throws', () => Promise.reject(new Error('no'))],
    ['does not come back', () => new Promise<void>(() => undefined)],
  ])('does not say so while one of its parts %s, and says which', async (_, socket) => {
    const { vital, told } = watched({ journal: () => undefined, socket });
    void vital.run(ending.signal);

    await eventually(() => expect(told).toEqual([{ STATUS: 'Stands still: socket.' }]));
  });

  it('tells how it is when that changes, once for many changes', async () => {
    const { vital, told, said } = watched({});
    said.status = 'The engine is away.';

    vital.changed(ending.signal);
    vital.changed(ending.signal);
    await clock.advance(1000);

    await eventually(() => expect(told).toEqual([{ STATUS: 'The engine is away.' }]));
  });
});
