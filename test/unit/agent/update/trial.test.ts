import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { standTrial } from '../../../../src/agent/update/trial.ts';
import { createLog } from '../../../../src/kit/log.ts';
import { hostOnTrial } from '../../../support/guarded-host.ts';
import { manualClock } from '../../../support/manual-clock.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';

const root = temporaryFolder('trial');
let count = 0;

function bench(version = '0.2.0') {
  count += 1;
  const host = hostOnTrial(join(root, String(count)));
  const clock = manualClock();
  const stop = new AbortController();
  const state = { well: false };
  const ended = standTrial({
    ...{ places: host.places, version, stableSeconds: 300, clock, signal: stop.signal },
    ...{ log: createLog({ level: 'silent' }), isWell: () => state.well },
  });
  const said = (name: string) => {
    const file = join(host.places.staged, name);
    return existsSync(file) ? readFileSync(file, 'utf8') : undefined;
  };
  return { host, clock, state, said, ended, stop };
}

it('a version that is not well says nothing, however long', async () => {
  const { clock, said, stop, ended } = bench();

  await clock.advance(1_000_000);

  expect([said('alive'), said('stable')]).toEqual([undefined, undefined]);
  stop.abort();
  await ended;
});

it('says that it lives once it is well, and that it is stable after its time, for this swap', async () => {
  const { clock, said, state, host, ended } = bench();
  await clock.advance(5000);
  state.well = true;
  await clock.advance(500);
  expect([said('alive'), said('stable')]).toEqual(['0.2.0 n1\n', undefined]);

  await clock.advance(299_000);
  expect(said('stable')).toBeUndefined();
  await clock.advance(1500);

  expect(said('stable')).toBe('0.2.0 n1\n');
  expect(host.guard(['settle']).said).toContain('0.2.0 has proven itself');
  await clock.advance(500);
  await ended;
});

it('is not stable at a moment in which it is not well', async () => {
  const { clock, said, state, stop, ended } = bench();
  state.well = true;
  await clock.advance(1000);
  state.well = false;

  await clock.advance(400_000);
  expect(said('stable')).toBeUndefined();
  state.well = true;
  await clock.advance(500);

  expect(said('stable')).toBe('0.2.0 n1\n');
  stop.abort();
  await ended;
});

it('somebody who sets the clock of the host makes nothing stable', async () => {
  const { clock, said, state, stop, ended } = bench();
  state.well = true;
  await clock.advance(1000);

  clock.setWall(clock.wallMs() + 24 * 3600 * 1000);
  await clock.advance(1000);

  expect(said('stable')).toBeUndefined();
  stop.abort();
  await ended;
});

it('ends at once for a version that is not on trial', async () => {
  const { ended, said } = bench('0.1.0');

  await ended;

  expect(said('alive')).toBeUndefined();
});

it('goes on where its folder cannot be written for a while', async () => {
  const { clock, said, state, host, stop, ended } = bench();
  rmSync(host.places.staged, { recursive: true });
  writeFileSync(host.places.staged, 'a file in the place of the folder');
  state.well = true;
  await clock.advance(2000);

  rmSync(host.places.staged);
  await clock.advance(1000);

  expect(said('alive')).toBe('0.2.0 n1\n');
  stop.abort();
  await ended;
});
