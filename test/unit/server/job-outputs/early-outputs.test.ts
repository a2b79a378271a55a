/** What a node sends of an output that it still reads, over real HTTP: bytes that are nobody's until they are offered, and no more. */
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import type { KeptOutput } from '../../../../src/contract/job-outputs.ts';
import { earlyOutputsPath, jobOutputsPath } from '../../../../src/contract/signing.ts';
import type { Job } from '../../../../src/server/db/entities/job.ts';
import { PieceFiles } from '../../../../src/server/files/piece-files.ts';
import { EarlyOutputs } from '../../../../src/server/job-outputs/early-outputs.ts';
import { forgetOutputs } from '../../../../src/server/job-outputs/keep-outputs.ts';
import { eventually } from '../../../support/eventually.ts';
import { aJob, nodeWithSession } from '../../../support/job-samples.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';
import { testServer } from '../../../support/test-server.ts';

const server = await testServer({ outputs: { each: 1000, project: 2000 } });
const { store, context } = server;
const bearers = {
  own: await nodeWithSession(store, 'node-1'),
  other: await nodeWithSession(store, 'node-2'),
};

/** In a project of its own. */
async function newJob(given: Parameters<typeof aJob>[0] = {}): Promise<string> {
  const id = randomUUID();
  await store.write((tx) => tx.jobs.insert(aJob({ id, project_id: `project-${id}`, ...given })));
  return id;
}

async function change(id: string, attempts: (attempt: Job['attempts'][number]) => Job['attempts']) {
  await store.write(async (tx) => {
    const job = await tx.jobs.get(id);
    const first = job?.attempts[0];
    if (job && first) await tx.jobs.put({ ...job, state: 'running', attempts: attempts(first) });
  });
}

async function ask(method: string, path: string, sent: object | Buffer | undefined, bearer = bearers.own) {
  const isFile = Buffer.isBuffer(sent);
  const response = await fetch(`${server.url}${path}`, {
    method,
    headers: {
      authorization: `Bearer ${bearer}`,
      ...(sent && { 'content-type': isFile ? 'application/octet-stream' : 'application/json' }),
    },
    ...(sent && { body: isFile ? new Uint8Array(sent) : JSON.stringify(sent) }),
  });
  // biome-ignore lint/suspicious/noExplicitAny: tests look into bodies of every shape.
  return { status: response.status, body: (await response.json()) as any };
}

const newUpload = () => randomBytes(16).toString('hex');
const begin = (job_id: string, upload: string, bytes: number, name = 'model', bearer = bearers.own) =>
  ask('POST', earlyOutputsPath, { job_id, upload, name, bytes }, bearer);
const send = (upload: string, offset: number, bytes: Buffer, bearer = bearers.own) =>
  ask('PUT', `${earlyOutputsPath}/${upload}?offset=${offset}`, bytes, bearer);
const drop = (upload: string, bearer = bearers.own) =>
  ask('DELETE', `${earlyOutputsPath}/${upload}`, undefined, bearer);
const offer = (job_id: string, output: KeptOutput) => ask('POST', jobOutputsPath, { job_id, output });
const end = (job: string, sha256: string, offset: number, bytes: Buffer, early: string, bearer = bearers.own) =>
  ask('PUT', `${jobOutputsPath}/${job}/${sha256}?offset=${offset}&early=${early}`, bytes, bearer);

/** One that was begun, and of which that many bytes were sent. */
async function sentEarly(job: string, bytes: Buffer, sent: number, name = 'model'): Promise<string> {
  const upload = newUpload();
  expect((await begin(job, upload, bytes.length, name)).body).toEqual({ ...nothing, refused: null });
  expect((await send(upload, 0, bytes.subarray(0, sent))).body).toMatchObject({ received: sent });
  return upload;
}

function outputOf(bytes: Buffer, given: Partial<KeptOutput> = {}): KeptOutput {
  return {
    ...{ name: 'model', kind: 'artifact', sha256: createHash('sha256').update(bytes).digest('hex') },
    ...{ bytes: bytes.length, media_type: 'application/octet-stream', file_name: 'model.bin', ...given },
  };
}

const nothing = { received: 0, complete: false };
const filesOf = (job: string) => readdirSync(join(context.outputs.folder, `project-${job}`)).toSorted();
const read = async (job: string, name = 'model') => await server.call('GET', `/api/v1/jobs/${job}/artifacts/${name}`);

