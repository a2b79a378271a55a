import { beforeEach, describe, expect, it } from 'vitest';
import type { FromControlPlane, LogsChunk, StreamedEntry } from '../../../../src/contract/session-messages.ts';
import { type LogPart, LogRelay, type LogRequest, type LogSession } from '../../../../src/server/hub/log-relay.ts';
import { until } from '../../../support/hub-ground.ts';
import { type ManualClock, manualClock } from '../../../support/manual-clock.ts';

const request: LogRequest = { source: { kind: 'instance', id: 'app-1' }, cursor: null, tail: 100, follow: true };
const windowBytes = 1000;

let clock: ManualClock;
let relay: LogRelay;

beforeEach(() => {
  clock = manualClock();
  relay = new LogRelay({ clock, windowBytes, patienceSeconds: 60 });
});

interface RecordedSession extends LogSession {
  readonly sent: FromControlPlane[];
  readonly faults: string[];
}

function sessionOf(nodeId = 'node-1'): RecordedSession {
  const sent: FromControlPlane[] = [];
  const faults: string[] = [];
  return {
    ...{ nodeId, sent, faults },
    connection: { send: (message) => sent.push(message), fault: (reason) => faults.push(reason) },
  };
}

function streamOf({ sent }: RecordedSession): string {
  const opened = sent.findLast(({ type }) => type === 'logs_open');
  return opened?.type === 'logs_open' ? opened.stream : '';
}

function chunk(stream: string, cursor: string, ...texts: readonly string[]): LogsChunk {
  const entry = (text: string): StreamedEntry => ({
    ...{ time: '2026-11-25T10:00:00Z', channel: 'stdout', text, encoding: 'utf8', partial: false },
  });
  return { type: 'logs_chunk', stream, cursor, block: texts.map(entry) };
}

/** A reader that takes parts only when a test asks for them. */
function reader(given: Partial<LogRequest> = {}, nodeId = 'node-1') {
  const gone = new AbortController();
  const parts = relay.read(nodeId, { ...request, ...given }, gone.signal);
  return {
    gone,
    next: async (): Promise<LogPart | undefined> => (await parts.next()).value ?? undefined,
  };
}

const texts = (part: LogPart | undefined) => (part?.kind === 'entries' ? part.entries.map(({ text }) => text) : part);

