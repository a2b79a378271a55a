/** What strangers may cost, on real sockets: few connections, a short time, and nothing of what others have. */
import { EventEmitter, once } from 'node:events';
import { Agent, request } from 'node:http';
import { connect, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { Type } from 'typebox';
import { afterEach, describe, expect, it } from 'vitest';
import { createLog } from '../../../../src/kit/log.ts';
import { openSqliteStore } from '../../../../src/server/db/sqlite/sqlite-store.ts';
import { everybody } from '../../../../src/server/http/access.ts';
import { addressOf, Door } from '../../../../src/server/http/door.ts';
import { createHttpServer, type HttpOptions } from '../../../../src/server/http/http-server.ts';
import { createMetrics } from '../../../../src/server/http/metrics.ts';
import { openRoute, route } from '../../../../src/server/http/route.ts';
import { makeToken } from '../../../../src/server/http/tokens.ts';
import { certificate } from '../../../support/certificate.ts';
import { openHubGround, until } from '../../../support/hub-ground.ts';
import { manualClock } from '../../../support/manual-clock.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';
import { unlimited } from '../../../support/unlimited.ts';

const root = temporaryFolder('door');
const undo: (() => unknown)[] = [];
let count = 0;
afterEach(async () => {
  for (const each of undo.splice(0).reverse()) await each();
});

const answer = Type.Object({}, { additionalProperties: true });
const routes = [
  openRoute({ method: 'GET', path: '/open', tag: 't', summary: 's', answer, read: async () => ({}) }),
  openRoute({ method: 'POST', path: '/open', tag: 't', summary: 's', answer, change: async () => ({ body: {} }) }),
  route({ method: 'GET', path: '/own', tag: 't', summary: 's', answer, allow: everybody, read: async () => ({}) }),
];

async function serve(options: Partial<HttpOptions>) {
  count += 1;
  const store = openSqliteStore(join(root, `${count}.db`));
  const { id, secret_hash, token } = makeToken();
  await store.write((tx) =>
    tx.api_tokens.insert({
      ...{ id, name: 'one', role: 'admin', project_id: null, secret_hash, created_by: 'init' },
      ...{ created_at: '2026-11-25T09:00:00.000Z', expires_at: null, revoked_at: null },
    }),
  );
  const http = createHttpServer({
    ...{ store, log: createLog({ level: 'silent' }), now: Date.now, metrics: createMetrics() },
    ...{ routes, hostNames: [], limits: unlimited(), ...options },
  });
  const { port } = await http.listen('127.0.0.1', 0);
  undo.push(async () => {
    await http.close();
    await store.close();
  });
  const get = async (path: string, agent?: Agent) => {
    const headers = { authorization: `Bearer ${token}` };
    const asked = request({ host: '127.0.0.1', port, path, headers, ...(agent ? { agent } : {}) }).end();
    const [response] = await once(asked, 'response');
    response.resume();
    await once(response, 'end');
    return response as { statusCode: number; headers: Record<string, string> };
  };
  return { port, get };
}

interface Stranger {
  readonly socket: Socket;
  readonly gone: Promise<unknown>;
  isGone: boolean;
}

/** Connects and says nothing. */
async function stranger(port: number, localAddress = '127.0.0.1'): Promise<Stranger> {
  const socket = connect({ host: '127.0.0.1', port, localAddress }).on('error', () => undefined);
  undo.push(() => socket.destroy());
  const one: Stranger = {
    ...{ socket, isGone: false },
    gone: new Promise((resolve) => socket.once('close', resolve)).then(() => {
      one.isGone = true;
    }),
  };
  socket.resume();
  await once(socket, 'connect');
  return one;
}

const hour = 3_600_000;
const patient = { handshakeMs: hour, headersMs: hour, requestMs: hour, checkMs: 20, unreadMs: hour };

describe('a connection that takes its time is closed', () => {
  it.each([
    ['it says nothing', '', { headersMs: 50 }],
    ['its headers do not end', 'GET /open HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: ', { headersMs: 50 }],
    [
      'its body does not end',
      'POST /open HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 60000\r\n\r\n{',
      { headersMs: 50, requestMs: 60 },
    ],
  ])('where %s', async (_, words, given) => {
    const { port } = await serve({ patience: { ...patient, ...given } });
    const { socket, gone } = await stranger(port);
    socket.write(words);
    const dripping = setInterval(() => socket.write(words === '' ? '' : 'x'), 10);
    undo.push(() => clearInterval(dripping));

    await gone;
  });

  it('where its TLS handshake does not end', async () => {
    const { port } = await serve({ tls: certificate(root), patience: { ...patient, handshakeMs: 50 } });
    const { socket, gone } = await stranger(port);

    socket.write(Buffer.from([0x16, 3, 1]));

    await gone;
  });
});

describe('strangers', () => {
  it('of one address make room for each other, and leave that of other addresses alone', async () => {
    const { port } = await serve({ strangers: { perAddress: 3, all: 100 } });
    const elsewhere = await stranger(port, '127.0.0.2');
    const crowd = [];
    for (let number = 0; number < 8; number += 1) crowd.push(await stranger(port));

    await Promise.all(crowd.slice(0, 5).map(({ gone }) => gone));

    expect(crowd.map(({ isGone }) => isGone)).toEqual([true, true, true, true, true, false, false, false]);
    expect(elsewhere.isGone).toBe(false);
  });

  it('of many addresses make room for each other as well', async () => {
    const { port, get } = await serve({ strangers: { perAddress: 3, all: 5 } });
    const crowd = [];
    for (const last of [2, 3, 4, 5, 6, 7, 8]) crowd.push(await stranger(port, `127.0.0.${last}`));

    await Promise.all(crowd.slice(0, 2).map(({ gone }) => gone));

    expect(crowd.filter(({ isGone }) => isGone)).toHaveLength(2);
    expect((await get('/own')).statusCode).toBe(200);
  });

  it('are counted under TLS as well', async () => {
    const { port } = await serve({ tls: certificate(root), strangers: { perAddress: 1, all: 5 } });
    const first = await stranger(port);
    const second = await stranger(port);

    await first.gone;
    expect(second.isGone).toBe(false);
  });

  it('do not stay behind their answer, and who shows a token does and is never sent away', async () => {
    const { port, get } = await serve({ strangers: { perAddress: 2, all: 5 } });
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    undo.push(() => agent.destroy());
    const connections = new Set<unknown>();
    agent.on('free', (socket) => connections.add(socket));

    expect((await get('/open')).headers['connection']).toBe('close');
    expect((await get('/own', agent)).headers['connection']).toBe('keep-alive');
    const crowd = [];
    for (let number = 0; number < 6; number += 1) crowd.push(await stranger(port));
    await Promise.all(crowd.slice(0, 4).map(({ gone }) => gone));
    await get('/own', agent);

    expect(connections.size).toBe(1);
  });

  it('stay strangers where the end of a connection is told after its port is taken again', () => {
    const door = new Door({ perAddress: 1, all: 5 });
    const server = new EventEmitter();
    door.watch(server as Server);
    const [eldest, first, second] = ['127.0.0.9', '127.0.0.1', '127.0.0.1'].map((remoteAddress) =>
      Object.assign(new EventEmitter(), {
        remoteAddress,
        remotePort: 4000,
        destroyed: false,
        destroy() {
          this.destroyed = true;
        },
      }),
    ) as unknown as [Socket, Socket, Socket];
    const late = Object.assign(new EventEmitter(), { remoteAddress: '127.0.0.1', remotePort: 4001 }) as Socket;

    for (const socket of [eldest, first, second]) server.emit('connection', socket);
    first.emit('close');

    expect(door.isStranger(second)).toBe(true);
    server.emit('connection', late);
    expect([eldest, second].map(({ destroyed }) => destroyed)).toEqual([false, true]);
    door.letIn(late);
    expect(door.isStranger(late)).toBe(false);
  });

  it('are all gone with the server, also those that wait in a WebSocket', async () => {
    const ground = await openHubGround(join(root, 'stop'), { clock: manualClock() });
    undo.push(() => ground.store.close());
    const agent = ground.dial();
    await agent.next('challenge');
    const silent = await stranger(Number(new URL(ground.origin).port));

    await ground.stopHub();

    await Promise.all([agent.closed, silent.gone]);
  });
});

describe('200 nodes behind one address', () => {
  it('all come in at once, past strangers that take up all the room there is, and stay', async () => {
    // No time is over here: on a machine with much else to do, 200 take longer than one may take for its hello.
    const ground = await openHubGround(join(root, 'hub'), { clock: manualClock(), patience: patient });
    undo.push(() => ground.close());
    const port = Number(new URL(ground.origin).port);
    const nodes = await Promise.all(
      Array.from({ length: 200 }, async (_, index) => ({
        id: `node-${index}`,
        keys: await ground.addNode(`node-${index}`),
      })),
    );
    const fill = async () => {
      for (let number = 0; number < 300; number += 1) await stranger(port);
    };

    await fill();
    const agents = nodes.map(({ id, keys }) => ({ id, keys, agent: ground.dial() }));
    await Promise.all(agents.map(({ id, keys, agent }) => agent.enter(keys, id, 0)));
    await until(() => nodes.every(({ id }) => ground.hub.isConnected(id)));
    await fill();

    expect(nodes.filter(({ id }) => ground.hub.isConnected(id))).toHaveLength(200);
    expect(ground.hub.counters()).toMatchObject({ admitted: 200, refused: 0 });
  });
});

describe('an address', () => {
  it.each([
    ['10.0.0.1', '10.0.0.1'],
    ['::ffff:10.0.0.1', '10.0.0.1'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2'],
    ['2001:db8:1:2::6', '2001:db8:1:2'],
    ['2001:db8::6', '2001:db8:0:0'],
    ['::1', '0:0:0:0'],
  ])('%s counts as %s', (remoteAddress, counted) => {
    expect(addressOf({ remoteAddress })).toBe(counted);
  });
});