describe('an output that is sent before its sha256 is known', () => {
  it('is what it was offered as once the rest came with its sha256, and nothing before (X-20)', async () => {
    const job = await newJob();
    const bytes = randomBytes(600);
    const upload = await sentEarly(job, bytes, 400);
    const again = await begin(job, upload, 600);
    const more = await send(upload, 400, bytes.subarray(400, 599));
    const shown = await server.call('GET', `/api/v1/jobs/${job}/artifacts`);
    const output = outputOf(bytes);

    const offered = await offer(job, output);
    const whole = await end(job, output.sha256, 599, bytes.subarray(599), upload);

    expect([again.body.received, more.body.received, shown.body.items]).toEqual([400, 599, []]);
    expect(offered.body).toEqual({ ...nothing, refused: null });
    expect(whole.body).toEqual({ received: 600, complete: true, refused: null });
    expect((await read(job)).headers.get('etag')).toBe(`"${output.sha256}"`);
    expect(filesOf(job)).toEqual([output.sha256]);
  });

  it('is never whole by itself, goes on at its end only, and is no longer than was said', async () => {
    const job = await newJob();
    const bytes = randomBytes(600);
    const upload = await sentEarly(job, bytes, 400);

    const elsewhere = await send(upload, 300, bytes.subarray(300, 500));
    const toItsEnd = await send(upload, 400, bytes.subarray(400));
    const tooMuch = await send(upload, 0, randomBytes(700));

    expect(elsewhere.body.error.code).toBe('resource.conflict');
    expect([toItsEnd.body.error.code, tooMuch.body.error.code]).toEqual(['output.damaged', 'output.damaged']);
    expect((await begin(job, upload, 600)).body).toEqual({ ...nothing, refused: null });
    expect(filesOf(job)).toEqual([]);
  });

  it('puts nothing in the place of what has another sha256, and that can come again', async () => {
    const job = await newJob();
    const bytes = randomBytes(600);
    const upload = await sentEarly(job, randomBytes(600), 599);
    const output = outputOf(bytes);
    await offer(job, output);

    const wrong = await end(job, output.sha256, 599, bytes.subarray(599), upload);
    const right = await ask('PUT', `${jobOutputsPath}/${job}/${output.sha256}?offset=0`, bytes);

    expect(wrong.body.error.code).toBe('output.damaged');
    expect(right.body.complete).toBe(true);
    expect(filesOf(job)).toEqual([output.sha256]);
  });

  it('is no part of what another job or another node hands over, and of nothing that is there already', async () => {
    const [job, neighbour] = [await newJob(), await newJob()];
    const bytes = randomBytes(600);
    const output = outputOf(bytes);
    const upload = await sentEarly(job, randomBytes(600), 599);
    await offer(neighbour, output);
    const part = { job: neighbour, sha256: output.sha256 };

    const ofAnother = await end(part.job, part.sha256, 599, bytes.subarray(599), upload);
    await ask('PUT', `${jobOutputsPath}/${neighbour}/${output.sha256}?offset=0`, bytes);
    await offer(job, output);
    await ask('PUT', `${jobOutputsPath}/${job}/${output.sha256}?offset=0`, bytes);
    const late = await end(job, output.sha256, 599, bytes.subarray(599), upload);

    expect(ofAnother.body.error.code).toBe('resource.conflict');
    expect(late.body.complete).toBe(true);
    expect([filesOf(job), filesOf(neighbour)]).toEqual([[output.sha256], [output.sha256]]);
    expect((await read(neighbour)).headers.get('etag')).toBe(`"${output.sha256}"`);
  });

  it('is taken of the attempt that its node is at only, and of no other node', async () => {
    const job = await newJob();
    const bytes = randomBytes(600);
    const upload = await sentEarly(job, bytes, 100);
    const foreign = [
      await begin(job, newUpload(), 600, 'model', bearers.other),
      await send(upload, 100, bytes.subarray(100, 200), bearers.other),
      await send(upload, 100, bytes.subarray(100, 200), 'nobody'),
    ];
    await drop(upload, bearers.other);
    const own = await send(upload, 100, bytes.subarray(100, 200));

    const over = (attempt: Job['attempts'][number]) => ({ ...attempt, ended_at: attempt.dispatched_at });
    await change(job, (first) => [over(first), { ...first, number: 2 }]);
    const ofTheFirst = await send(upload, 200, bytes.subarray(200, 300));
    await change(job, (first) => [over(first)]);
    const afterAll = await begin(job, newUpload(), 600);

    expect(foreign.map(({ status }) => status)).toEqual([404, 404, 401]);
    expect(own.body.received).toBe(200);
    expect([ofTheFirst.status, afterAll.status]).toEqual([404, 404]);
  });

  it('counts as what a project keeps, is of few at a time, and leaves room for what is offered', async () => {
    const job = await newJob();
    const other = await newJob({ project_id: `project-${job}` });
    const bytes = randomBytes(900);
    const tooLarge = await begin(job, newUpload(), 1001);
    const first = await sentEarly(job, bytes, 500, 'a');
    const second = await sentEarly(other, bytes, 500, 'b');
    const third = await begin(job, newUpload(), 201, 'c');

    const output = outputOf(bytes);
    await offer(job, output);

    expect([tooLarge.body.refused, third.body.refused]).toEqual(Array(2).fill(expect.stringContaining('no room')));
    // The eldest went, and with it as much as was asked for.
    expect([(await send(first, 500, bytes.subarray(500, 600))).status]).toEqual([404]);
    expect((await send(second, 500, bytes.subarray(500, 600))).status).toBe(200);
    await eventually(() => expect(filesOf(job)).toHaveLength(1));

    await drop(second);
  });

  it('is one of four of its node at most: that goes which was not heard of for the longest', async () => {
    const job = await newJob();
    const uploads = ['a', 'b', 'c', 'd', 'e'].map((name) => ({ name, upload: newUpload() }));
    for (const [index, { name, upload }] of uploads.entries()) {
      await begin(job, upload, 10, name);
      if (index === 1) await send(uploads[0]?.upload ?? '', 0, Buffer.alloc(1));
    }

    const statuses: number[] = [];
    for (const [index, { upload }] of uploads.entries())
      statuses.push((await send(upload, index === 0 ? 1 : 0, Buffer.alloc(1))).status);
    for (const { upload } of uploads) await drop(upload);

    expect(statuses).toEqual([200, 404, 200, 200, 200]);
  });

  it.each(['its node drops it', 'its node begins it anew', 'its job is removed'])('goes when %s', async (which) => {
    const job = await newJob();
    const upload = await sentEarly(job, randomBytes(600), 100);
    expect(filesOf(job)).toHaveLength(1);

    if (which === 'its node drops it') await drop(upload);
    else if (which === 'its job is removed') await store.write((tx) => forgetOutputs(tx, job, context.outputs));
    else await drop(await sentEarly(job, randomBytes(500), 0));

    await eventually(() => expect(filesOf(job)).toEqual([]));
    expect((await send(upload, 100, randomBytes(10))).status).toBe(404);
  });

  it('that a killed control plane has left goes with the first sweep', async () => {
    const job = await newJob();
    const upload = await sentEarly(job, randomBytes(600), 100);
    const left = join(context.outputs.folder, `project-${job}`, `.early-node-1-${newUpload()}.part`);
    writeFileSync(left, 'left');

    await context.outputs.dropOrphans(Date.now());

    expect(filesOf(job)).toEqual([`.early-node-1-${upload}.part`]);
    await drop(upload);
  });

  it('that nobody ends goes an hour after its last piece', async () => {
    let time = 0;
    const files = new PieceFiles(temporaryFolder('early-outputs'), 'outputs of jobs');
    const early = new EarlyOutputs(files, () => time);
    const owner = { node_id: 'n', project_id: 'p', attempt: 1 };
    const upload = newUpload();
    early.begin(owner, { job_id: 'j', upload, name: 'model', bytes: 100 }, 100);
    await early.take(early.get('n', upload), 0, Readable.from([Buffer.alloc(50)]));

    const hour = 60 * 60 * 1000;
    time = hour / 2;
    await early.take(early.get('n', upload), 50, Readable.from([Buffer.alloc(1)]));
    time = hour + 1;
    early.dropOld();
    expect(early.bytesOf('p')).toBe(100);

    time = 1.5 * hour + 1;
    early.dropOld();

    await eventually(() => expect(readdirSync(join(files.folder, 'p'))).toEqual([]));
    expect(early.bytesOf('p')).toBe(0);
  });
});
