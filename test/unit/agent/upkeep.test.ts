import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openHostJobs } from '../../../src/agent/host-jobs.ts';
import { keepUp, type UpkeepOptions } from '../../../src/agent/upkeep.ts';
import { createLog } from '../../../src/kit/log.ts';
import { inputsGround } from '../../support/inputs-ground.ts';
import { contentOf, loopbackSource, sendContent } from '../../support/loopback-source.ts';
import { manualClock } from '../../support/manual-clock.ts';
import { hostPolicy } from '../../support/task-bench.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

const minuteMs = 60_000;
const log = createLog({ level: 'silent' });

describe('what the agent does again and again', () => {
  it('is to look at the disk, to take away what is old of the journal, of the cache of inputs and of what is kept of projects, and to measure that', async () => {
    const { done, clock, stop } = upkeep();

    await clock.advance(60 * minuteMs);
    await stop();

    expect(done).toEqual({ look: 61, journal: 7, inputs: 2, kept: 2, measured: 13, groups: 61 });
  });

  it('goes on where it did not work once', async () => {
    const { done, clock, stop } = upkeep({ fails: true });

    await clock.advance(60 * minuteMs);
    await stop();

    expect(done).toEqual({ look: 61, journal: 7, inputs: 2, kept: 2, measured: 13, groups: 61 });
  });
});

describe('tidying up the cache of inputs', () => {
  it('takes away what nobody has used for too long, also of another life of the agent', async () => {
    const { dir, provide } = inputsGround();
    const server = await loopbackSource((request, response) => sendContent(request, response, contentOf('data')));
    await provide({ kind: 'http', url: `${server.origin}/a` });
    const objects = () => readdirSync(join(dir, 'cache/objects'));
    expect(objects()).toHaveLength(1);

    await hostInputs(dir, Date.parse('2026-11-25T12:30:00Z'))?.prune();
    expect(objects()).toHaveLength(1);
    await hostInputs(dir, Date.parse('2026-11-25T13:30:00Z'))?.prune();

    expect(objects()).toEqual([]);
  });

  it('makes nothing where nothing was ever fetched', async () => {
    const dir = temporaryFolder('inputs');

    await hostInputs(dir, 0)?.prune();

    expect(readdirSync(dir)).toEqual([]);
  });
});

function upkeep({ fails = false } = {}) {
  const clock = manualClock();
  const ending = new AbortController();
  const done = { look: 0, journal: 0, inputs: 0, kept: 0, measured: 0, groups: 0 };
  const count = (what: keyof typeof done) => {
    done[what] += 1;
    if (fails) throw new Error('the disk is gone');
  };
  const options: UpkeepOptions = {
    ...{ clock, log, signal: ending.signal, serverNow: () => clock.wallMs() },
    pressure: { look: async () => count('look') },
    journal: { prune: () => count('journal') },
    inputs: { prune: async () => count('inputs') },
    kept: { prune: async () => count('kept') },
    room: { measure: async () => count('measured') },
    endIdle: async () => count('groups'),
  };
  const ended = keepUp(options);
  const stop = async () => {
    ending.abort();
    await ended;
  };
  return { done, clock, stop };
}

/** As another process of the agent has them, at that time. */
function hostInputs(dir: string, now: number) {
  const policy = { ...hostPolicy, inputs: { ...hostPolicy.inputs, dir } };
  return openHostJobs({ fetching: { policy, log, clock: manualClock(now) } }).inputs;
}
