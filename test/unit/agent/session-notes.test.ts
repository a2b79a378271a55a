import { describe, expect, it } from 'vitest';
import { SessionStatus } from '../../../src/agent/local-api/agent-status.ts';
import { SessionNotes } from '../../../src/agent/session-notes.ts';
import { judge } from '../../../src/contract/validate.ts';
import { manualClock } from '../../support/manual-clock.ts';

const url = 'https://control.example.com';

describe('what is told of the session', () => {
  it('is that there is none where no control plane is known, and how to get one', () => {
    const status = new SessionNotes(null, 0, manualClock()).status(0);

    expect(status).toMatchObject({ state: 'unconfigured', url: null, epoch: 0, connects: 0 });
    expect(status.reason).toContain('node-agent enroll');
    expect(judge(SessionStatus, status).ok).toBe(true);
  });

  it('follows it, counts how often it stood, and keeps the last epoch', async () => {
    const clock = manualClock();
    const notes = new SessionNotes(url, 4, clock);
    const seen = [notes.status(0)];

    for (const state of [
      { kind: 'connecting', attempt: 1 },
      { kind: 'connected', epoch: 5 },
      { kind: 'waiting', delay_ms: 250, reason: 'The connection was lost.' },
      { kind: 'connecting', attempt: 1 },
      { kind: 'connected', epoch: 6 },
      { kind: 'closed' },
    ] as const) {
      await clock.advance(1000);
      notes.note(state);
      seen.push(notes.status(2));
    }

    expect(seen.map(({ state, epoch, connects }) => `${state} ${epoch} ${connects}`)).toEqual([
      ...['connecting 4 0', 'connecting 4 0', 'connected 5 1', 'waiting 5 1', 'connecting 5 1', 'connected 6 2'],
      'waiting 6 2',
    ]);
    const seconds = seen.map(({ since }) => (Date.parse(since) - Date.parse(seen[0]?.since ?? '')) / 1000);
    // As long as there is none, it is the same time: how long a person has been without.
    expect(seconds).toEqual([0, 0, 2, 3, 3, 5, 6]);
    expect(seen.every((status) => status.url === url && judge(SessionStatus, status).ok)).toBe(true);
  });

  it('has a reason exactly while there is no session', () => {
    const notes = new SessionNotes(url, 0, manualClock());

    notes.note({ kind: 'waiting', delay_ms: 250, reason: 'The connection was lost.' });
    const waiting = notes.status(0);
    notes.note({ kind: 'connecting', attempt: 2 });
    const again = notes.status(0);
    notes.note({ kind: 'connected', epoch: 1 });

    expect([waiting.reason, again.reason]).toEqual(['The connection was lost.', 'The connection was lost.']);
    expect(notes.status(0).reason).toBeNull();
  });

  it.each([
    ['revoked', 'refused'],
    ['quarantined', 'refused'],
    ['superseded', 'waiting'],
    ['unauthenticated', 'refused'],
  ] as const)('is, for a node that is %s, %s', (trouble, state) => {
    const notes = new SessionNotes(url, 3, manualClock());

    notes.note({ kind: 'waiting', delay_ms: 60_000, reason: 'It was turned away.', trouble });

    expect(notes.status(7)).toMatchObject({ state, epoch: 3, protocol_errors: 7 });
    // With what a person can do, where it is for one to do something.
    expect(notes.status(7).reason).toMatch(
      state === 'refused' ? /^It was turned away\. [A-Z]/ : /^It was turned away\.$/,
    );
  });
});
