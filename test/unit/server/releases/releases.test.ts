/** Publishing, uploading and serving of releases, over real HTTP. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { makeJoinToken } from '../../../../src/server/enrolment/join-token.ts';
import { aNode } from '../../../support/launch-samples.ts';
import { type MadeRelease, makeRelease, makeSigners } from '../../../support/releases.ts';
import { testServer } from '../../../support/test-server.ts';

const signers = makeSigners();
const server = await testServer({}, { releaseRoot: signers.root });
const { call, store } = server;
const path = '/api/v1/releases';
let number = 100;

/** One that no other test has. */
function another(given: Parameters<typeof makeRelease>[1] = {}): MadeRelease {
  number += 1;
  return makeRelease(signers, { seq: number, version: `1.${number}.0`, channel: `c${number}`, ...given });
}

const publish = (made: MadeRelease) => call('POST', path, { body: made.papers });

async function put(version: string, name: string, bytes: Buffer, offset?: number) {
  const query = offset === undefined ? '' : `?offset=${offset}`;
  const response = await fetch(`${server.url}${path}/${version}/files/${name}${query}`, {
    method: 'PUT',
    headers: { authorization: `Bearer ${server.tokens['admin']}`, 'content-type': 'application/octet-stream' },
    body: new Uint8Array(bytes),
  });
  // biome-ignore lint/suspicious/noExplicitAny: tests look into bodies of every shape.
  return { status: response.status, body: (await response.json()) as any };
}

async function publishWhole(made: MadeRelease): Promise<void> {
  await publish(made);
  for (const [name, bytes] of made.files) await put(made.release.version, name, bytes);
}

const agentFile = ({ release, files }: MadeRelease) => {
  const name = `node-agent-${release.version}-linux-x64.gz`;
  return { name, bytes: files.get(name) as Buffer };
};
const receivedOf = async (version: string, name: string) => {
  const { body } = await call('GET', `${path}/${version}`);
  return body.files.find((file: { name: string }) => file.name === name).received as number;
};
const releaseFolder = (version: string) => join(server.context.files.folder, version);

/** Bearer of a session that the node has. */
async function bearerOf(id: string): Promise<string> {
  const bearer = `${id}.1.${'b'.repeat(43)}`;
  const bearer_hash = createHash('sha256').update(bearer).digest('base64url');
  await store.write(async (tx) => {
    if (!(await tx.nodes.get(id))) await tx.nodes.insert(aNode({ id, bearer_hash, epoch_confirmed: 1 }));
  });
  return bearer;
}

const get = async (address: string, bearer: string | null, headers: Record<string, string> = {}) => {
  const authorization = bearer === null ? {} : { authorization: `Bearer ${bearer}` };
  const response = await fetch(`${server.url}${address}`, { headers: { ...authorization, ...headers } });
  return { status: response.status, headers: response.headers, bytes: Buffer.from(await response.arrayBuffer()) };
};