describe('a log', () => {
  it('is asked for as it was wanted, and comes in order to its end', async () => {
    const session = sessionOf();
    relay.attach(session);
    const log = reader({ follow: false });
    const first = log.next();
    const stream = streamOf(session);

    relay.receive(session, chunk(stream, 'c1', 'one', 'two'));
    relay.receive(session, { type: 'logs_gap', stream, dropped: 3 });
    relay.receive(session, { type: 'logs_end', stream, failure: null });

    expect(session.sent).toEqual([
      { type: 'logs_open', stream, source: request.source, cursor: null, tail: 100, follow: false, bytes: windowBytes },
    ]);
    expect(texts(await first)).toEqual(['one', 'two']);
    expect(await log.next()).toEqual({ kind: 'gap', dropped: 3 });
    expect(await log.next()).toEqual({ kind: 'end', failure: null });
    expect(await log.next()).toBeUndefined();
  });

  it('makes room for more only as its reader takes it (FAULTS 4)', async () => {
    const session = sessionOf();
    relay.attach(session);
    const log = reader();
    const first = log.next();
    const stream = streamOf(session);
    const credits = () => session.sent.filter(({ type }) => type === 'logs_credit');

    relay.receive(session, chunk(stream, 'c1', 'x'.repeat(400)));
    relay.receive(session, chunk(stream, 'c2', 'x'.repeat(400)));
    await first;
    expect(credits()).toEqual([]);

    await log.next();
    expect(credits()).toEqual([{ type: 'logs_credit', stream, bytes: 464 }]);
  });

  it('of nothing but gaps is one gap for a reader that was slow', async () => {
    const session = sessionOf();
    relay.attach(session);
    const log = reader();
    const first = log.next();
    const stream = streamOf(session);

    relay.receive(session, chunk(stream, 'c1', 'one'));
    for (let count = 0; count < 1000; count += 1) relay.receive(session, { type: 'logs_gap', stream, dropped: 2 });
    relay.receive(session, { type: 'logs_end', stream, failure: null });

    await first;
    expect(await log.next()).toEqual({ kind: 'gap', dropped: 2000 });
    expect(await log.next()).toEqual({ kind: 'end', failure: null });
  });

  it('that comes without credit ends, and its node has made a mistake', async () => {
    const session = sessionOf();
    relay.attach(session);
    const log = reader();
    const first = log.next();
    const stream = streamOf(session);

    for (const cursor of ['c1', 'c2', 'c3', 'c4']) relay.receive(session, chunk(stream, cursor, 'x'.repeat(800)));

    await first;
    await log.next();
    expect(await log.next()).toMatchObject({ kind: 'end', failure: { code: 'internal' } });
    expect(session.faults).toHaveLength(1);
    expect(session.sent.at(-1)).toEqual({ type: 'logs_close', stream });
  });

  it('goes on behind the last entry when its node is back, under another name (FAULTS 2)', async () => {
    const before = sessionOf();
    relay.attach(before);
    const log = reader();
    const first = log.next();
    const old = streamOf(before);
    relay.receive(before, chunk(old, 'c1', 'one'));
    await first;
    const second = log.next();
    relay.detach(before);

    const after = sessionOf();
    relay.attach(after);
    relay.receive(after, chunk(old, 'c9', 'left over from before'));
    relay.receive(after, chunk(streamOf(after), 'c2', 'two'));

    expect(after.sent).toMatchObject([{ type: 'logs_open', cursor: 'c1', tail: null }]);
    expect(streamOf(after)).not.toBe(old);
    expect(texts(await second)).toEqual(['two']);
  });

  it('asks for no more than there is room for when it goes on', async () => {
    const before = sessionOf();
    relay.attach(before);
    const log = reader();
    const first = log.next();
    relay.receive(before, chunk(streamOf(before), 'c1', 'x'.repeat(100)));
    await first;
    relay.receive(before, chunk(streamOf(before), 'c2', 'x'.repeat(700)));
    relay.detach(before);

    const after = sessionOf();
    relay.attach(after);

    // What the reader holds in its hands counts until it asks for the next.
    expect(after.sent).toMatchObject([{ type: 'logs_open', cursor: 'c2', bytes: 72 }]);
  });

  it('of a node that does not come back ends with the reason, after some patience', async () => {
    const session = sessionOf();
    relay.attach(session);
    const part = reader().next();
    relay.detach(session);

    await clock.advance(60_000);

    expect(await part).toMatchObject({ kind: 'end', failure: { code: 'node.away' } });
  });

  it('may be asked for before its node is there', async () => {
    const part = reader().next();
    await clock.advance(30_000);
    const session = sessionOf();

    relay.attach(session);
    relay.receive(session, chunk(streamOf(session), 'c1', 'one'));

    expect(texts(await part)).toEqual(['one']);
    await clock.advance(60_000);
  });

  it('that nobody reads any more is closed at its node, and what is late is passed over', async () => {
    const session = sessionOf();
    relay.attach(session);
    const log = reader();
    const part = log.next();
    const stream = streamOf(session);

    log.gone.abort();

    expect(await part).toBeUndefined();
    await until(() => session.sent.some(({ type }) => type === 'logs_close'));
    relay.receive(session, chunk(stream, 'c1', 'late'));
    expect(session.faults).toEqual([]);
  });

  it('comes from its own node alone', async () => {
    const [session, other] = [sessionOf(), sessionOf('node-2')];
    relay.attach(session);
    relay.attach(other);
    const part = reader().next();
    const stream = streamOf(session);

    relay.receive(other, chunk(stream, 'c1', 'forged'));
    relay.receive(session, chunk(stream, 'c1', 'real'));

    expect(texts(await part)).toEqual(['real']);
  });
});
