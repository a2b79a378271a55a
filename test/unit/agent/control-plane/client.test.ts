import { Type } from 'typebox';
import { afterEach, describe, expect, it } from 'vitest';
import { post } from '../../../../src/agent/control-plane/client.ts';
import { controlPlaneOrigin } from '../../../../src/agent/control-plane/origin.ts';
import { certificate } from '../../../support/certificate.ts';
import { type Answering, answerJson, type StandIn, standIn } from '../../../support/control-plane-stand-in.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';

const folder = temporaryFolder('client');
const Greeting = Type.Object({ hello: Type.String() }, { additionalProperties: false });
let server: StandIn;
afterEach(() => server.close());

async function ask(answering: Answering, options: { bearer?: string; timeoutMs?: number } = {}) {
  server = await standIn(answering);
  return await post(controlPlaneOrigin(server.origin), '/greet', { body: { name: 'n' }, answer: Greeting, ...options });
}

describe('a call to the control plane', () => {
  it('carries the bearer and returns the judged answer', async () => {
    const answer = await ask((_, response) => answerJson(response, 200, { hello: 'n' }), { bearer: 'b-1' });

    expect(answer).toEqual({ hello: 'n' });
    expect(server.asked).toEqual([{ path: '/greet', authorization: 'Bearer b-1', body: { name: 'n' } }]);
  });

  it('does not mind what a newer control plane adds to its answer', async () => {
    const answer = await ask((_, response) => answerJson(response, 200, { hello: 'n', region: 'x' }));

    expect(answer).toEqual({ hello: 'n' });
  });

  it.each<[string, string, Answering]>([
    ['control_plane.unavailable', 'trouble of its own', (_, response) => answerJson(response, 503, {})],
    ['control_plane.unavailable', 'too many calls', (_, response) => answerJson(response, 429, {})],
    ['control_plane.unavailable', 'a cut connection', (_, response) => response.destroy()],
    ['control_plane.unavailable', 'an endless answer', (_, response) => flood(response)],
    [
      ...(['control_plane.unavailable', 'a switch of protocols that nobody asked for'] as const),
      (_, { socket }) => void socket?.write('HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n'),
    ],
    ['control_plane.refused', 'a no', (_, response) => answerJson(response, 403, { error: { message: 'No.' } })],
    ['control_plane.refused', 'a no that is not JSON', (_, response) => response.writeHead(404).end('<html>')],
    ['control_plane.refused', 'a redirect', (_, response) => response.writeHead(302, { location: '/x' }).end()],
    ['control_plane.untrusted', 'an answer of another shape', (_, response) => answerJson(response, 200, { bye: 1 })],
    ['control_plane.untrusted', 'an answer that is not JSON', (_, response) => response.end('hello')],
  ])('fails with %s on %s', async (code, _what, answering) => {
    await expect(ask(answering)).rejects.toMatchObject({ code });
    expect(server.asked).toHaveLength(1);
  });

  it('does not wait for ever', async () => {
    await expect(ask(() => undefined, { timeoutMs: 50 })).rejects.toMatchObject({ code: 'control_plane.unavailable' });
  });

  it('fails where nobody listens', async () => {
    server = await standIn(() => undefined);
    await server.close();

    const call = post(controlPlaneOrigin(server.origin), '/greet', { body: {}, answer: Greeting });

    await expect(call).rejects.toMatchObject({ code: 'control_plane.unavailable' });
  });

  it('believes the configured CA over TLS, and not the system where there is one', async () => {
    const { key, cert } = certificate(folder);
    server = await standIn((_, response) => answerJson(response, 200, { hello: 'tls' }), { key, cert });
    const question = { body: {}, answer: Greeting };

    expect(await post(controlPlaneOrigin(server.origin, cert), '/greet', question)).toEqual({ hello: 'tls' });
    await expect(post(controlPlaneOrigin(server.origin), '/greet', question)).rejects.toMatchObject({
      code: 'control_plane.untrusted',
    });
  });
});

describe('the origin of the control plane', () => {
  it.each([
    ['https://cp.example.com', 'https://cp.example.com'],
    ['https://cp.example.com:8443/', 'https://cp.example.com:8443'],
    ['https://CP.example.com:443', 'https://cp.example.com'],
    ['http://127.0.0.1:9000', 'http://127.0.0.1:9000'],
    ['http://[::1]:9000', 'http://[::1]:9000'],
    ['http://localhost:9000', 'http://localhost:9000'],
  ])('of %s is %s', async (url, audience) => {
    server = await standIn(() => undefined);

    expect(controlPlaneOrigin(url).audience).toBe(audience);
  });

  it.each([
    ...['http://cp.example.com', 'http://10.0.0.1', 'http://127.0.0.1.example.com', 'http://localhost.example.com'],
    ...[
      'ftp://cp.example.com',
      'https://user:pw@cp.example.com',
      'https://cp.example.com/path',
      'https://cp?x',
      'cp',
      '',
    ],
  ])('%j is refused', async (url) => {
    server = await standIn(() => undefined);

    expect(() => controlPlaneOrigin(url)).toThrow(expect.objectContaining({ code: 'config.invalid' }));
  });
});

function flood(response: Parameters<Answering>[1]): void {
  const block = Buffer.alloc(65_536, 'x');
  const more = () => {
    while (!response.destroyed && response.write(block));
  };
  response.on('drain', more).on('error', () => undefined);
  more();
}
