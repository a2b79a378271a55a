/** Which node gets the files of a revision, over real HTTP. */
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { revisionsPath } from '../../../../src/contract/signing.ts';
import { aJob, nodeWithSession } from '../../../support/job-samples.ts';
import { haveRevision } from '../../../support/revision-samples.ts';
import { testServer } from '../../../support/test-server.ts';

const server = await testServer();
const { store } = server;
const bearers = {
  own: await nodeWithSession(store, 'node-1'),
  other: await nodeWithSession(store, 'node-2'),
};
const sha256Of = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

function get(sha256: string, bearer = bearers.own, headers: Record<string, string> = {}) {
  return fetch(`${server.url}${revisionsPath}/${sha256}`, {
    headers: { authorization: `Bearer ${bearer}`, ...headers },
  });
}

async function giveJob(revision_sha256: string, given: Parameters<typeof aJob>[0] = {}) {
  const job = aJob({ id: randomUUID(), revision_sha256, ...given });
  await store.write((tx) => tx.jobs.insert(job));
  return job;
}

describe('the files of a revision', () => {
  it('go to the node that has a job of it, whole or from where it had stopped', async () => {
    const tar = randomBytes(300_000);
    const { sha256 } = await haveRevision(server, tar);
    await giveJob(sha256);

    const whole = await get(sha256);
    const rest = await get(sha256, bearers.own, { range: 'bytes=200000-', 'if-range': `"${sha256}"` });

    expect(whole.headers.get('content-length')).toBe('300000');
    expect(whole.headers.get('etag')).toBe(`"${sha256}"`);
    expect(sha256Of(new Uint8Array(await whole.arrayBuffer()))).toBe(sha256);
    expect([rest.status, rest.headers.get('content-range')]).toEqual([206, 'bytes 200000-299999/300000']);
    expect(Buffer.from(await rest.arrayBuffer()).equals(tar.subarray(200_000))).toBe(true);
  });

  it('go to nobody else: as if there were none', async () => {
    const { sha256 } = await haveRevision(server, randomBytes(1000));
    const before = await get(sha256);
    const job = await giveJob(sha256);

    expect(before.status).toBe(404);
    expect((await get(sha256, bearers.other)).status).toBe(404);
    expect((await get(sha256, 'node-1.1.wrong')).status).toBe(401);
    expect((await get(sha256, server.tokens['admin'])).status).toBe(401);
    expect((await get('f'.repeat(64))).status).toBe(404);
    const ended = job.attempts.map((attempt) => ({ ...attempt, ended_at: job.created_at }));
    await store.write((tx) => tx.jobs.put({ ...job, attempts: ended }));
    expect((await get(sha256)).status).toBe(404);
  });

  it('are those of the project of the job, whoever has the same', async () => {
    const tar = randomBytes(1000);
    const { sha256 } = await haveRevision(server, tar, { project_id: 'p2' });
    await giveJob(sha256, { project_id: 'p1' });

    expect((await get(sha256)).status).toBe(404);
  });
});