describe('a release', () => {
  it('is published by its papers, and complete once its files are here', async () => {
    const made = another();
    const { version } = made.release;

    const published = await publish(made);
    const [first, second] = [...made.files];
    const half = await put(version, first?.[0] ?? '', first?.[1] ?? Buffer.alloc(0));
    const whole = await put(version, second?.[0] ?? '', second?.[1] ?? Buffer.alloc(0));
    const events = await store.read((tx) => tx.events.list({ after: 0, limit: 500, subject_id: published.body.id }));

    expect(published).toMatchObject({ status: 201, body: { version, state: 'published', complete: false } });
    expect(half).toMatchObject({ status: 200, body: { complete: false } });
    expect(whole).toMatchObject({ status: 200, body: { complete: true } });
    expect(events.map(({ type }) => type)).toEqual(['release.published', 'release.complete']);
    expect(JSON.stringify(published.body)).not.toContain(made.papers.manifest_signature);
  });

  it('may be published again, and with papers that were signed anew for longer', async () => {
    const made = another();
    const longer = makeRelease(signers, { ...made.release, expires: '2099-06-01T00:00:00Z' });

    const answers = [await publish(made), await publish(made), await publish(longer)];

    expect(answers.map(({ status }) => status)).toEqual([201, 201, 201]);
    expect(new Set(answers.map(({ body }) => body.id)).size).toBe(1);
    expect(answers[2]?.body.expires).toBe('2099-06-01T00:00:00Z');
  });

  it.each([
    ['another root signed it', () => makeRelease(makeSigners(), { seq: 900, version: '9.0.0' }), 'update.untrusted'],
    [
      'a byte of it is another one',
      () => {
        const made = another();
        const manifest = Buffer.from(made.papers.manifest, 'base64').toString().replace('"floor":0', '"floor":1');
        return { ...made, papers: { ...made.papers, manifest: Buffer.from(manifest).toString('base64') } };
      },
      'update.untrusted',
    ],
    ['it has expired', () => another({ expires: '2026-11-25T09:00:00Z' }), 'update.expired'],
  ])('is refused where %s', async (_, make, code) => {
    const made = make();

    const { status, body } = await publish(made);

    expect([status, body.error.code]).toEqual([403, code]);
    expect((await call('GET', `${path}/${made.release.version}`)).status).toBe(404);
  });

  it('is refused under a version or a number that another one has', async () => {
    const made = another();
    await publish(made);
    const { version, seq } = made.release;
    const other = makeRelease(signers, { ...made.release, artifacts: another().release.artifacts });

    const answers = [await publish(other), await publish(makeRelease(signers, { seq, version: '7.7.7' }))];

    expect(answers.map(({ status, body }) => [status, body.error.code])).toEqual(
      Array(2).fill([409, 'resource.conflict']),
    );
    expect(answers[1]?.body.error.message).toContain(version);
  });

  it('is not published, withdrawn or uploaded by those who are not of the platform', async () => {
    const made = another();
    const { version } = made.release;
    await publish(made);
    const reason = 'Not theirs.';

    const answers = [
      await call('POST', path, { as: 'member', body: made.papers }),
      await call('POST', `${path}/${version}/withdraw`, { as: 'viewer', body: { reason } }),
      await call('PUT', `${path}/${version}/files/bootstrap.sh`, {
        ...{ as: 'member', body: 'x', headers: { 'content-type': 'application/octet-stream' } },
      }),
    ];

    expect(answers.map(({ status }) => status)).toEqual([403, 403, 403]);
    expect(await receivedOf(version, 'bootstrap.sh')).toBe(0);
  });
});

describe('a file of a release', () => {
  it('comes in pieces, each behind what is there, and begins anew at 0', async () => {
    const made = another();
    const { version } = made.release;
    const { name, bytes } = agentFile(made);
    await publish(made);

    await put(version, name, bytes.subarray(0, 30_000), 0);
    const wrong = await put(version, name, bytes.subarray(40_000), 40_000);
    const there = await receivedOf(version, name);
    await put(version, name, bytes.subarray(0, 10_000));
    const anew = await receivedOf(version, name);
    await put(version, name, bytes.subarray(10_000, 60_000), 10_000);
    const last = await put(version, name, bytes.subarray(60_000), 60_000);

    expect([wrong.status, wrong.body.error.code, there, anew]).toEqual([409, 'resource.conflict', 30_000, 10_000]);
    expect(last.status).toBe(200);
    expect(await receivedOf(version, name)).toBe(bytes.length);
  });

  it('is refused where it is another one, longer, or not of the release, and nothing of it stays', async () => {
    const made = another();
    const { version } = made.release;
    const { name, bytes } = agentFile(made);
    await publish(made);
    const other = Buffer.from(bytes);
    other[50_000] = 0;

    const answers = [
      await put(version, name, other),
      await put(version, name, Buffer.concat([bytes, Buffer.from('x')])),
      await put(version, 'something-else', bytes),
    ];

    expect(answers.map(({ status, body }) => [status, body.error.code])).toEqual([
      [503, 'update.damaged'],
      [503, 'update.damaged'],
      [404, 'resource.not_found'],
    ]);
    expect(await receivedOf(version, name)).toBe(0);
    expect(readdirSync(releaseFolder(version))).toEqual([]);
  });

  it('that is whole stays as it is, whatever comes under its name', async () => {
    const made = another();
    const { version } = made.release;
    const { name, bytes } = agentFile(made);
    await publishWhole(made);
    const bearer = await bearerOf('node-whole');

    const again = await put(version, name, Buffer.alloc(bytes.length, 'x'));
    const { bytes: served } = await get(`/agent/v1/releases/${version}/${name}`, bearer);

    expect(again.status).toBe(200);
    expect(served.equals(bytes)).toBe(true);
  });

  it('that is all there, but for the look at it, is asked for its last byte again, and whole with it', async () => {
    const made = another();
    const { version } = made.release;
    const { name, bytes } = agentFile(made);
    await publish(made);
    mkdirSync(releaseFolder(version), { recursive: true });
    writeFileSync(join(releaseFolder(version), `.${name}.part`), bytes);
    const there = await receivedOf(version, name);

    const last = await put(version, name, bytes.subarray(there), there);

    expect([there, last.status]).toEqual([bytes.length - 1, 200]);
    expect(await receivedOf(version, name)).toBe(bytes.length);
    expect(readdirSync(releaseFolder(version))).toEqual([name]);
  });

  it.each([0, 30_000])('that is cut on its way leaves what was there: %i bytes', async (there) => {
    const made = another();
    const { version } = made.release;
    const { name, bytes } = agentFile(made);
    await publish(made);
    if (there > 0) await put(version, name, bytes.subarray(0, there));

    const sending = request(`${server.url}${path}/${version}/files/${name}?offset=${there}`, {
      method: 'PUT',
      headers: {
        ...{ authorization: `Bearer ${server.tokens['admin']}`, 'content-type': 'application/octet-stream' },
        'content-length': String(bytes.length - there),
      },
    });
    const failed = once(sending, 'error').catch(() => undefined);
    sending.write(bytes.subarray(there, there + 20_000));
    const part = join(releaseFolder(version), `.${name}.part`);
    await expect.poll(() => existsSync(part)).toBe(true);
    sending.destroy();
    await failed;

    // The next piece waits for the end of the one before.
    const whole = await put(version, name, bytes.subarray(there), there);
    expect(whole.status).toBe(200);
    expect(await receivedOf(version, name)).toBe(bytes.length);
    expect(existsSync(part)).toBe(false);
  });

  it('is taken as a file only, and only where one is taken', async () => {
    const made = another();
    await publish(made);
    const { version } = made.release;

    const json = await call('PUT', `${path}/${version}/files/bootstrap.sh`, { body: {} });
    const bytes = await call('POST', path, { body: 'x', headers: { 'content-type': 'application/octet-stream' } });

    expect(json.body.error?.errors[0].message).toBe('must be application/octet-stream');
    expect(bytes.body.error.errors[0].message).toBe('must be application/json');
  });
});

