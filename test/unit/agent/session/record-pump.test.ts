import { afterEach, describe, expect, it, vi } from 'vitest';
import { eventually } from '../../../support/eventually.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';
import { exitEvent, progress } from '../journal/samples.ts';
import { type BenchOptions, type SessionBench, sessionBench } from './session-bench.ts';

const folder = temporaryFolder('records');
let bench: SessionBench;
afterEach(() => bench.close());

async function open(options: Partial<BenchOptions> = {}): Promise<SessionBench> {
  bench = await sessionBench({ folder, ...options });
  return bench;
}

describe('records', () => {
  it('wait in the journal without a session, and are sent in order until they are acknowledged (FAULTS 1)', async () => {
    const { welcome: welcomeAt, journal } = await open();
    const welcome = () => welcomeAt({ server_time: new Date().toISOString() });
    journal.append('event', exitEvent('instance-1', 'one'));
    const first = await welcome();
    journal.append('event', exitEvent('instance-1', 'two'));
    const one = await first.next('record');
    const two = await first.next('record');
    first.say({ type: 'ack', journal_id: journal.id, seq: 1 });
    await eventually(() => expect(journal.depth().records).toBe(1));
    first.socket.terminate();

    const second = await welcome();
    const again = await second.next('record');
    second.say({ type: 'ack', journal_id: journal.id, seq: 2 });
    await eventually(() => expect(journal.depth().records).toBe(0));

    expect(one).toMatchObject({ journal_id: journal.id, seq: 1, kind: 'event', body: { event: { message: 'one' } } });
    expect(two.seq).toBe(2);
    expect(again).toEqual(two);
    expect(second.heard).not.toContainEqual(expect.objectContaining({ type: 'record' }));
  });

  it('have the time of the control plane where the clock of the host is wrong (FAULTS 20)', async () => {
    const { welcome, journal } = await open();
    journal.append('event', exitEvent('instance-1', 'one'));

    const peer = await welcome({ server_time: '2020-01-01T12:00:00.000Z' });

    expect((await peer.next('record')).at).toMatch(/^2020-01-01T/);
  });

  it('that the control plane has already are not sent', async () => {
    const { welcome, journal } = await open();
    journal.append('event', exitEvent(null));
    journal.append('event', exitEvent(null));
    journal.waiting(0, 2);

    const peer = await welcome({ acked: { journal_id: journal.id, seq: 1 } });

    expect((await peer.next('record')).seq).toBe(2);
    expect(journal.depth().records).toBe(1);
  });

  it('are held back where nothing is acknowledged (FAULTS 4)', async () => {
    const { welcome, journal } = await open();
    const peer = await welcome();
    for (let number = 1; number <= 300; number += 1) {
      journal.append('task.progress', progress(`step ${number}`));
    }

    for (let number = 1; number <= 256; number += 1) {
      expect((await peer.next('record')).seq).toBe(number);
    }
    expect(peer.heard).not.toContainEqual(expect.objectContaining({ type: 'record' }));
    peer.say({ type: 'ack', journal_id: journal.id, seq: 256 });
    for (let number = 257; number <= 300; number += 1) {
      expect((await peer.next('record')).seq).toBe(number);
    }
  });

  it('count as kept by no ack for another journal or for what was never sent', async () => {
    const { welcome, journal, session } = await open();
    const peer = await welcome();
    journal.append('event', exitEvent(null));
    await peer.next('record');

    peer.say({ type: 'ack', journal_id: 'another', seq: 1 });
    peer.say({ type: 'ack', journal_id: journal.id, seq: 2 });
    await eventually(() => expect(session.counts.protocolErrors).toBe(2));

    expect(journal.depth().records).toBe(1);
  });

  it('whose acknowledgement cannot be written down are sent again, and nothing else comes of it', async () => {
    const { welcome, journal, session } = await open();
    const peer = await welcome();
    journal.append('event', exitEvent(null));
    await peer.next('record');
    const acknowledge = vi.spyOn(journal, 'acknowledge').mockImplementation(() => {
      throw new Error('database or disk is full');
    });

    peer.say({ type: 'ack', journal_id: journal.id, seq: 1 });
    const next = await welcome();
    acknowledge.mockRestore();

    expect((await next.next('record')).seq).toBe(1);
    await eventually(() => expect(session.state.kind).toBe('connected'));
    expect(bench.said.log.join('')).toContain('database or disk is full');
  });
});
