/** Every way out that a stranger may try at the proxy of a job, against real sockets. What may not arrive is counted where it would. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import type { EgressRule } from '../../../src/contract/job-egress.ts';
import { clientHello, closeAll, openPlace, openProxy, openTunnel, read, say, saying } from './ground.ts';

afterEach(closeAll);

const http = (port: number, host = 'a.example'): EgressRule => ({ scheme: 'http', host, port });
const https = (port: number, host = 'a.example'): EgressRule => ({ scheme: 'https', host, port });
const get = (url: string, host: string, more = '') => `GET ${url} HTTP/1.1\r\nHost: ${host}\r\n${more}\r\n`;

describe('requests of http', () => {
  it('reach the place that is listed, as they were meant (M-36)', async () => {
    const place = await openPlace(saying('hello'));
    const { port, refused } = await openProxy({ rules: [http(place.port)] });

    const more = 'X-A: 1\r\nProxy-Authorization: Basic eA==\r\nConnection: close, X-B\r\nX-B: 2\r\nTE: gzip\r\n';
    const answer = await say(port, get(`http://A.example.:${place.port}/p?q=1`, `a.example:${place.port}`, more));

    expect(answer).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    expect(answer).toMatch(/hello$/);
    expect(place.heard()).toBe(
      `GET /p?q=1 HTTP/1.1\r\nHost: a.example:${place.port}\r\nX-A: 1\r\nConnection: close\r\n\r\n`,
    );
    expect(refused).toEqual([]);
  });

  it('reach no other place, port or scheme, and say why (M-37, M-38)', async () => {
    const place = await openPlace(saying('hello'));
    const { port, refused } = await openProxy({ rules: [http(1), https(place.port), http(place.port, 'b.example')] });
    const url = `http://a.example:${place.port}/`;

    const answer = await say(port, get(url, `a.example:${place.port}`));

    expect(answer).toMatch(/^HTTP\/1\.1 403 /);
    expect(answer).toContain(`http to a.example:${place.port} is not what this job may reach.`);
    expect(refused).toMatchObject([{ refused: 'not_listed', host: 'a.example', port: place.port, scheme: 'http' }]);
    expect(place.came()).toBe(0);
  });

  it('are judged one by one on a connection that is kept', async () => {
    const place = await openPlace((socket) =>
      socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\n1')),
    );
    const { port } = await openProxy({ rules: [http(place.port)] });
    const fine = get(`http://a.example:${place.port}/1`, `a.example:${place.port}`);
    const wrong = get(`http://b.example:${place.port}/2`, `b.example:${place.port}`);

    const answer = await say(port, fine + fine + wrong + fine);

    expect(answer.match(/HTTP\/1\.1 \d{3}/g)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 200', 'HTTP/1.1 403']);
    expect(place.heard()).not.toContain('/2');
    expect(place.came()).toBe(2);
  });

  it.each([
    ['another Host than the URL', (at: string) => get(`http://${at}/`, 'b.example')],
    ['two Hosts', (at: string) => get(`http://${at}/`, at, `Host: b.example\r\n`)],
    ['no Host', (at: string) => `GET http://${at}/ HTTP/1.1\r\n\r\n`],
    ['a user in the URL', (at: string) => get(`http://x@${at}/`, at)],
    ['an escaped host', (at: string) => get(`http://%61${at.slice(1)}/`, at)],
    ['no absolute URL', (at: string) => get('/', at)],
    ['another scheme', (at: string) => get(`ftp://${at}/`, at)],
    ['a fragment', (at: string) => get(`http://${at}/#x`, at)],
    ['TRACE', (at: string) => `TRACE http://${at}/ HTTP/1.1\r\nHost: ${at}\r\n\r\n`],
    [
      'a length and chunks',
      (at: string) => post(at, 'Content-Length: 5\r\nTransfer-Encoding: chunked\r\n', '0\r\n\r\n'),
    ],
    ['two lengths', (at: string) => post(at, 'Content-Length: 5\r\nContent-Length: 6\r\n', 'hello')],
    ['a coding beside chunks', (at: string) => post(at, 'Transfer-Encoding: gzip, chunked\r\n', '0\r\n\r\n')],
    ['an odd coding', (at: string) => post(at, 'Transfer-Encoding: xchunked\r\n', '0\r\n\r\n')],
    ['a space before a colon', (at: string) => post(at, 'Content-Length : 5\r\n', 'hello')],
    ['a folded line', (at: string) => get(`http://${at}/`, at, 'X-A: 1\r\n b\r\n')],
    ['a bare line feed', (at: string) => `GET http://${at}/ HTTP/1.1\nHost: ${at}\nX: \n\n`],
    ['a null', (at: string) => get(`http://${at}/`, at, 'X-A: a\0b\r\n')],
    ['headers without an end', (at: string) => get(`http://${at}/`, at, `X-A: ${'a'.repeat(20_000)}\r\n`)],
  ])('with %s go nowhere', async (_what, text) => {
    const place = await openPlace(saying('hello'));
    const { port } = await openProxy({ rules: [http(place.port)] });

    const answer = await say(port, text(`a.example:${place.port}`));

    expect(answer).toMatch(/^HTTP\/1\.1 4\d\d /);
    expect(place.came()).toBe(0);
  });

  it('are not mixed with a tunnel that is asked for before they are answered', async () => {
    const place = await openPlace();
    const { port } = await openProxy({ rules: [http(place.port), https(place.port)] });
    const at = `a.example:${place.port}`;

    const answer = await say(port, `${get(`http://${at}/`, at)}CONNECT ${at} HTTP/1.1\r\nHost: ${at}\r\n\r\n`);

    expect(answer).toBe('');
  });

  it('hide no second one in the body of the first', async () => {
    const place = await openPlace(saying('hello'));
    const { port } = await openProxy({ rules: [http(place.port)] });
    const at = `a.example:${place.port}`;
    const hidden = get(`http://b.example/`, 'b.example');

    await say(port, post(at, `Content-Length: ${hidden.length}\r\nConnection: close\r\n`, hidden));

    expect(place.came()).toBe(1);
    expect(place.heard()).toContain(`Content-Length: ${hidden.length}`);
  });

  it('go nowhere where the name is at a private address, or changes to one', async () => {
    const place = await openPlace(saying('hello'));
    const answers = ['1.1.1.1', '127.0.0.1'];
    const resolve = async () => [answers.pop() ?? ''];
    const { port, refused } = await openProxy({ rules: [http(place.port)] }, { allow: [], resolve });

    const answer = await say(port, get(`http://a.example:${place.port}/`, `a.example:${place.port}`));

    expect(answer).toMatch(/^HTTP\/1\.1 403 /);
    expect(refused).toMatchObject([{ refused: 'private_address', host: 'a.example' }]);
    expect(place.came()).toBe(0);
  });

  it.each(['127.0.0.1', '127.1', '0x7f000001', '2130706433', '[::ffff:127.0.0.1]', '169.254.169.254'])(
    'go to no address that is not listed, as %s',
    async (host) => {
      const place = await openPlace(saying('hello'));
      const { port } = await openProxy({ rules: [http(place.port)], any_public: ['http'] }, { allow: [] });

      const answer = await say(port, get(`http://${host}:${place.port}/`, `${host}:${place.port}`));

      expect(answer).toMatch(/^HTTP\/1\.1 403 /);
      expect(place.came()).toBe(0);
    },
  );

  it('are told where a redirect leads, and are judged again there', async () => {
    const inner = await openPlace(saying('secret'));
    const location = `http://127.0.0.1:${inner.port}/`;
    const place = await openPlace((socket) =>
      socket.once('data', () =>
        socket.end(`HTTP/1.1 302 Found\r\nLocation: ${location}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`),
      ),
    );
    const { port } = await openProxy({ rules: [http(place.port)] });

    const answer = await say(
      port,
      get(`http://a.example:${place.port}/`, `a.example:${place.port}`, 'Connection: close\r\n'),
    );
    const next = await say(port, get(location, `127.0.0.1:${inner.port}`));

    expect(answer).toContain(`Location: ${location}`);
    expect(next).toMatch(/^HTTP\/1\.1 403 /);
    expect(inner.came()).toBe(0);
  });

  it('are ended where the place breaks off, and do not look whole', async () => {
    const place = await openPlace((socket) =>
      socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf')),
    );
    const { port } = await openProxy({ rules: [http(place.port)] });

    const answer = await say(port, get(`http://a.example:${place.port}/`, `a.example:${place.port}`));

    expect(answer).toMatch(/half$/);
  });

  it('say that nobody is there where nobody is, with 502', async () => {
    const place = await openPlace();
    place.server.close();
    const { port, refused } = await openProxy({ rules: [http(place.port)] });

    expect(await say(port, get(`http://a.example:${place.port}/`, `a.example:${place.port}`))).toMatch(
      /^HTTP\/1\.1 502 /,
    );
    expect(refused).toEqual([]);
  });
});

describe('CONNECT', () => {
  it('carries TLS to the host that it was let through to, as it comes (M-36)', async () => {
    const place = await openPlace((socket) => socket.pipe(socket));
    const { port, refused } = await openProxy({ rules: [https(place.port)] });
    const hello = await clientHello('a.example');

    const socket = await openTunnel(port, `a.example:${place.port}`);
    socket.write(hello.subarray(0, 3));
    await sleep(20);
    expect(place.heard()).toBe('');
    socket.write(hello.subarray(3));
    const echo = await read(socket, hello.subarray(-20).toString('latin1'));

    expect(echo).toBe(hello.toString('latin1'));
    expect(refused).toEqual([]);
    socket.destroy();
  });

  it.each([
    ['another name', 'b.example', 'names b.example'],
    ['a name below', 'x.a.example', 'names x.a.example'],
    ['no name', undefined, 'names no host'],
  ])('carries nothing of TLS with %s', async (_what, name, said) => {
    const place = await openPlace();
    const { port, refused } = await openProxy({ rules: [https(place.port), https(place.port, 'b.example')] });

    const socket = await openTunnel(port, `a.example:${place.port}`);
    socket.write(await clientHello(name));
    const answer = await read(socket);

    // The alert that is shown by clients as "access denied".
    expect(Buffer.from(answer, 'latin1')).toEqual(Buffer.from([21, 3, 3, 0, 2, 2, 49]));
    expect(refused).toMatchObject([
      { refused: 'wrong_name', host: 'a.example', reason: expect.stringContaining(said) },
    ]);
    expect(place.heard()).toBe('');
  });

  it.each([
    ['plain http', 'GET / HTTP/1.1\r\nHost: a.example\r\n\r\n'],
    ['a shell', 'SSH-2.0-OpenSSH\r\n'],
    ['noise', '\u0016\u0003\u0001\u0000\u0001\u0002'],
  ])('to a place of https carries no %s (M-38)', async (_what, text) => {
    const place = await openPlace();
    const { port, refused } = await openProxy({ rules: [https(place.port)] });

    const socket = await openTunnel(port, `a.example:${place.port}`);
    socket.write(Buffer.from(text, 'latin1'));
    await read(socket);

    expect(refused).toMatchObject([{ refused: 'wrong_protocol' }]);
    expect(place.heard()).toBe('');
  });

  it('to a place of http carries requests of http alone', async () => {
    const place = await openPlace(saying('hello'));
    const { port, refused } = await openProxy({ rules: [http(place.port)] });

    const fine = await openTunnel(port, `a.example:${place.port}`);
    fine.write('GET / HTTP/1.1\r\nHost: a.example\r\n\r\n');
    expect(await read(fine)).toMatch(/hello$/);
    const wrong = await openTunnel(port, `a.example:${place.port}`);
    wrong.write(await clientHello('a.example'));
    await read(wrong);

    expect(refused).toMatchObject([{ refused: 'wrong_protocol' }]);
  });

  it('carries nothing of who says nothing in time', async () => {
    const place = await openPlace();
    const { port, refused } = await openProxy({ rules: [https(place.port)] }, { limits: { firstBytesMs: 50 } });

    const socket = await openTunnel(port, `a.example:${place.port}`);
    socket.write((await clientHello('a.example')).subarray(0, 50));
    await read(socket);

    expect(refused).toMatchObject([{ refused: 'wrong_protocol' }]);
    expect(place.heard()).toBe('');
  });

  it.each(['b.example', '127.0.0.1', '[::1]', '169.254.169.254'])(
    'to %s, which is not listed, is refused',
    async (host) => {
      const place = await openPlace();
      const { port } = await openProxy({ rules: [https(place.port)] });

      const answer = await say(port, `CONNECT ${host}:${place.port} HTTP/1.1\r\nHost: ${host}:${place.port}\r\n\r\n`);

      expect(answer).toMatch(/^HTTP\/1\.1 403 /);
      expect(place.came()).toBe(0);
    },
  );

  it.each([
    ['no port', 'CONNECT a.example HTTP/1.1\r\nHost: a.example\r\n\r\n'],
    ['a large port', 'CONNECT a.example:65536 HTTP/1.1\r\nHost: a.example\r\n\r\n'],
    ['a URL', 'CONNECT https://a.example:443 HTTP/1.1\r\nHost: a.example\r\n\r\n'],
    ['another Host', 'CONNECT a.example:443 HTTP/1.1\r\nHost: b.example:443\r\n\r\n'],
  ])('with %s is refused', async (_what, text) => {
    const { port } = await openProxy({ rules: [https(443)] });

    expect(await say(port, text)).toMatch(/^HTTP\/1\.1 400 /);
  });

  it('goes on in one direction where the other has ended', async () => {
    const place = await openPlace((socket) => socket.once('end', () => socket.end('the last word')));
    const { port } = await openProxy({ rules: [https(place.port)] });

    const socket = await openTunnel(port, `a.example:${place.port}`);
    socket.end(await clientHello('a.example'));

    expect(await read(socket)).toBe('the last word');
  });

  it('is ended where nothing comes for too long, on both sides', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const place = await openPlace((socket) => {
      socket.resume();
      socket.once('close', () => resolve());
      socket.once('end', () => socket.end());
    });
    const { port } = await openProxy({ rules: [https(place.port)] }, { limits: { idleMs: 100 } });

    const socket = await openTunnel(port, `a.example:${place.port}`);
    socket.write(await clientHello('a.example'));

    await read(socket);
    await promise;
  });

  it('holds back who sends faster than the other reads', async () => {
    const place = await openPlace();
    place.server.removeAllListeners('connection');
    const taken: Socket[] = [];
    place.server.on('connection', (socket) => {
      taken.push(socket.pause());
    });
    const { port } = await openProxy({ rules: [https(place.port)] });
    const socket = await openTunnel(port, `a.example:${place.port}`);
    socket.write(await clientHello('a.example'));
    const piece = Buffer.alloc(1024 * 1024);
    const before = process.memoryUsage().arrayBuffers;

    let sent = 0;
    while (sent < 512 && (socket.write(piece) || socket.writableLength < 64 * piece.length)) {
      sent += 1;
      await sleep(1);
    }

    // What stands before the proxy is the client's own; kernel and proxy took a few pieces.
    expect(socket.writableLength / piece.length).toBeGreaterThan(sent - 24);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(80 * piece.length);
    socket.destroy();
    for (const each of taken) each.destroy();
  });
});

describe('the proxy', () => {
  it('takes so many connections at once, and then others again', async () => {
    const { port } = await openProxy({}, { limits: { connections: 2 } });
    const first = [connect({ host: '127.0.0.1', port }), connect({ host: '127.0.0.1', port })];
    await Promise.all(first.map((socket) => once(socket, 'connect')));
    await sleep(20);

    expect(await say(port, get('http://a.example/', 'a.example')).catch(() => '')).toBe('');
    for (const socket of first) socket.destroy();
    await sleep(50);
    expect(await say(port, get('http://a.example/', 'a.example'))).toMatch(/^HTTP\/1\.1 403 /);
  });

  it('does not wait for headers that come slowly', async () => {
    const { port } = await openProxy({}, { limits: { headersMs: 100 } });

    expect(await say(port, 'GET http://a.example/ HTTP/1.1\r\nHost: a')).toMatch(/^HTTP\/1\.1 4\d\d /);
  });

  it('writes down no more refusals than somebody can read, and how many it left out', async () => {
    const { port, refused } = await openProxy({});
    for (let index = 0; index < 130; index += 1) await say(port, get('http://a.example/', 'a.example'));

    expect(refused.length).toBeLessThan(125);
    await sleep(300);
    await say(port, get('http://a.example/', 'a.example'));
    expect(refused.at(-1)).toHaveProperty('left_out');
  });
});

function post(at: string, headers: string, body: string): string {
  return `POST http://${at}/ HTTP/1.1\r\nHost: ${at}\r\n${headers}\r\n${body}`;
}
