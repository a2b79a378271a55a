import { describe, expect, it } from 'vitest';
import { eventStream } from '../../../../src/server/http/event-stream.ts';
import { createMetrics } from '../../../../src/server/http/metrics.ts';
import { systemRoutes } from '../../../../src/server/resources/system.ts';
import { anEvent } from '../../../support/store-samples.ts';
import { testServer } from '../../../support/test-server.ts';

const server = await testServer();
const { store } = server;
const append = (message: string, project_id = 'p1', subject = 'i1') =>
  store.write((tx) =>
    tx.events.append(
      anEvent({ project_id, message, type: 'apps.instance.running', subject: { kind: 'app_instance', id: subject } }),
    ),
  );

/** Reads a stream until so many messages came; gives the stream up then. */
async function follow(
  as: string,
  query: string,
  count: number,
  headers: Record<string, string> = {},
  onOpen?: () => unknown,
) {
  const gone = new AbortController();
  const response = await fetch(`${server.url}/api/v1/events${query}`, {
    headers: { authorization: `Bearer ${server.tokens[as]}`, ...headers },
    signal: gone.signal,
  });
  expect(response.headers.get('content-type')).toContain('text/event-stream');
  let text = '';
  const messages = () => text.split('\n\n').filter((part) => part.startsWith('id: '));
  for await (const piece of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
    if (text === '') {
      await onOpen?.();
    }
    text += piece;
    if (messages().length >= count) {
      break;
    }
  }
  gone.abort();
  const wanted = messages().slice(0, count);
  return wanted.map((message) => {
    const [, id, type, data] = /^id: (\d+)\nevent: (\S+)\ndata: (.*)$/.exec(message) ?? [];
    return { id, type, data: JSON.parse(data ?? 'null') as { message?: string; seq?: number; to?: number } };
  });
}

describe('/api/v1/events', () => {
  it('goes on behind the last event that was seen: nothing is missed, nothing comes twice', async () => {
    const all = [await append('one'), await append('two'), await append('three')];

    const first = await follow('member', '?after=0', 2);
    const rest = await follow('member', '', 2, { 'last-event-id': String(first.at(-1)?.id) }, () => append('four'));

    expect([...first, ...rest].map(({ data }) => data.message)).toEqual(['one', 'two', 'three', 'four']);
    expect(first[0]).toMatchObject({ id: String(all[0]?.seq), type: 'apps.instance.running', data: all[0] });
  });

  it('ends with the token that it was asked for with', async () => {
    const { body } = await server.call('POST', '/api/v1/tokens', {
      body: { name: 'short', role: 'viewer', project_id: 'p1' },
    });
    const response = await fetch(`${server.url}/api/v1/events`, { headers: { authorization: `Bearer ${body.token}` } });
    const ended = response.text();

    await server.call('DELETE', `/api/v1/tokens/${body.id}`);

    expect(await ended).toContain(': connected');
  });

  it('keeps its connection alive while all that happens is about others', async () => {
    const gone = new AbortController();
    const { body } = eventStream({ store, signal: gone.signal, after: undefined, only: {}, keepAliveMs: 40 });
    const quiet = eventStream({
      ...{ store, signal: gone.signal, after: undefined, only: { subject_id: 'nobody' }, keepAliveMs: 40 },
    });
    body.on('data', () => void append('of another').catch(() => undefined));
    await append('of another');

    let said = '';
    for await (const piece of quiet.body) {
      said += piece;
      if (said.includes(': still here')) break;
    }
    gone.abort();
    body.destroy();

    expect(said).toContain(': still here');
  });

  it('begins with what happens from now on if nothing was seen', async () => {
    await append('before');

    const [seen] = await follow('member', '', 1, {}, () => append('after'));

    expect(seen?.data.message).toBe('after');
  });

  it('shows a project its own events only, and the platform all', async () => {
    const { seq } = await append('mine', 'p1');
    await append('theirs', 'p2');
    await append('mine too', 'p1');

    const member = await follow('member', `?after=${seq - 1}`, 2);
    const operator = await follow('operator', `?after=${seq - 1}`, 3);
    const narrowed = await follow('operator', `?after=${seq - 1}&project_id=p2`, 1);

    expect(member.map(({ data }) => data.message)).toEqual(['mine', 'mine too']);
    expect(operator.map(({ data }) => data.message)).toEqual(['mine', 'theirs', 'mine too']);
    expect(narrowed.map(({ data }) => data.message)).toEqual(['theirs']);
    expect((await server.call('GET', '/api/v1/events?project_id=p2', { as: 'member' })).status).toBe(404);
  });

  it('can be narrowed to one thing', async () => {
    const { seq } = await append('this', 'p1', 'i7');
    await append('that', 'p1', 'i8');

    const [seen] = await follow('member', `?after=${seq - 1}&subject_id=i8`, 1);

    expect(seen?.data.message).toBe('that');
  });

  it('says so where events were forgotten since', async () => {
    const { seq } = await append('forgotten');
    await store.write((tx) => tx.events.forgetBefore('2027-01-01T00:00:00.000Z', 1000));
    const next = await append('kept');

    const seen = await follow('member', `?after=${seq - 1}`, 2);

    expect(seen.map(({ type }) => type)).toEqual(['gap', 'apps.instance.running']);
    expect(seen[0]?.data.to).toBe(next.seq - 1);
  });

  it('begins anew where more was seen than there is, as after a backup was put back, and goes on from there', async () => {
    const { seq } = await append('known');
    const seen = { 'last-event-id': String(seq + 100) };

    const [reset, ...again] = await follow('admin', '?subject_id=i9', 2, seen, () => append('new', 'p1', 'i9'));
    const behind = await follow('admin', '?subject_id=i9', 1, { 'last-event-id': String(reset?.id) });

    expect(reset).toMatchObject({ type: 'reset', data: { seen: seq + 100, last: seq } });
    expect(again.map(({ data }) => data.message)).toEqual(['new']);
    expect(behind).toEqual(again);
  });

  it('begins anew with everything that is kept', async () => {
    const { seq } = await append('the first that is kept, or another');
    const { first } = await store.read((tx) => tx.events.range());

    const [, next] = await follow('admin', `?after=${seq + 1}`, 2);

    expect(next?.data.seq).toBe(first);
  });

  it('ends the eldest stream of who has most where another finds no place', async () => {
    const events = systemRoutes(server.context, createMetrics()).find(({ path }) => path === '/api/v1/events');
    const { signal } = new AbortController();
    const open = async (projectId: string) => {
      const who = { tokenId: 't', projectId, role: 'member' };
      const asked = { who, query: {}, headers: {}, params: {}, signal } as unknown as Parameters<
        NonNullable<NonNullable<typeof events>['stream']>
      >[0];
      const streamed = await events?.stream?.(asked);
      if (!streamed) throw new Error('no stream');
      return streamed.body;
    };
    const [eldest] = await Promise.all(Array.from({ length: 500 }, (_, number) => open(`p${number % 5}`)));

    await open('another');

    // Reads to its end.
    expect((await eldest?.toArray())?.join('')).toContain(': connected');
  });

  it('refuses a cursor that is none', async () => {
    const { body } = await server.call('GET', '/api/v1/events', { headers: { 'last-event-id': 'abc' } });

    expect(body.error.errors).toMatchObject([{ code: 'last_event_id' }]);
  });
});
