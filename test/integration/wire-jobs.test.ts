/** Jobs from a document to their log, by the CLI, with a real control plane, agent, gate and engine. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { JobView } from '../../src/server/jobs/job-view.ts';
import { until } from '../support/daemon-ground.ts';
import { faultsOf } from '../support/flow-format.ts';
import { contentOf } from '../support/loopback-source.ts';
import { linkTo, s3Server } from '../support/s3-server.ts';
import { contentsBelow, secretsIn } from '../support/secrets.ts';
import { taggedImage } from '../support/tagged-image.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { openWire, type Wire } from '../support/wire-ground.ts';

const documents = temporaryFolder('wire-jobs');
let wire: Wire;
let image: string;
const key = { id: 'AKIDEXAMPLE', secret: 'the-secret-of-the-key', region: 'eu-central-1' };

beforeAll(async () => {
  image = await taggedImage();
  wire = await openWire({ withoutApp: true });
}, 180_000);
afterAll(() => wire?.close());

const op = (id: string, cmd: string, more: object = {}) => ({
  type: 'container/run',
  id,
  args: { image, cmd },
  ...more,
});
const documentOf = (name: string, cmd: string) => documentWith(name, [op(name, cmd)]);

function documentWith(name: string, ops: readonly object[]): string {
  const file = join(documents, `${name}.json`);
  writeFileSync(file, JSON.stringify({ version: '0.1', type: 'container', ops }));
  return file;
}

async function run(...args: readonly string[]) {
  const { code, stdout, stderr } = await wire.member.cli('jobs', ...args).ended;
  return { code, stdout, stderr, last: stdout.trim().split('\n').at(-1) ?? '' };
}

it.concurrent('a job runs to its end, what it wrote is read while it runs and afterwards, and it is removed', async () => {
  const file = documentOf('hello', 'echo "hello from $NOSANA_ID"; echo trouble >&2');
  const { code, last, stderr } = await run('submit', file, '--wait', '--json');
  expect({ code, stderr }).toMatchObject({ code: 0 });
  const job = JSON.parse(last) as JobView;
  expect(job).toMatchObject({ state: 'succeeded', steps: [{ id: 'hello', state: 'succeeded', exit_code: 0 }] });
  expect(job.steps[0]?.image.digest).toMatch(/^sha256:/);
  // The end is known as soon as it is signed, and what was kept can be had then.
  expect(job).toMatchObject({ receipt: expect.any(String), outputs: [{ name: 'hello.log', state: 'stored' }] });

  const log = await run('logs', job.id);
  expect(log.stdout.trim().split('\n').sort()).toEqual([`hello | hello from ${job.id}`, 'hello | trouble']);
  expect((await run('logs', job.id, '--step', 'hello', '--tail', '1')).stdout.trim().split('\n')).toHaveLength(1);
  expect((await run('describe', job.id)).stdout).toContain('succeeded');
  expect((await run('remove', job.id)).code).toBe(0);
  await until(async () => (await run('describe', job.id)).code === 3, 'its host to be through with it');
  expect(await wire.containers(job.id)).toEqual([]);
});

it.concurrent('a job that fails says so by its exit status, and what its log was is followed to the end', async () => {
  const { code, stdout, stderr } = await run('submit', documentOf('fails', 'echo first; exit 3'), '--follow');

  expect([code, stdout]).toEqual([1, 'fails | first\n']);
  expect(stderr).toMatch(/^\S+ is queued\. /);
  expect(stderr).toContain('is failed');
});

it.concurrent('a job that has ended is read as tools of Nosana read it, with what its ops have printed', async () => {
  const results = { loss: 'loss=(.+)' };
  const file = documentWith('flow', [
    op('Train.1', 'echo loss=0.1; echo trouble >&2', { results }),
    op('report', 'echo so far; exit 7', { execution: { group: 'last' } }),
    op('never', 'echo never'),
  ]);
  const { code, last } = await run('submit', file, '--wait', '--json');
  expect(code).toBe(1);
  const { id } = JSON.parse(last) as JobView;

  // Its log is all here when a follower is through with it.
  expect((await run('logs', id, '--follow')).stdout).toContain('report | so far');
  const flow = JSON.parse((await run('describe', id, '--flow-state')).stdout) as Record<string, unknown>;

  const time = expect.any(Number);
  const entry = (type: string, log: string) => ({ type, log, timestamp: expect.stringMatching(/^\d{4}-.+Z$/) });
  expect(faultsOf(flow)).toEqual([]);
  expect(flow).toMatchObject({ status: 'failed', startTime: time, endTime: time });
  expect(flow['errors']).toMatchObject([
    { event: 'operation-error', message: expect.stringContaining('[step.failed]') },
  ]);
  expect(flow['opStates']).toMatchObject([
    {
      ...{
        operationId: 'Train.1',
        status: 'success',
        exitCode: 0,
        startTime: time,
        endTime: time,
        results: { loss: '0.1' },
      },
      logs: expect.arrayContaining([entry('stdout', 'loss=0.1'), entry('stderr', 'trouble')]),
    },
    {
      ...{ operationId: 'report', group: 'last', status: 'failed', exitCode: 7, logs: [entry('stdout', 'so far')] },
      error: { event: 'operation-error' },
    },
    { operationId: 'never', status: 'stopped', startTime: null, endTime: null, exitCode: null, logs: [] },
  ]);
});

it.concurrent('a job that runs is cancelled: its container is gone, and it is known as cancelled', async () => {
  const { last } = await run('submit', documentOf('sleeps', 'sleep 600'), '--json');
  const { id } = JSON.parse(last) as JobView;
  const state = async () => ((await wire.member.call('GET', `/api/v1/jobs/${id}`)).body as JobView).state;
  await until(async () => (await state()) === 'running', 'the job to run');

  const cancelled = await run('cancel', id);
  expect(cancelled.stdout).toContain('is cancelled');
  expect(await wire.containers(id)).toEqual([]);
});

it.concurrent('a link to an object of a closed bucket brings it, and what it is signed with is nowhere afterwards', async () => {
  const objects = { 'a.txt': contentOf('behind a link\n') };
  const bucket = await s3Server([{ name: 'closed', objects, key }], { style: 'path' });
  const today = new Date().toISOString().slice(0, 10).replaceAll('-', '');
  const link = new URL(await linkTo(`${bucket.origin}/closed/a.txt`, key, today));
  const resources = [{ type: 'S3', target: '/data', url: link.href }];
  const args = { image, cmd: 'cat /data/a.txt; env', resources };
  const file = documentWith('linked', [op('linked', '', { args })]);

  const { code, last, stderr } = await run('submit', file, '--wait', '--json');

  expect({ code, stderr }).toMatchObject({ code: 0 });
  const { id } = JSON.parse(last) as JobView;
  const [keys, receipt] = ['keys.json', 'receipt.jws'].map((name) => join(documents, name));
  const { body: job } = await wire.member.call('GET', `/api/v1/jobs/${id}`);
  await wire.admin.cli('nodes', 'keys', String(job['node_id']), '-o', String(keys)).ended;
  await run('receipt', id, '-o', String(receipt));
  const verified = await run('verify', String(receipt), '--key', String(keys), '--document', file);
  expect(verified.code).toBe(0);

  const said = await run('logs', id);
  expect(said.stdout).toContain('behind a link');
  const secrets = {
    signature: link.searchParams.get('X-Amz-Signature') ?? '',
    query: link.search.slice(1),
  };
  const answers = ['', '/document', '/events', '/logs', '/artifacts'].map((path) =>
    wire.member.call('GET', `/api/v1/jobs/${id}${path}`),
  );
  expect(JSON.stringify((await answers[1])?.body)).toContain(`${link.origin}${link.pathname}?secret`);
  const texts = [JSON.stringify(await Promise.all(answers)), wire.logs(), said.stdout, stderr, verified.stdout];
  const payload = Buffer.from(readFileSync(String(receipt), 'utf8').split('.')[1] ?? '', 'base64url');
  expect([...texts, payload].flatMap((text) => secretsIn(text, secrets))).toEqual([]);
  const files = [wire.folder, `${wire.folder}-inputs`].flatMap((folder) => contentsBelow(folder).toArray());
  const names = files.map(([path]) => path);
  expect(names.filter((path) => /\.db$/.test(path)).length).toBeGreaterThan(1);
  expect(files.filter(([, content]) => secretsIn(content, secrets).length > 0).map(([path]) => path)).toEqual([]);
});
