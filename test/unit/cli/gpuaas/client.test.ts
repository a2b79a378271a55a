import { createServer, type IncomingMessage, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { inspect } from 'node:util';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { type ClientOptions, ControlPlaneClient } from '../../../../src/cli/gpuaas/client.ts';
import { followEvents } from '../../../../src/cli/gpuaas/event-lines.ts';

const closers: (() => void)[] = [];
afterEach(() => {
  vi.restoreAllMocks();
  for (const close of closers.splice(0)) close();
});

/** A server on a free port that answers as told and remembers what it was asked. */
async function serve(answer: RequestListener, more: Pick<ClientOptions, 'pause'> = {}) {
  const asked: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    asked.push(request);
    answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closers.push(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}`;
  return { url, client: new ControlPlaneClient({ url, token: 'secret', ...more }), asked };
}

describe('a change', () => {
  it('whose answer is lost is sent again under the same Idempotency-Key, so it is made once (X-9)', async () => {
    let times = 0;
    const { client, asked } = await serve((request, response) => {
      times += 1;
      if (times === 1) request.socket.destroy();
      else response.end('{"id":"i-1"}');
    });

    expect(await client.change('POST', '/api/v1/app-instances', {})).toEqual({ id: 'i-1' });

    const keys = asked.map(({ headers }) => headers['idempotency-key']);
    expect(keys).toHaveLength(2);
    expect(keys[0]).toMatch(/^[0-9a-f-]{36}$/);
    expect(keys[1]).toBe(keys[0]);
  });

  it('that came too soon is sent again when the control plane says so', async () => {
    const error = { code: 'request.rate_limited', message: 'Too often.', hint: '', correlation_id: 'c-1', errors: [] };
    let times = 0;
    const waits: number[] = [];
    const answer: RequestListener = (_request, response) => {
      times += 1;
      if (times === 1) response.writeHead(429, { 'retry-after': '7' }).end(JSON.stringify({ error }));
      else response.end('{"id":"i-1"}');
    };
    const { client, asked } = await serve(answer, { pause: async (ms) => void waits.push(ms) });

    expect(await client.change('POST', '/api/v1/app-instances', {})).toEqual({ id: 'i-1' });

    expect(new Set(asked.map(({ headers }) => headers['idempotency-key'])).size).toBe(1);
    expect([asked.length, waits]).toEqual([2, [7000]]);
  });

  it('that is refused is not sent again, and fails with what the control plane says', async () => {
    const errors = [{ code: 'launch.digest_invalid', path: '/artifact_id', message: 'is a tag', hint: 'Register it.' }];
    const { client, asked } = await serve((_request, response) => {
      const error = { code: 'request.invalid', message: 'No.', hint: '', correlation_id: 'c-1', errors };
      response.writeHead(400).end(JSON.stringify({ error }));
    });

    await expect(client.change('POST', '/api/v1/artifacts', {})).rejects.toMatchObject({
      code: 'request.invalid',
      detail: { correlation_id: 'c-1', errors, reason: 'No.' },
    });
    expect(asked).toHaveLength(1);
  });
});

describe('an answer', () => {
  it('that is no answer of a control plane is said to be one of something else', async () => {
    const { client } = await serve((_request, response) => response.writeHead(502).end('<html>bad gateway</html>'));

    await expect(client.get('/api/v1/nodes')).rejects.toMatchObject({ code: 'server.unintelligible' });
  });

  it('that leads elsewhere is not followed: the token goes nowhere else', async () => {
    const other = await serve((_request, response) => response.end('{}'));
    const { client } = await serve((_request, response) => response.writeHead(302, { location: other.url }).end());

    await expect(client.get('/api/v1/nodes')).rejects.toMatchObject({ code: 'server.unintelligible' });
    expect(other.asked).toEqual([]);
  });

  it('in pages is read to the last page', async () => {
    const { client } = await serve(({ url = '' }, response) => {
      const after = new URL(url, 'http://x').searchParams.get('after');
      response.end(JSON.stringify(after === 'b' ? { items: ['c'], next: null } : { items: ['a', 'b'], next: 'b' }));
    });

    expect(await Array.fromAsync(client.list('/api/v1/nodes'))).toEqual(['a', 'b', 'c']);
  });
});

describe('the origin', () => {
  it.each(['http://cp.example.com', 'ftp://127.0.0.1', 'https://user:pw@cp.example.com', 'https://cp/x', 'nonsense'])(
    '%s is refused: the token would travel in the clear, or not be meant',
    (url) => {
      expect(() => new ControlPlaneClient({ url, token: 'x' })).toThrow('GPUAAS_URL must be an origin');
    },
  );

  it.each(['https://cp.example.com', 'http://127.0.0.1:8080', 'http://localhost:8080/', 'http://[::1]:8080'])(
    '%s is used',
    (url) => {
      expect(() => new ControlPlaneClient({ url, token: 'x' })).not.toThrow();
    },
  );
});

describe('events', () => {
  it('are read on behind the last one when the connection breaks, none lost and none twice', async () => {
    const { client, asked } = await serve((request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      if (request.headers['last-event-id'] === undefined) {
        // Cut in the middle of an event, and of a character.
        response.write(': connected\n\nid: 1\nevent: a\ndata: {"n":1}\n\nid: 2\nevent: b\nda');
        response.write(Buffer.from('ta: "\u00e4').subarray(0, -1), () => request.socket.destroy());
      } else {
        response.write('id: 2\nevent: b\ndata: "\u00e4"\n\nid: 3\nevent: end\ndata: 0\n\n');
      }
    });
    const signal = new AbortController().signal;
    const seen: string[] = [];

    for await (const { id, type, data } of followEvents(client, '/api/v1/events', {}, { signal, json: false })) {
      seen.push(`${id} ${type} ${data}`);
      if (type === 'end') break;
    }

    expect(seen).toEqual(['1 a {"n":1}', '2 b "\u00e4"', '3 end 0']);
    expect(asked.map(({ headers }) => headers['last-event-id'])).toEqual([undefined, '1']);
  });

  it('end with the one that was waited for, also where the connection breaks before whoever reads stops', async () => {
    let broken: () => unknown = () => undefined;
    const { client, asked } = await serve((request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write('id: 1\nevent: end\ndata: 0\n\n');
      broken = () => request.socket.destroy();
    });
    const open = vi.spyOn(client, 'open');
    const events = followEvents(client, '/', {}, { signal: new AbortController().signal, json: false });

    expect((await events.next()).value).toMatchObject({ type: 'end' });
    broken();
    const body = await open.mock.results[0]?.value;
    await expect.poll(() => inspect(body)).toContain("state: 'errored'");

    expect(await events.return(undefined)).toEqual({ done: true, value: undefined });
    expect(asked).toHaveLength(1);
  });

  it('that may not be seen end the command at once', async () => {
    const { client, asked } = await serve((_request, response) => {
      const error = { code: 'resource.not_found', message: 'x', hint: '', correlation_id: 'c', errors: [] };
      response.writeHead(404).end(JSON.stringify({ error }));
    });
    const events = followEvents(client, '/api/v1/events', {}, { signal: new AbortController().signal, json: false });

    await expect(events.next()).rejects.toMatchObject({ code: 'resource.not_found' });
    expect(asked).toHaveLength(1);
  });
});

describe('a control plane that cannot be reached', () => {
  it.each([
    ['where nobody listens', 'http://127.0.0.1:2', 'ECONNREFUSED'],
    ['whose name nobody knows', 'https://nowhere.invalid', 'getaddrinfo'],
  ])('%s is told with the reason in words', async (_what, url, reason) => {
    const asked = new ControlPlaneClient({ url, token: 'secret' }).open('/', {}, {}, new AbortController().signal);

    await expect(asked).rejects.toMatchObject({
      code: 'server.unreachable',
      detail: { reason: expect.stringContaining(reason), url },
    });
  });

  it('because it does not speak TLS is told so', async () => {
    const { url } = await serve((_request, response) => response.end());
    const client = new ControlPlaneClient({ url: url.replace('http', 'https'), token: 'secret' });

    await expect(client.open('/', {}, {}, new AbortController().signal)).rejects.toMatchObject({
      ...{ code: 'server.unreachable', detail: { reason: expect.stringContaining('does not speak TLS') } },
    });
  });

  it('while something is followed is told once, and that it is back', async () => {
    const said: string[] = [];
    vi.spyOn(process.stderr, 'write').mockImplementation((text) => said.push(String(text)) > 0);
    let times = 0;
    const { client } = await serve((request, response) => {
      times += 1;
      if (times < 3) request.socket.destroy();
      else response.end('id: 1\ndata: {}\n\n');
    });
    const events = followEvents(client, '/', {}, { signal: new AbortController().signal, json: false });

    expect((await events.next()).value).toMatchObject({ id: '1' });
    await events.return(undefined);

    expect(said).toEqual([
      '… The control plane does not answer; this goes on when it does.\n',
      '… The control plane is back.\n',
    ]);
  });
});
