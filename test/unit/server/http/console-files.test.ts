import { once } from 'node:events';
import { type IncomingHttpHeaders, type IncomingMessage, type OutgoingHttpHeaders, request } from 'node:http';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import type { ConsoleFiles } from '../../../../src/server/http/console-files.ts';
import { testServer } from '../../../support/test-server.ts';

const script = `console.log(${JSON.stringify('x'.repeat(4000))})`;
const files: ConsoleFiles = new Map([
  ['/', { bytes: Buffer.from('<!doctype html><p>page</p>'), contentType: 'text/html; charset=utf-8' }],
  ['/assets/app-1a2b.js', { bytes: Buffer.from(script), contentType: 'text/javascript', immutable: true }],
]);
let loads = 0;
const server = await testServer(
  {},
  {
    console: async () => {
      loads += 1;
      if (loads === 1) throw new Error('the console does not build');
      return files;
    },
  },
);

interface Got {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly bytes: Buffer;
}

/** Sends the path as it stands. */
async function get(path: string, headers: OutgoingHttpHeaders = {}, method = 'GET', url = server.url): Promise<Got> {
  const { hostname, port } = new URL(url);
  const asking = request({ host: hostname, port, path, method, headers }).end();
  const [response] = (await once(asking, 'response')) as [IncomingMessage];
  const pieces: Buffer[] = [];
  for await (const piece of response) pieces.push(piece as Buffer);
  return { status: response.statusCode ?? 0, headers: response.headers, bytes: Buffer.concat(pieces) };
}
const app = '/assets/app-1a2b.js';

describe('the console', () => {
  it('is loaded by the first who asks, and again where that went wrong', async () => {
    const answers = [await get('/'), ...(await Promise.all([get('/'), get('/'), get(app)]))];

    expect(answers.map(({ status }) => status)).toEqual([500, 200, 200, 200]);
    expect(loads).toBe(2);
  });

  it('needs no token and holds to its own origin', async () => {
    const { status, headers, bytes } = await get('/');

    expect([status, String(bytes)]).toEqual([200, '<!doctype html><p>page</p>']);
    expect(headers).toMatchObject({
      'content-type': 'text/html; charset=utf-8',
      'cache-control': 'no-cache',
      'content-security-policy':
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
      'referrer-policy': 'no-referrer',
      'x-content-type-options': 'nosniff',
      'cross-origin-resource-policy': 'same-origin',
      'x-correlation-id': expect.any(String),
    });
  });

  it('is sent once: what has a name of its own for ever, the page for as long as it is the same', async () => {
    const [page, asset] = [await get('/'), await get(app)];
    const again = async (path: string, etag: string) => {
      const { status, headers, bytes } = await get(path, { 'if-none-match': etag });
      return [status, headers.etag, bytes.length];
    };

    expect(asset.headers['cache-control']).toBe('public, max-age=31536000, immutable');
    expect(await again('/', page.headers.etag ?? '')).toEqual([304, page.headers.etag, 0]);
    expect(await again(app, `"x", ${asset.headers.etag}`)).toEqual([304, asset.headers.etag, 0]);
    expect((await again('/', asset.headers.etag ?? ''))[0]).toBe(200);
  });

  it.each([
    ['gzip, deflate, br', 'gzip'],
    ['br;q=1.0, gzip;q=0.5', 'gzip'],
    ['gzip;q=0', undefined],
    ['gzip;q=0.000', undefined],
    ['identity', undefined],
    [undefined, undefined],
  ])('is as small as a browser can take it: %s', async (accepted, coding) => {
    const { headers, bytes } = await get(app, accepted === undefined ? {} : { 'accept-encoding': accepted });

    expect(headers['content-encoding']).toBe(coding);
    expect(headers.vary).toBe('accept-encoding');
    expect(String(coding ? gunzipSync(bytes) : bytes)).toBe(script);
    expect(bytes.length < 500).toBe(coding === 'gzip');
  });

  it('does not grow what is small already', async () => {
    expect((await get('/', { 'accept-encoding': 'gzip' })).headers['content-encoding']).toBeUndefined();
  });

  it('answers HEAD like GET, without the file', async () => {
    const [head, whole] = [await get(app, {}, 'HEAD'), await get(app)];
    const { date: _, 'x-correlation-id': __, ...same } = whole.headers;

    expect(head).toMatchObject({ status: 200, headers: same });
    expect(head.bytes.length).toBe(0);
  });

  it.each([
    '/assets/',
    '/assets/app-1a2b.js/',
    '/assets//app-1a2b.js',
    '/assets/app-ffff.js',
    '/assets/../assets/app-1a2b.js',
    '/assets/../../package.json',
    '/assets/%2e%2e/%2e%2e/package.json',
    '/assets/..%2f..%2fpackage.json',
    '/assets/..\\..\\package.json',
    '/assets/app-1a2b.js%00.png',
    '/assets/__proto__',
    '/assets/constructor',
    '/index.html',
    '//',
  ])('has nothing at %s', async (path) => {
    const { status, headers, bytes } = await get(path);

    expect([status, JSON.parse(String(bytes)).error.code]).toEqual([404, 'resource.not_found']);
    expect(headers['content-type']).toContain('application/json');
  });

  it('can be come to from another site by a link, and by nothing else; files not even so', async () => {
    const visit = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' };

    expect((await get('/', visit)).status).toBe(200);
    expect((await get('/', { ...visit, 'sec-fetch-dest': 'iframe' })).status).toBe(403);
    expect((await get('/', { ...visit, 'sec-fetch-mode': 'no-cors' })).status).toBe(403);
    expect((await get('/', { ...visit, host: 'evil.example.com' })).status).toBe(403);
    expect((await get('/', { ...visit, origin: 'https://evil.example.com' })).status).toBe(403);
    expect((await get(app, visit)).status).toBe(403);
    expect((await get('/api/v1/projects', visit)).status).toBe(403);
  });

  it.each(['POST', 'PUT', 'DELETE', 'OPTIONS'])('takes no %s', async (method) => {
    expect((await get('/', {}, method)).status).toBe(404);
  });

  it('is not there where a control plane has none, and the answer says what is', async () => {
    const { url } = await testServer();
    const { status, bytes } = await get('/', {}, 'GET', url);

    expect(status).toBe(404);
    expect(JSON.parse(String(bytes)).error.message).toContain('`/openapi.json` describes its interface');
  });
});