describe('a node', () => {
  it('gets papers and files by the bearer of its session, whole, from where it was cut, or not again', async () => {
    const made = another();
    const { version, channel } = made.release;
    const { name, bytes } = agentFile(made);
    await publishWhole(made);
    const bearer = await bearerOf('node-reads');
    const address = `/agent/v1/releases/${version}/${name}`;

    const manifest = await get(`/agent/v1/releases/${channel}/release.json`, bearer);
    const whole = await get(address, bearer);
    const rest = await get(address, bearer, { range: 'bytes=99990-' });
    const last = await get(address, bearer, { range: 'bytes=-4' });
    const middle = await get(address, bearer, { range: 'bytes=10-19', 'if-range': whole.headers.get('etag') ?? '' });
    const other = await get(address, bearer, { range: 'bytes=10-19', 'if-range': '"another"' });
    const beyond = await get(address, bearer, { range: `bytes=${bytes.length}-` });
    const same = await get(address, bearer, { 'if-none-match': whole.headers.get('etag') ?? '' });

    expect(manifest.bytes.toString('base64')).toBe(made.papers.manifest);
    expect(manifest.headers.get('cache-control')).toBe('private, no-cache');
    expect(whole.bytes.equals(bytes)).toBe(true);
    expect(whole.headers.get('cache-control')).toBe('private, max-age=31536000, immutable');
    expect([rest.status, rest.headers.get('content-range')]).toEqual([206, 'bytes 99990-99999/100000']);
    expect(rest.bytes.equals(bytes.subarray(99_990))).toBe(true);
    expect(last.bytes.equals(bytes.subarray(-4))).toBe(true);
    expect([middle.status, middle.bytes.equals(bytes.subarray(10, 20))]).toEqual([206, true]);
    expect([other.status, other.bytes.length]).toEqual([200, bytes.length]);
    expect([beyond.status, beyond.headers.get('content-range')]).toEqual([416, 'bytes */100000']);
    expect([same.status, same.bytes.length]).toEqual([304, 0]);
  });

  it('has so many downloads open that nobody reads, and keeps nobody else from theirs', async () => {
    // More than the buffers of a connection take in.
    const made = another({ agentBytes: 24 * 2 ** 20 });
    const { version } = made.release;
    const { name } = agentFile(made);
    await publishWhole(made);
    const [greedy, other] = [await bearerOf('node-greedy'), await bearerOf('node-other')];
    const address = `/agent/v1/releases/${version}/${name}`;
    const begin = async (bearer: string) => {
      const asked = request(`${server.url}${address}`, {
        headers: { authorization: `Bearer ${bearer}` },
        agent: false,
      });
      asked.on('error', () => undefined).end();
      const [response] = await once(asked, 'response');
      response.pause().on('error', () => undefined);
      return { status: response.statusCode as number, end: () => asked.destroy() };
    };

    const begun = await Promise.all(Array.from({ length: 8 }, () => begin(greedy)));
    const [ninth, neighbour] = [await begin(greedy), await begin(other)];
    const paper = await get(`/agent/v1/releases/${version}/release.json`, greedy);
    begun[0]?.end();

    expect(begun.map(({ status }) => status)).toEqual(Array.from({ length: 8 }, () => 200));
    expect([ninth.status, neighbour.status, paper.status]).toEqual([503, 200, 200]);
    await expect
      .poll(async () => {
        const { status, end } = await begin(greedy);
        end();
        return status;
      })
      .toBe(200);
    for (const each of [...begun, ninth, neighbour]) each.end();
  });

  it('gets nothing by another bearer, of what is not there, and of what was withdrawn', async () => {
    const made = another();
    const { version } = made.release;
    await publishWhole(made);
    const bearer = await bearerOf('node-refused');
    const address = `/agent/v1/releases/${version}`;

    const strangers = [await get(`${address}/release.json`, null), await get(`${address}/release.json`, 'node-x.1.y')];
    const nothing = [
      await get(`${address}/unknown`, bearer),
      await get('/agent/v1/releases/nowhere/release.json', bearer),
    ];
    const reason = 'It burns hosts.';
    const withdrawn = await call('POST', `${path}/${version}/withdraw`, { body: { reason } });
    const after = await get(`${address}/release.json`, bearer);

    expect(strangers.map(({ status }) => status)).toEqual([401, 401]);
    expect(nothing.map(({ status }) => status)).toEqual([404, 404]);
    expect(withdrawn.body).toMatchObject({ state: 'withdrawn', withdrawn_reason: reason, complete: false });
    expect([after.status, after.bytes.toString()]).toEqual([404, expect.stringContaining(reason)]);
    await expect.poll(() => existsSync(releaseFolder(version))).toBe(false);
    expect((await publish(made)).status).toBe(409);
  });
});

