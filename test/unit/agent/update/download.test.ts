/** Fetching files of a release from a control plane that a test plays: one that is cut, one that brings nothing, one that lies. */
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { controlPlaneOrigin } from '../../../../src/agent/control-plane/origin.ts';
import {
  type DownloadOptions,
  download,
  type FetchOptions,
  fetchPaper,
} from '../../../../src/agent/update/download.ts';
import { type Clock, systemClock } from '../../../../src/kit/clock.ts';
import { sha256Of } from '../../../../src/policy/release-trust.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';

const root = temporaryFolder('download');
const bytes = randomBytes(50_000);
const open: (() => void)[] = [];
let count = 0;
afterEach(() => {
  for (const close of open.splice(0)) close();
});

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

/** Each answer once, the last one for all that come after. */
async function controlPlane(...answers: Answer[]) {
  const ranges: (string | undefined)[] = [];
  const server = createServer((request, response) => {
    const answer = answers[Math.min(ranges.length, answers.length - 1)];
    ranges.push(request.headers.range);
    answer?.(request, response);
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  open.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return { origin: controlPlaneOrigin(`http://127.0.0.1:${(server.address() as AddressInfo).port}`), ranges };
}

const offsetOf = ({ headers }: IncomingMessage) => Number(/^bytes=(\d+)-$/.exec(headers.range ?? '')?.[1] ?? 0);
const honest =
  (whole: Uint8Array = bytes): Answer =>
  (request, response) => {
    const from = offsetOf(request);
    response.writeHead(from > 0 ? 206 : 200).end(whole.subarray(from));
  };
/** So many bytes of the rest, and the connection is gone. */
const cut =
  (length: number): Answer =>
  (request, response) => {
    const from = offsetOf(request);
    response.writeHead(from > 0 ? 206 : 200, { 'content-length': bytes.length - from });
    response.write(bytes.subarray(from, from + length), () => response.destroy());
  };
/** An answer in good order with so many bytes of the rest in it. */
const short =
  (length: number): Answer =>
  (request, response) => {
    const from = offsetOf(request);
    response.writeHead(from > 0 ? 206 : 200).end(bytes.subarray(from, from + length));
  };
const away: Answer = (_request, response) => void response.writeHead(503).end();

/** Pauses take no time, and are counted; `atPause` sees each of them. */
function ground(origin: FetchOptions['source']['origin'], atPause: (pauses: number) => void = () => undefined) {
  count += 1;
  const pauses: number[] = [];
  const clock: Clock = {
    ...systemClock,
    pause: async (ms, signal) => {
      pauses.push(ms);
      atPause(pauses.length);
      signal?.throwIfAborted();
    },
  };
  const file = join(root, String(count));
  const source = { origin, bearer: () => 'secret', serverNow: () => undefined };
  const options: DownloadOptions = {
    ...{ source, release: '0.2.0', clock, signal: new AbortController().signal, file, onBytes: () => undefined },
    artifact: {
      ...{ name: 'node-agent.gz', kind: 'agent', os: 'linux', arch: 'x64' },
      ...{ size: bytes.length, sha256: sha256Of(bytes) },
    },
  };
  return { file, pauses, options, fetched: () => readFileSync(file).equals(bytes) };
}

describe('a download', () => {
  it('goes on where it was cut, also with what an earlier life had fetched', async () => {
    const { origin, ranges } = await controlPlane(cut(1000), cut(1000), honest());
    const { file, options, fetched } = ground(origin);
    writeFileSync(`${file}.part`, bytes.subarray(0, 500));

    await download(options);

    expect([ranges, fetched()]).toEqual([['bytes=500-', 'bytes=1500-', 'bytes=2500-'], true]);
    expect(existsSync(`${file}.part`)).toBe(false);
  });

  it('asks for nothing where all of it is there', async () => {
    const { origin, ranges } = await controlPlane(honest());
    const { file, options, fetched } = ground(origin);
    writeFileSync(`${file}.part`, bytes);

    await download(options);

    expect([ranges, fetched()]).toEqual([[], true]);
  });

  it.each([
    ['empty', short(0)],
    ['short', short(100)],
    [
      'short, and from the beginning each time',
      (_: IncomingMessage, to: ServerResponse) => to.end(bytes.subarray(0, 9)),
    ],
  ] as [string, Answer][])('pauses after an answer that is %s, and goes on', async (_what, answer) => {
    const { origin, ranges } = await controlPlane(answer, answer, honest());
    const { options, pauses, fetched } = ground(origin);

    await download(options);

    expect([ranges.length, pauses.length, fetched()]).toEqual([3, 2, true]);
  });

  it('has patience with a control plane that is away, for as long as its task has', async () => {
    const { origin } = await controlPlane(...Array<Answer>(40).fill(away), honest());
    const { options, pauses, fetched } = ground(origin);

    await download(options);

    expect([pauses.length, fetched()]).toEqual([40, true]);
    expect(Math.max(...pauses)).toBeLessThanOrEqual(30_000);
  });

  it('ends with its task', async () => {
    const { origin } = await controlPlane(short(0));
    const task = new AbortController();
    const { options } = ground(origin, (pauses) => pauses === 20 && task.abort(new Error('cancelled')));

    await expect(download({ ...options, signal: task.signal })).rejects.toThrow('cancelled');
  });

  it('is given up after so many attempts in a row that brought nothing, where it was told so', async () => {
    const { origin, ranges } = await controlPlane(away, cut(10), away, away, away, away);
    const { options } = ground(origin);

    await expect(download({ ...options, maxIdleAttempts: 3 })).rejects.toMatchObject({
      code: 'control_plane.unavailable',
    });
    expect(ranges).toEqual([undefined, undefined, 'bytes=10-', 'bytes=10-', 'bytes=10-']);
  });

  it('begins anew where what was there is of another file', async () => {
    const { origin, ranges } = await controlPlane(honest());
    const { file, options, fetched } = ground(origin);
    writeFileSync(`${file}.part`, Buffer.alloc(20, 1));

    await download(options);

    expect([ranges, fetched()]).toEqual([['bytes=20-', undefined], true]);
  });

  it.each([
    ['brings another file twice', Buffer.alloc(bytes.length, 1), 2],
    ['brings more than was signed', Buffer.concat([bytes, Buffer.from('x')]), 1],
  ])('is refused where the control plane %s', async (_what, other, requests) => {
    const { origin, ranges } = await controlPlane(honest(other));
    const { file, options } = ground(origin);

    await expect(download(options)).rejects.toMatchObject({ code: 'update.damaged' });
    expect([ranges.length, existsSync(file)]).toEqual([requests, false]);
  });

  it('is refused at once where the control plane refuses', async () => {
    const { origin, ranges } = await controlPlane((_request, response) => void response.writeHead(404).end());

    await expect(download(ground(origin).options)).rejects.toMatchObject({ code: 'control_plane.refused' });
    expect(ranges).toHaveLength(1);
  });
});

describe('a paper', () => {
  it('is fetched whole, once the control plane is back', async () => {
    const { origin } = await controlPlane(away, cut(10), honest());

    expect((await fetchPaper('release.json', bytes.length, ground(origin).options)).equals(bytes)).toBe(true);
  });

  it('is asked for again where the answer switches protocols, of which nobody asked it', async () => {
    const switching: Answer = (_request, { socket }) => {
      socket?.write('HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n');
    };
    const { origin } = await controlPlane(switching, honest());

    expect((await fetchPaper('release.json', bytes.length, ground(origin).options)).equals(bytes)).toBe(true);
  });

  it('that is longer than any is refused', async () => {
    const { origin } = await controlPlane(honest());

    await expect(fetchPaper('release.json', bytes.length - 1, ground(origin).options)).rejects.toMatchObject({
      code: 'update.damaged',
    });
  });
});
