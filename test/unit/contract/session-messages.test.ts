import { describe, expect, it } from 'vitest';
import { latestOnly, type RecordBody, recordBodies, recordKinds, thinnable } from '../../../src/contract/records.ts';
import { FromAgent, FromControlPlane } from '../../../src/contract/session-messages.ts';
import { judge } from '../../../src/contract/validate.ts';

const digits = (length: number) => 'A'.repeat(length);

describe('a message of the session', () => {
  it.each([
    [
      FromControlPlane,
      { type: 'challenge', nonce: digits(43), audience: 'https://cp', server_time: '2026-11-25T10:00:00Z' },
    ],
    [FromControlPlane, { type: 'task', lease_id: 'lease-1', jws: 'a.b.c' }],
    [FromControlPlane, { type: 'ack', journal_id: 'journal-1', seq: 4 }],
    [FromAgent, { type: 'pull', credits: 4, received: 0 }],
    [FromAgent, { type: 'task_accepted', lease_id: 'lease-1', task_id: 'task-1' }],
    [FromAgent, { type: 'heartbeat' }],
  ])('is accepted as it is meant: %#', (schema, message) => {
    expect(judge(schema, message)).toEqual({ ok: true, value: message });
  });

  it('of an unknown type is refused at its type', () => {
    expect(judge(FromAgent, { type: 'shell', command: 'id' })).toMatchObject({
      ok: false,
      errors: [{ path: '/type' }],
    });
  });

  it('of the other side is refused', () => {
    expect(judge(FromAgent, { type: 'task', lease_id: 'l', jws: 'a.b.c' }).ok).toBe(false);
  });

  it('with a key that is not declared is refused at that key (FAULTS 8)', () => {
    expect(judge(FromAgent, { type: 'pull', credits: 1, received: 0, force: true })).toMatchObject({
      ok: false,
      errors: [{ path: '/force', code: 'unknown_key' }],
    });
  });

  it('has a cursor that stays on its line, wherever it is written', () => {
    const block = [{ time: '2026-11-25T10:00:00Z', channel: 'stdout', text: '', encoding: 'utf8', partial: false }];
    const cursor = 'c1\nevent: end\ndata: {}\n';

    expect(judge(FromAgent, { type: 'logs_chunk', stream: 's1', cursor, block })).toMatchObject({
      ok: false,
      errors: [{ path: '/cursor' }],
    });
  });

  it.each([-1, 1.5, 1025, '4'])('never carries %s credits', (credits) => {
    expect(judge(FromAgent, { type: 'pull', credits, received: 0 })).toMatchObject({
      ok: false,
      errors: [{ path: '/credits' }],
    });
  });
});

describe('a record', () => {
  it.each(recordKinds)('of kind %s has a body that refuses what nobody declared', (kind) => {
    expect(judge(recordBodies[kind], { secret: 'x' })).toMatchObject({ ok: false });
    const judged = judge(recordBodies[kind], { secret: 'x' });
    expect(judged.ok || judged.errors.map(({ path, code }) => `${path} ${code}`)).toContain('/secret unknown_key');
  });
});

describe('thinning', () => {
  it('never touches results and events', () => {
    expect([...thinnable, ...latestOnly].filter((kind) => kind === 'task.result' || kind === 'event')).toEqual([]);
  });

  it('knows what kind it leaves alone by the type of its body, too', () => {
    const body: RecordBody<'topology'> = { at: '2026-11-25T10:00:00Z', workloads: [] };

    expect(judge(recordBodies.topology, body).ok && latestOnly.has('topology')).toBe(true);
  });
});