describe('a host that is no node yet', () => {
  async function joinToken(): Promise<string> {
    const { keys } = server.context;
    const now = Date.parse('2026-11-25T10:00:00.000Z');
    const wanted = { allocation_id: 'alloc-1', created_by: 'init', now, ca: '' };
    const { token } = await store.write((tx) => makeJoinToken(tx, keys, wanted));
    return token.split('.').slice(0, 2).join('.');
  }

  it('gets the newest release of a channel by its join token, and nothing without', async () => {
    const channel = 'edge';
    const older = another({ channel });
    const newer = another({ channel });
    await publishWhole(older);
    await publishWhole(newer);
    // What is not whole is given to nobody.
    await publish(another({ channel }));
    const token = await joinToken();
    const address = `/agent/v1/bootstrap/${channel}`;

    const manifest = await get(`${address}/release.json`, token);
    const { name, bytes } = agentFile(newer);
    const agent = await get(`${address}/${name}`, token);
    await call('POST', `${path}/${newer.release.version}/withdraw`, { body: { reason: 'A mistake.' } });
    const before = await get(`${address}/release.json`, token);
    const stranger = await get(`${address}/release.json`, `${token.slice(0, 17)}${'A'.repeat(43)}`);

    expect(manifest.bytes.toString('base64')).toBe(newer.papers.manifest);
    expect(agent.bytes.equals(bytes)).toBe(true);
    expect(before.bytes.toString('base64')).toBe(older.papers.manifest);
    expect(stranger.status).toBe(403);
  });

  it('gets the bootstrap of the channel `stable` without any proof', async () => {
    const none = await get('/bootstrap.sh', null);
    const made = another({ channel: 'stable' });
    await publishWhole(made);
    const script = await get('/bootstrap.sh', null);

    expect(none.status).toBe(404);
    expect(script.headers.get('content-type')).toBe('text/x-shellscript; charset=utf-8');
    expect(script.bytes.toString()).toBe(`#!/bin/sh\necho ${made.release.version}\n`);
  });
});
