import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Drainer, DrainState } from '../../../src/agent/drain-state.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

const folder = temporaryFolder('drain');
const stateDir = () => {
  const path = join(folder, crypto.randomUUID());
  mkdirSync(path);
  return path;
};

describe('a drain', () => {
  it('is none on a new host', () => {
    expect(new DrainState(stateDir()).current).toBeNull();
  });

  it('outlives the agent, with the time it began', () => {
    const path = stateDir();
    const state = new DrainState(path);
    state.begin('host', 'a new driver', '2026-11-25T12:00:00Z');
    state.begin('host', 'and new memory', '2026-11-25T13:00:00Z');

    expect(new DrainState(path).current).toEqual({ since: '2026-11-25T12:00:00Z', reason: 'and new memory' });
  });

  it('that has ended leaves nothing behind', () => {
    const path = stateDir();
    const state = new DrainState(path);
    state.begin('host', 'a new driver', '2026-11-25T12:00:00Z');

    state.end('host');
    state.end('host');

    expect([state.current, readdirSync(path)]).toEqual([null, []]);
  });

  it.each<[Drainer, Drainer]>([
    ['host', 'control_plane'],
    ['control_plane', 'host'],
  ])('that the %s wants is not ended by the %s', (one, other) => {
    const path = stateDir();
    const state = new DrainState(path);
    state.begin(one, 'a new driver', '2026-11-25T12:00:00Z');
    state.begin(other, 'a look at it', '2026-11-25T13:00:00Z');
    const both = state.by;

    state.end(other);

    expect(both).toEqual(['host', 'control_plane']);
    for (const each of [state, new DrainState(path)]) {
      expect([each.by, each.current]).toEqual([[one], { since: '2026-11-25T12:00:00Z', reason: 'a new driver' }]);
    }
  });

  it.each(['', '{"since":', '{"since": 1}'])('holds where its file is damaged: %j', (text) => {
    const path = stateDir();
    writeFileSync(join(path, 'drain.json'), text);

    expect(new DrainState(path).current).toMatchObject({ reason: expect.stringContaining('cannot be read') });
  });
});
