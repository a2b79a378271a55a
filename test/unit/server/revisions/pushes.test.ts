/** How tarballs come here, and what becomes of them, over real HTTP. */
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { mkdirSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { makeToken } from '../../../../src/server/http/tokens.ts';
import { abandonedMs } from '../../../../src/server/revisions/keep-pushes.ts';
import { sweep } from '../../../../src/server/sweep.ts';
import { eventually } from '../../../support/eventually.ts';
import { aJob } from '../../../support/job-samples.ts';
import { haveRevision } from '../../../support/revision-samples.ts';
import { testServer } from '../../../support/test-server.ts';
import { tarOf, zeros } from '../../kit/tarball/tar-bytes.ts';

const limits = { each: 2 ** 20, project: 2 ** 20 };
const server = await testServer({ revisions: limits });
const { call, store, context } = server;
const sha256Of = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
const pushes = (project = 'p1') => `/api/v1/projects/${project}/pushes`;
const filesOf = (project: string) => readdirSync(join(server.revisionFolder, project));

async function announce(bytes: Uint8Array, { as = 'member', project = 'p1', named = true } = {}) {
  const body = { bytes: bytes.length, ...(named ? { sha256: sha256Of(bytes) } : {}) };
  return await call('POST', pushes(project), { as, body });
}

async function put(push: string, offset: number, bytes: Uint8Array, token = server.tokens['member']) {
  const response = await fetch(`${server.url}${pushes()}/${push}?offset=${offset}`, {
    method: 'PUT',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/octet-stream' },
    body: new Uint8Array(bytes),
  });
  // biome-ignore lint/suspicious/noExplicitAny: tests look into bodies of every shape.
  return { status: response.status, body: (await response.json()) as any };
}

/** One whose first byte is here; `over` is the status of its answer, or undefined where its connection ended before. */
async function sending(tarball: Uint8Array) {
  const { body } = await announce(tarball, { named: false });
  const asked = request(`${server.url}${pushes()}/${body.id}?offset=0`, {
    method: 'PUT',
    headers: {
      authorization: `Bearer ${server.tokens['member']}`,
      ...{ 'content-type': 'application/octet-stream', 'content-length': tarball.length },
    },
  });
  const { promise: over, resolve } = Promise.withResolvers<number | undefined>();
  asked.once('response', (answer) => resolve(answer.resume().statusCode)).once('error', () => resolve(undefined));
  asked.write(tarball.subarray(0, 1));
  await eventually(() => expect(filesOf('p1')).toContain(`.${body.id}.part`));
  return { id: body.id as string, over, finish: () => void asked.end(tarball.subarray(1)) };
}

/** The push once it is over. */
async function push(tarball: Uint8Array) {
  const { body } = await announce(tarball, { named: false });
  await put(body.id, 0, tarball);
  return await eventually(async () => {
    const { body: now } = await call('GET', `${pushes()}/${body.id}`, { as: 'viewer' });
    expect(['accepted', 'refused']).toContain(now.state);
    return now;
  });
}

const smallest = {
  version: 1,
  runtime: { kind: 'oci', sandbox: 'gvisor', workdir: '/workspace' },
  entrypoint: { command: ['python', 'job.py'] },
};
const file = (path: string, content: string) => ({ name: path, content });

describe('a push', () => {
  it('comes in pieces, and goes on where it was after it broke off', async () => {
    const tarball = randomBytes(100_000);

    const begun = await announce(tarball);
    const first = await put(begun.body.id, 0, tarball.subarray(0, 60_000));
    const again = await announce(tarball);
    const wrong = await put(begun.body.id, 10, tarball.subarray(10));
    const whole = await put(begun.body.id, 60_000, tarball.subarray(60_000));

    expect([begun.status, begun.body]).toMatchObject([201, { state: 'receiving', received: 0, bytes: 100_000 }]);
    expect(first.body).toMatchObject({ state: 'receiving', received: 60_000 });
    expect(again.body).toMatchObject({ id: begun.body.id, received: 60_000 });
    expect(wrong.body.error).toMatchObject({ code: 'resource.conflict', recommended_action: expect.any(String) });
    expect(whole.body).toMatchObject({ id: begun.body.id, received: 100_000 });
    expect(whole.body.state).not.toBe('receiving');
  });

  it('is what was announced, or begins anew', async () => {
    const { body } = await announce(randomBytes(1000));

    const other = await put(body.id, 0, randomBytes(1000));
    const longer = await put(body.id, 0, randomBytes(1001));

    expect(other.body.error).toMatchObject({ code: 'push.damaged' });
    expect(longer.body.error).toMatchObject({ code: 'push.damaged' });
    expect((await call('GET', `${pushes()}/${body.id}`)).body).toMatchObject({ state: 'receiving', received: 0 });
  });

  it('is raw bytes and no form (X-14)', async () => {
    const { body } = await announce(randomBytes(1000));
    const form = new FormData();
    form.append('file', new Blob(['x']));

    const response = await fetch(`${server.url}${pushes()}/${body.id}?offset=0`, {
      ...{ method: 'PUT', headers: { authorization: `Bearer ${server.tokens['member']}` }, body: form },
    });

    expect(response.status).toBe(400);
  });

  it('is for members of its project, and unknown to others', async () => {
    const tarball = randomBytes(10);
    const { body } = await announce(tarball);

    expect((await announce(tarball, { as: 'viewer' })).status).toBe(403);
    expect((await announce(tarball, { as: 'stranger' })).status).toBe(404);
    expect((await announce(tarball, { as: 'admin', project: 'p9' })).status).toBe(404);
    expect((await put(body.id, 0, tarball, server.tokens['stranger'])).status).toBe(404);
    expect((await call('GET', `${pushes()}/${body.id}`, { as: 'stranger' })).status).toBe(404);
    expect((await call('GET', `${pushes('p2')}/${body.id}`, { as: 'stranger' })).status).toBe(404);
  });

  it('under one Idempotency-Key is made once, also without a sha256', async () => {
    const headers = { 'idempotency-key': randomUUID() };
    const ask = (bytes: number) => call('POST', pushes(), { as: 'member', headers, body: { bytes } });

    const [one, two, other] = [await ask(7), await ask(7), await ask(8)];

    expect(two.body.id).toBe(one.body.id);
    expect(other.body.error).toMatchObject({ code: 'idempotency.conflict' });
  });

  it('is refused where it is more than may be kept', async () => {
    const ask = (bytes: number) => call('POST', pushes('p2'), { as: 'stranger', body: { bytes } });
    await haveRevision(server, randomBytes(10), { project_id: 'p2', bytes: 900_000 });

    const tooLarge = await ask(limits.each + 1);
    const onTop = await ask(200_000);
    const fits = await ask(100_000);
    const more = await ask(100_000);

    expect(tooLarge.body.error).toMatchObject({ code: 'request.too_large' });
    expect(onTop.body.error).toMatchObject({ code: 'resource.too_many', message: expect.stringContaining('above') });
    expect(fits.status).toBe(201);
    // What is on its way counts as well.
    expect(more.body.error).toMatchObject({ code: 'resource.too_many' });
  });

  it('is refused where it unpacks to more than may be kept, and nothing of it stays', async () => {
    const tar = tarOf(
      file('computalot.project.json', JSON.stringify(smallest)),
      file('Dockerfile', 'FROM scratch\n'),
      file('zeros', '\0'.repeat(limits.each)),
    );

    const refused = await push(gzipSync(tar));

    expect(refused).toMatchObject({
      ...{ state: 'refused', revision_sha256: null },
      failure: { code: 'request.too_large', message: expect.stringContaining('one may have') },
    });
    await eventually(() =>
      expect(filesOf('p1').filter((name) => /^[0-9a-f]{64}$/.test(name) || name.includes(refused.id))).toEqual([]),
    );
  });

  it('of a tar that is a revision already needs no bytes', async () => {
    const tar = randomBytes(1000);
    const { sha256 } = await haveRevision(server, tar);

    expect((await announce(tar)).body).toMatchObject({ state: 'accepted', revision_sha256: sha256 });
  });

  it('of a revision whose bytes are gone is taken again', async () => {
    const tar = randomBytes(1000);
    const { sha256 } = await haveRevision(server, tar);
    rmSync(join(server.revisionFolder, 'p1', sha256));

    expect((await announce(tar)).body).toMatchObject({ state: 'receiving', revision_sha256: null });
  });

  it('is cut off where its place goes to another token of its project, and goes on when it is asked for again', async () => {
    const tarball = randomBytes(1000);
    const { id, secret_hash, token } = makeToken();
    await store.write(async (tx) => {
      const [known] = (await tx.api_tokens.list({})).filter(({ name }) => name === 'member');
      if (known) await tx.api_tokens.insert({ ...known, id, secret_hash, name: 'other' });
    });
    const begun: { readonly id: string; readonly over: Promise<number | undefined>; finish(): void }[] = [];
    for (let count = 0; count < 8; count += 1) begun.push(await sending(tarball));

    const { body } = await announce(tarball, { named: false });
    const other = await put(body.id, 0, tarball, token);

    expect(other.body).toMatchObject({ id: body.id, received: 1000 });
    const [eldest, ...others] = begun;
    expect(await eldest?.over).toBeUndefined();
    for (const each of others) each.finish();
    expect(await Promise.all(others.map(({ over }) => over))).toEqual(Array(7).fill(200));
    const { body: left } = await call('GET', `${pushes()}/${eldest?.id}`, { as: 'viewer' });
    expect(left).toMatchObject({ state: 'receiving', received: 0 });
    const judging = () => store.read((tx) => tx.pushes.count({ state: 'judging' }));
    await eventually(async () => expect(await judging()).toBe(0));
    expect((await put(eldest?.id ?? '', 0, tarball)).status).toBe(200);
    await eventually(async () => expect(await judging()).toBe(0));
  });

  it('that nobody goes on with is forgotten, with its bytes', async () => {
    const { body } = await announce(randomBytes(1000));
    await put(body.id, 0, randomBytes(500));
    const part = `.${body.id}.part`;
    expect(filesOf('p1')).toContain(part);

    server.advance(abandonedMs + 1);
    await sweep(store, context.clock.wallMs());
    utimesSync(join(server.revisionFolder, 'p1', part), new Date(0), new Date(0));
    await context.revisions.dropOrphans(Date.now());

    expect((await call('GET', `${pushes()}/${body.id}`)).status).toBe(404);
    expect(filesOf('p1')).not.toContain(part);
  });
});

describe('a tarball', () => {
  it('without a manifest is refused, and nothing of it stays (C-1)', async () => {
    const refused = await push(gzipSync(tarOf(file('job.py', 'print(1)'), file('Dockerfile', 'FROM scratch'))));

    expect(refused).toMatchObject({
      ...{ state: 'refused', failure: { code: 'push.refused' }, recommended_action: 'correct' },
      errors: [
        { code: 'missing', message: expect.stringContaining('the root of the tarball has no computalot.project.json') },
      ],
    });
    expect(refused.errors[0].hint).not.toBe('');
    await eventually(() => expect(filesOf('p1').filter((name) => name.includes(refused.id))).toEqual([]));
    const events = await store.read((tx) => tx.events.list({ after: 0, limit: 10, subject_id: refused.id }));
    expect(events).toMatchObject([{ type: 'push.refused', project_id: 'p1' }]);
  });

  it('with its manifest in a sub-folder is told where that is (C-2)', async () => {
    const refused = await push(
      tarOf(file('project/computalot.project.json', '{}'), file('project/Dockerfile', 'FROM scratch')),
    );

    expect(refused.errors).toMatchObject([
      { message: expect.stringContaining('it is in a sub-folder, as project/computalot.project.json') },
    ]);
  });

  it.each([
    ['climbs', tarOf(file('../evil', 'x'))],
    ['has a device', tarOf({ name: 'disk', type: '4' })],
    ['has a link out', tarOf({ name: 'link', type: '2', link: '../../etc/passwd' })],
    ['is a bomb', gzipSync(Buffer.concat([tarOf(file('zeros', '\0'.repeat(80 * 2 ** 20))), zeros]))],
    ['is no tar', randomBytes(5000)],
    ['is cut', gzipSync(tarOf(file('a', 'b'.repeat(5000)))).subarray(0, 60)],
  ])('that %s is refused with what is wrong, and nothing of it stays', async (_what, tarball) => {
    const refused = await push(tarball);

    expect(refused).toMatchObject({ state: 'refused', failure: { code: 'push.refused' } });
    expect(refused.errors).not.toEqual([]);
    for (const { message, hint } of refused.errors) expect([message, hint]).not.toContain('');
    await eventually(() => expect(filesOf('p1').filter((name) => name.includes(refused.id))).toEqual([]));
  });

  it('whose manifest cannot be read is refused by its place', async () => {
    const refused = await push(tarOf(file('computalot.project.json', '{"version": 1, "version": 2}')));

    expect(refused.errors).toMatchObject([{ path: '', message: 'line 1, column 16: gives the key "version" twice' }]);
  });

  it('whose bytes were here when the control plane died is judged by the next one', async () => {
    const tarball = tarOf(file('job.py', 'print(1)'));
    const id = randomUUID();
    mkdirSync(join(server.revisionFolder, 'p1'), { recursive: true });
    writeFileSync(join(server.revisionFolder, 'p1', id), tarball);
    const at = '2026-11-25T10:00:00.000Z';
    await store.write((tx) =>
      tx.pushes.insert({
        ...{ id, project_id: 'p1', sha256: null, bytes: tarball.length, state: 'judging', revision_sha256: null },
        ...{ failure: null, errors: [], warnings: [], left_out: [], created_at: at, created_by: 'token-1' },
        ...{ ended_at: null, trace_id: 'trace-1' },
      }),
    );

    await eventually(async () => {
      expect((await call('GET', `${pushes()}/${id}`)).body).toMatchObject({
        state: 'refused',
        errors: [{ code: 'missing' }],
      });
    });
  });
});

describe('a revision', () => {
  const revisions = (project = 'p1') => `/api/v1/projects/${project}/revisions`;

  it('takes jobs at once, and is prepared where hosts have built it (X-14)', async () => {
    const revision = await haveRevision(server, randomBytes(100), {}, { version: 1 });

    const shown = await call('GET', `${revisions()}/${revision.sha256}`, { as: 'viewer' });
    const listed = await call('GET', revisions(), { as: 'viewer' });
    const manifest = await call('GET', `${revisions()}/${revision.sha256}/manifest`, { as: 'viewer' });

    expect(shown.body).toMatchObject({ sha256: revision.sha256, accepting_jobs: true, prepared_on: [] });
    expect(listed.body.items).toContainEqual(shown.body);
    expect(manifest.body).toEqual({ manifest: { version: 1 } });
    expect((await call('GET', `${revisions()}/${revision.sha256}`, { as: 'stranger' })).status).toBe(404);
  });

  it('is removed once no job needs it, with its bytes', async () => {
    const { sha256 } = await haveRevision(server, randomBytes(100));
    const job = aJob({ id: randomUUID(), revision_sha256: sha256 });
    await store.write((tx) => tx.jobs.insert(job));
    const remove = (as = 'member') => call('DELETE', `${revisions()}/${sha256}`, { as });

    const early = await remove();
    const attempts = job.attempts.map((attempt) => ({ ...attempt, ended_at: job.created_at }));
    await store.write((tx) => tx.jobs.put({ ...job, state: 'succeeded', attempts }));
    const others = [await remove('viewer'), await remove('stranger')];
    const removed = await remove();

    expect(early.body.error).toMatchObject({ code: 'revision.in_use', message: expect.stringContaining(job.id) });
    expect(others.map(({ status }) => status)).toEqual([403, 404]);
    expect(removed.body).toEqual({ removed: true });
    expect((await call('GET', `${revisions()}/${sha256}`)).status).toBe(404);
    await eventually(() => expect(filesOf('p1')).not.toContain(sha256));
  });
});
