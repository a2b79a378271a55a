/** Whose manifests a host carries out, with a real control plane and agent: what is refused is read where the job was submitted. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { JobView } from '../../src/server/jobs/job-view.ts';
import { base64, makeAuthor, proofOf } from '../support/authors.ts';
import { until } from '../support/daemon-ground.ts';
import { withNetwork } from '../support/payload-manifests.ts';
import { startNodeAgent } from '../support/run-task-process.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { openWire, type Wire } from '../support/wire-ground.ts';

const folder = temporaryFolder('golem-trust');
const author = makeAuthor(folder, 'Jane Author');
const image = { urls: ['http://127.0.0.1:9/none.gvmi'], hash: `sha3:${'0'.repeat(56)}` };
const online = { ...withNetwork({ inet: { out: { urls: ['https://api.example.com'] } } }), payload: [image] };
const { expiresAt: _end, compManifest: _promises, ...undated } = online;
let wire: Wire;

beforeAll(async () => {
  wire = await openWire({ withoutApp: true, agentConfig: { payloads: { max_gib: 0.02, unpacked_gib: 0.02 } } });
}, 180_000);
afterAll(() => wire?.close());

function file(name: string, content: string | Buffer): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

/** A job of the manifest that does nothing. */
async function submit(name: string, manifest: object, ...more: readonly string[]): Promise<JobView> {
  const batch = file('batch.json', JSON.stringify([{ deploy: {} }, { start: {} }]));
  const document = file(`${name}.json`, JSON.stringify(manifest));
  const options = ['--script', batch, '--sandbox', 'runc', '--json', ...more];
  const { stdout, stderr } = await wire.member.cli('jobs', 'submit', document, ...options).ended;
  const job = JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as JobView;
  if (job.id === undefined) throw new Error(stdout + stderr);
  return job;
}

/** What the host has told of the manifest of a job. */
async function told(id: string) {
  const { body } = await wire.member.call('GET', `/api/v1/jobs/${id}/events`);
  const { items } = body as { items: { data: { type?: string; steps?: unknown }; message: string }[] };
  return items.filter(({ data }) => /^manifest\./.test(data.type ?? ''));
}

/** The job when it has been refused, as who has submitted it sees it. */
async function refused(...given: Parameters<typeof submit>) {
  const job = await submit(...given, '--wait');
  return { job, page: (await wire.member.cli('jobs', 'describe', job.id).ended).stdout, events: await told(job.id) };
}

/** Whether it is carried out. Its image is nowhere, so it is not waited for. */
async function isCarriedOut(...given: Parameters<typeof submit>): Promise<boolean> {
  const { id } = await submit(...given);
  await until(async () => (await told(id)).length > 0, 'the manifest to be judged');
  const [event] = await told(id);
  await wire.member.cli('jobs', 'cancel', id).ended;
  return event?.data.type === 'manifest.accepted';
}

async function trust(...args: readonly string[]) {
  const { code, stderr } = await startNodeAgent(['trust', ...args, '--config', wire.configFile]).ended;
  expect({ code, stderr }).toMatchObject({ code: 0 });
}

const signed = () => {
  const { signature, certificate } = proofOf(base64(online), author);
  return [
    ...['--signature', file('manifest.sig', Buffer.from(signature, 'base64'))],
    ...['--certificate', file('author.pem', Buffer.from(certificate, 'base64'))],
  ];
};

it('a manifest that nobody known has signed is refused, and who submitted it reads why, step by step (M-43, X-25)', async () => {
  const { job, page, events } = await refused('unknown', online, ...signed());

  expect(job).toMatchObject({ state: 'failed', failure: { code: 'manifest.refused' } });
  expect(page).toContain('The operator of the host does not let this manifest be carried out. [manifest.refused]');
  expect(page).toMatch(/^\s+everyone, refused: .*it does not have api\.example\.com\.$/m);
  expect(page).toMatch(/^\s+audited_payload, refused: The keystore of this host does not have CN=Jane Author/m);
  expect(events).toMatchObject([
    {
      message: expect.stringContaining('api.example.com'),
      data: {
        type: 'manifest.refused',
        steps: expect.arrayContaining([
          expect.objectContaining({ what: 'partner', outcome: 'refused', why: expect.stringContaining('Nothing was') }),
        ]),
      },
    },
  ]);
  expect(await wire.containers(job.id)).toEqual([]);
});

it('one whose author was imported is carried out from then on, and the agent is not started again (M-41)', async () => {
  await trust('add', author.certFile);

  expect(await isCarriedOut('known', online, ...signed())).toBe(true);
});

it('one that is not signed is carried out where its hosts are in the whitelist (M-42)', async () => {
  expect((await refused('listed', online)).job).toMatchObject({ failure: { code: 'manifest.refused' } });
  await trust('whitelist', 'add', 'api.example.com');

  expect(await isCarriedOut('listed', online)).toBe(true);
});

it('one without an end needs the consent of the operator', async () => {
  expect((await refused('undated', undated)).job).toMatchObject({
    failure: { code: 'manifest.refused', detail: { steps: [{ what: 'dates', outcome: 'refused' }] } },
  });
  await trust('rules', '--undated', 'accept');

  expect(await isCarriedOut('undated', undated)).toBe(true);
});

it('none is carried out where nobody can read whom to believe', async () => {
  writeFileSync(join(wire.configFile, '../trust.json'), '{');

  const { job, page } = await refused('broken', online, ...signed());

  expect(job).toMatchObject({ state: 'failed', failure: { code: 'trust.unusable' } });
  expect(page).toContain('trust.json');
});
