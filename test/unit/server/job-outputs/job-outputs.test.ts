/** What nodes hand over of their jobs, and who gets it, over real HTTP. */
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { readdirSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type KeptOutput, maxOutputs } from '../../../../src/contract/job-outputs.ts';
import type { JobReport } from '../../../../src/contract/job-report.ts';
import type { JobState } from '../../../../src/contract/job-state.ts';
import { jobOutputsPath } from '../../../../src/contract/signing.ts';
import type { Job } from '../../../../src/server/db/entities/job.ts';
import { forgetOutputs } from '../../../../src/server/job-outputs/keep-outputs.ts';
import { sweep } from '../../../../src/server/sweep.ts';
import { eventually } from '../../../support/eventually.ts';
import { aJob, aJobStep, aReceipt, nodeWithSession } from '../../../support/job-samples.ts';
import { testServer } from '../../../support/test-server.ts';

const limits = { each: 2 ** 20, project: 2 ** 20 };
const server = await testServer({ outputs: limits });
const { call, store, context } = server;
const bearers = {
  own: await nodeWithSession(store, 'node-1'),
  other: await nodeWithSession(store, 'node-2'),
};

async function newJob(given: Parameters<typeof aJob>[0] = {}): Promise<string> {
  const id = randomUUID();
  await store.write((tx) => tx.jobs.insert(aJob({ id, ...given })));
  return id;
}

const over = (attempt: Job['attempts'][number]) => ({ ...attempt, ended_at: attempt.dispatched_at });

async function change(id: string, attempts: (job: Job) => Job['attempts'] | undefined, state: JobState = 'running') {
  await store.write(async (tx) => {
    const job = await tx.jobs.get(id);
    if (job) await tx.jobs.put({ ...job, state, attempts: attempts(job) ?? [] });
  });
}

function outputOf(bytes: Buffer | string, given: Partial<KeptOutput> = {}): KeptOutput {
  return {
    ...{ name: 'model', kind: 'artifact', sha256: createHash('sha256').update(bytes).digest('hex') },
    ...{ bytes: bytes.length, media_type: 'application/octet-stream', file_name: 'model.bin', ...given },
  };
}

const offer = (job_id: string, output: KeptOutput, bearer = bearers.own) =>
  call('POST', jobOutputsPath, { as: null, headers: { authorization: `Bearer ${bearer}` }, body: { job_id, output } });

async function put(job: string, sha256: string, offset: number, bytes: Buffer | string, bearer = bearers.own) {
  const response = await fetch(`${server.url}${jobOutputsPath}/${job}/${sha256}?offset=${offset}`, {
    method: 'PUT',
    headers: { authorization: `Bearer ${bearer}`, 'content-type': 'application/octet-stream' },
    body: typeof bytes === 'string' ? bytes : new Uint8Array(bytes),
  });
  // biome-ignore lint/suspicious/noExplicitAny: tests look into bodies of every shape.
  return { status: response.status, body: (await response.json()) as any };
}

async function handOver(job: string, bytes: Buffer | string, given: Partial<KeptOutput> = {}): Promise<KeptOutput> {
  const output = outputOf(bytes, given);
  expect((await offer(job, output)).body).toEqual({ received: 0, complete: false, refused: null });
  expect((await put(job, output.sha256, 0, bytes)).body).toMatchObject({ complete: true, refused: null });
  return output;
}

const list = async (job: string, as = 'viewer', query = '') =>
  (await call('GET', `/api/v1/jobs/${job}/artifacts${query}`, { as })).body.items;
const get = (job: string, name: string, headers: Record<string, string> = {}, as = 'viewer') =>
  call('GET', `/api/v1/jobs/${job}/artifacts/${name}`, { as, headers });
const filesOf = (project: string) => {
  const folder = join(context.outputs.folder, project);
  return readdirSync(folder, { withFileTypes: true }).map(({ name }) => name);
};
const usedBy = async (project: string) => (await store.read((tx) => tx.job_output_use.get(project)))?.bytes ?? 0;

describe('what a node gets back of its job', () => {
  const read = (job: string, sha256: string, bearer = bearers.own, headers: Record<string, string> = {}) =>
    fetch(`${server.url}${jobOutputsPath}/${job}/${sha256}`, {
      headers: { authorization: `Bearer ${bearer}`, ...headers },
    });

  it('is given to the node that has the job now, whichever had it before, and to no other', async () => {
    const job = await newJob();
    const { sha256 } = await handOver(job, 'step 41', { name: 'ckpt', kind: 'checkpoint' });
    const pending = outputOf('step 42', { name: 'ckpt', kind: 'checkpoint' });
    await offer(job, pending);
    const [own, part] = [await read(job, sha256), await read(job, sha256, bearers.own, { range: 'bytes=5-' })];
    expect([own.status, await own.text(), part.status, await part.text()]).toEqual([200, 'step 41', 206, '41']);
    const refused = [
      await read(job, sha256, bearers.other),
      await read(job, sha256, 'x'),
      await read(job, pending.sha256),
    ];
    expect(refused.map(({ status }) => status)).toEqual([404, 401, 404]);

    await change(job, ({ attempts: [first] }) => first && [over(first), { ...first, number: 2, node_id: 'node-2' }]);
    expect([(await read(job, sha256)).status, (await read(job, sha256, bearers.other)).status]).toEqual([404, 200]);

    await change(job, ({ attempts }) => attempts.map(over));
    expect((await read(job, sha256, bearers.other)).status).toBe(404);
  });

  it('stays while an attempt is to go on from it, also where a newer one comes, and goes after that', async () => {
    const job = await newJob();
    const first = await handOver(job, 'kept 1', { name: 'ckpt', kind: 'checkpoint' });
    const from = [{ name: 'ckpt', sha256: first.sha256 }];
    await change(job, ({ attempts }) => attempts.map((attempt) => ({ ...attempt, resumed_from: from })), 'preparing');
    const second = await handOver(job, 'kept 2', { name: 'ckpt', kind: 'checkpoint' });

    expect([(await read(job, first.sha256)).status, (await get(job, 'ckpt')).body]).toEqual([200, 'kept 2']);

    await change(job, ({ attempts }) => attempts, 'running');
    await handOver(job, 'kept 3', { name: 'ckpt', kind: 'checkpoint' });
    const statuses = [await read(job, first.sha256), await read(job, second.sha256)].map(({ status }) => status);
    expect([statuses, (await get(job, 'ckpt')).body]).toEqual([[404, 404], 'kept 3']);
  });
});

describe('what a node hands over of its job', () => {
  it('is found by what the author of the job calls its step, too', async () => {
    const job = await newJob({ steps: [aJobStep('serve-1', { name: 'Serve: 1' }), aJobStep('other')] });
    const line = `${JSON.stringify({ time: '2026-11-26T10:00:00Z', channel: 'stdout', text: 'it serves' })}\n`;
    await handOver(job, line, { name: 'serve-1.log', kind: 'log', media_type: 'application/x-ndjson' });
    await handOver(job, 'other', { name: 'other' });
    const beside = line.replace('it serves', 'beside it');
    await handOver(job, beside, { name: 'db.log', kind: 'log', media_type: 'application/x-ndjson' });
    await store.write(async (tx) => {
      const row = await tx.jobs.get(job);
      const attempts = row?.attempts.map((attempt) => ({ ...attempt, ended_at: row.created_at })) ?? [];
      if (row) await tx.jobs.put({ ...row, state: 'succeeded', attempts });
    });
    const wanted = encodeURIComponent('Serve: 1');
    const headers = { authorization: `Bearer ${server.tokens['viewer']}` };
    const readLog = (step: string) => fetch(`${server.url}/api/v1/jobs/${job}/logs?step=${step}`, { headers });

    expect((await get(job, `${wanted}.log`)).status).toBe(200);
    expect(await list(job, 'viewer', `?name=${wanted}.log`)).toMatchObject([{ name: 'serve-1.log', state: 'stored' }]);
    expect(await (await readLog(wanted)).text()).toContain('it serves');
    // A service, of which the control plane knows nothing else.
    expect(await (await readLog('db')).text()).toContain('beside it');
    expect([(await get(job, 'Serve.log')).status, (await readLog('Serve')).status]).toEqual([404, 404]);
    expect(await list(job, 'viewer', '?name=Serve.log')).toEqual([]);
  });

  it('comes in pieces, is pending until it is whole, and is given to whoever may see the job (X-20)', async () => {
    const job = await newJob();
    const bytes = randomBytes(100_000);
    const output = outputOf(bytes);

    await offer(job, output);
    const first = await put(job, output.sha256, 0, bytes.subarray(0, 60_000));
    const pending = await list(job);
    const notYet = await get(job, 'model');
    const again = await offer(job, output);
    const whole = await put(job, output.sha256, 60_000, bytes.subarray(60_000));
    const response = await fetch(`${server.url}/api/v1/jobs/${job}/artifacts/model`, {
      headers: { authorization: `Bearer ${server.tokens['viewer']}` },
    });

    expect(first.body).toEqual({ received: 60_000, complete: false, refused: null });
    expect(pending).toEqual([{ ...output, state: 'pending', reason: null }]);
    expect(notYet.status).toBe(404);
    expect(again.body).toEqual({ received: 60_000, complete: false, refused: null });
    expect(whole.body).toEqual({ received: 100_000, complete: true, refused: null });
    expect(await list(job)).toEqual([{ ...output, state: 'stored', reason: null }]);
    expect(Buffer.from(await response.arrayBuffer()).equals(bytes)).toBe(true);
    expect(response.headers.get('repr-digest')).toBe(
      `sha-256=:${Buffer.from(output.sha256, 'hex').toString('base64')}:`,
    );
    const events = await store.read((tx) => tx.events.list({ after: 0, limit: 500, subject_id: job }));
    expect(events).toMatchObject([{ type: 'job.output_stored', actor: 'node:node-1', data: { name: 'model' } }]);
  });

  it('may be empty', async () => {
    const job = await newJob();

    await handOver(job, '');

    expect((await get(job, 'model')).body).toBe('');
  });

  it('goes on at its end only, and is taken for what was announced only (X-20)', async () => {
    const job = await newJob();
    const output = outputOf('0123456789');
    await offer(job, output);

    await put(job, output.sha256, 0, '01234');

    expect((await put(job, output.sha256, 3, '3456789')).body.error).toMatchObject({ code: 'resource.conflict' });
    expect((await put(job, output.sha256, 5, '567890123')).body.error).toMatchObject({ code: 'output.damaged' });
    expect((await put(job, output.sha256, 5, 'other')).body.error).toMatchObject({ code: 'output.damaged' });
    // What was here may have been wrong as well: it begins anew.
    expect((await offer(job, output)).body).toEqual({ received: 0, complete: false, refused: null });
    expect((await put(job, output.sha256, 0, '0123456789')).body).toMatchObject({ complete: true });
    // Whatever comes afterwards.
    expect((await put(job, output.sha256, 0, 'zzz')).body).toMatchObject({ complete: true });
    expect((await get(job, 'model')).body).toBe('0123456789');
  });

  it('is judged by what lies on the disk where that was written to between two pieces', async () => {
    const job = await newJob();
    const { project_id: project = '' } = (await store.read((tx) => tx.jobs.get(job))) ?? {};
    const output = outputOf('one two three');
    await offer(job, output);
    expect((await put(job, output.sha256, 0, 'one ')).body).toMatchObject({ received: 4 });
    expect((await put(job, output.sha256, 4, 'two ')).body).toMatchObject({ received: 8 });
    writeFileSync(join(context.outputs.folder, project, `.${output.sha256}.part`), 'One two ');

    expect((await put(job, output.sha256, 8, 'three')).body.error).toMatchObject({ code: 'output.damaged' });
    expect((await put(job, output.sha256, 0, 'one two three')).body).toMatchObject({ complete: true });
  });

  it('is there once for a project, and never sent twice', async () => {
    const [one, two] = [await newJob(), await newJob()];
    const used = await usedBy('p1');
    const output = await handOver(one, 'the same for both');

    const known = await offer(two, { ...output, name: 'copy' });

    expect(known.body).toEqual({ received: output.bytes, complete: true, refused: null });
    expect((await get(two, 'copy')).body).toBe('the same for both');
    expect((await usedBy('p1')) - used).toBe(output.bytes);
  });

  it('is not learnt of by another project: what that has, it has to send itself', async () => {
    const output = await handOver(await newJob(), 'known to p1');

    const other = await offer(await newJob({ project_id: 'p2' }), output);

    expect(other.body).toEqual({ received: 0, complete: false, refused: null });
  });

  it('is taken from the node that runs the job, and from nobody else', async () => {
    const job = await newJob();
    const output = outputOf('mine');
    await offer(job, output);

    expect((await offer(job, output, bearers.other)).status).toBe(404);
    expect((await put(job, output.sha256, 0, 'mine', bearers.other)).status).toBe(404);
    expect((await offer(job, output, 'node-1.1.wrong')).status).toBe(401);
    expect((await put(job, output.sha256, 0, 'mine', 'node-1.1.wrong')).status).toBe(401);
    expect((await call('POST', jobOutputsPath, { as: 'admin', body: { job_id: job, output } })).status).toBe(401);
    expect((await offer('no-such-job', output)).status).toBe(404);
    expect((await put(job, '9'.repeat(64), 0, 'never offered')).status).toBe(404);
  });

  it.each([
    ['a name that climbs', { name: '../x' }],
    ['a hash that is none', { sha256: '../../etc' }],
    ['a file name with a slash', { file_name: 'a/b' }],
    ['a kind that nobody knows', { kind: 'secret' as never }],
    ['less than nothing', { bytes: -1 }],
  ])('is refused with %s', async (_what, wrong) => {
    expect((await offer(await newJob(), outputOf('x', wrong))).body.error).toMatchObject({ code: 'request.invalid' });
  });

  it('of a name, the newest counts, and the one before is there until it has come', async () => {
    const job = await newJob();
    const old = await handOver(job, 'checkpoint 1', { kind: 'checkpoint' });
    const next = outputOf('checkpoint 2', { kind: 'checkpoint' });
    await offer(job, next);

    const meanwhile = await get(job, 'model');
    await put(job, next.sha256, 0, 'checkpoint 2');

    expect(meanwhile.body).toBe('checkpoint 1');
    expect((await get(job, 'model')).body).toBe('checkpoint 2');
    expect(await list(job)).toHaveLength(1);
    await eventually(() => expect(filesOf('p1')).not.toContain(old.sha256));
  });

  it('is refused where it is more than may be kept, with the reason in the list, and judged anew when it comes again', async () => {
    const job = await newJob({ project_id: 'p2' });
    const kept = await handOver(job, randomBytes(600_000), { name: 'kept' });
    const tooMuch = outputOf('', { name: 'on-top', bytes: 600_000, sha256: '2'.repeat(64) });

    const larger = await offer(job, outputOf('', { name: 'larger', bytes: limits.each + 1, sha256: '1'.repeat(64) }));
    const onTop = await offer(job, tooMuch);
    const refused = await list(job, 'stranger');
    const sent = await put(job, tooMuch.sha256, 0, 'x');
    const twice = await offer(job, { ...kept, name: 'twice' });
    await store.write((tx) => forgetOutputs(tx, job, context.outputs));
    const again = await offer(job, tooMuch);

    expect(larger.body).toMatchObject({ complete: false, refused: expect.stringContaining('one output may have') });
    expect(onTop.body).toMatchObject({ complete: false, refused: expect.stringContaining('The project keeps') });
    expect(refused).toMatchObject([
      { name: 'kept', state: 'stored' },
      { name: 'larger', state: 'refused', reason: larger.body.refused },
      { name: 'on-top', state: 'refused', reason: onTop.body.refused },
    ]);
    expect(sent.status).toBe(404);
    expect(twice.body).toMatchObject({ complete: true });
    expect(again.body).toEqual({ received: 0, complete: false, refused: null });
  });
});

describe('a node that lies', () => {
  it('cannot have more kept than is counted, by other sizes of what it has offered', async () => {
    const job = await newJob({ project_id: 'p3' });
    const small = outputOf('', { bytes: 1, sha256: '3'.repeat(64) });
    await offer(job, small);

    const answers = [
      await offer(job, { ...small, bytes: limits.each + 1 }),
      await offer(job, { ...small, name: 'again', bytes: limits.each }),
      await offer(await newJob({ project_id: 'p3' }), { ...small, bytes: limits.each }),
    ];
    const sent = await put(job, small.sha256, 0, 'more than a byte');

    const refused = 'What has this sha256 was offered with 1 bytes.';
    expect(answers.map(({ body }) => body.refused)).toEqual([refused, refused, refused]);
    expect(sent.body.error).toMatchObject({ code: 'output.damaged' });
    expect(await usedBy('p3')).toBe(1);
  });

  it('cannot fill the store with what is refused', async () => {
    const job = await newJob({ project_id: 'p3' });
    const tooLarge = (index: number) =>
      outputOf('', { name: `o${index}`, bytes: limits.each + 1, sha256: String(index).padStart(64, '0') });
    await store.write(async (tx) => {
      for (let index = 0; index < maxOutputs; index += 1) {
        const row = { job_id: job, project_id: 'p3', node_id: 'node-1', ...tooLarge(index), state: 'refused' as const };
        const at = new Date().toISOString();
        await tx.job_outputs.insert({ id: randomUUID(), ...row, reason: 'too large', offered_at: at, stored_at: null });
      }
    });

    const { body } = await offer(job, tooLarge(maxOutputs));
    const known = await offer(job, tooLarge(0));

    expect(body.refused).toBe(`The job has ${maxOutputs} outputs already.`);
    expect(known.body.refused).toContain('one output may have');
    expect(await store.read((tx) => tx.job_outputs.count({ job_id: job }))).toBe(maxOutputs);
  });
});

describe('a host that has been taken over after the end of its job', () => {
  const signedFor = (job_id: string, outputs: readonly KeptOutput[]) =>
    aReceipt({
      job_id,
      outputs: outputs.map(({ name, kind, sha256, bytes }) => ({ name, kind, sha256, bytes })),
    });

  /** Ends with what is told; `signed` is what its receipt names. */
  async function end(
    id: string,
    told: readonly KeptOutput[],
    signed: readonly KeptOutput[] | null,
    signedOf = id,
  ): Promise<void> {
    const receipt = signed && signedFor(signedOf, signed);
    await store.write(async (tx) => {
      const job = aJob({ id, state: 'succeeded' });
      await tx.jobs.put({ ...job, attempts: job.attempts.map((each) => ({ ...each, ended_at: job.updated_at })) });
      const report: JobReport = {
        ...{ state: receipt ? 'succeeded' : 'running', summary: 's', started_at: null, ended_at: null },
        ...{ failure: null, steps: [] },
      };
      await tx.job_news.insert({ id, attempt: 1, report, endpoints: [], outputs: [...told], receipt });
    });
  }

  it('hands over what the receipt names, and nothing else', async () => {
    const job = await newJob();
    const [good, bad] = [outputOf('what it made'), outputOf('what somebody likes better')];
    await end(job, [good], [good]);

    const other = await offer(job, bad);
    const sent = await put(job, bad.sha256, 0, 'what somebody likes better');
    const added = await offer(job, outputOf('more of it', { name: 'more' }));
    await handOver(job, 'what it made');
    const again = await offer(job, bad);

    const refused = `The job has ended, and what it has of this name is ${good.sha256}.`;
    expect([other.body.refused, again.body.refused]).toEqual([refused, refused]);
    expect(sent.status).toBe(404);
    expect(added.body.refused).toBe('The job has ended, and has nothing of this name.');
    expect((await get(job, 'model')).body).toBe('what it made');
    expect(await list(job)).toEqual([{ ...good, state: 'stored', reason: null }]);
  });

  it('is held to the receipt also while it takes away what is left of the job', async () => {
    const job = await newJob();
    const [good, bad] = [outputOf('made in time'), outputOf('made too late')];
    await end(job, [good], [good]);
    await store.write((tx) => tx.jobs.put(aJob({ id: job, state: 'succeeded' })));

    expect((await offer(job, bad)).body.refused).toContain(good.sha256);
    await handOver(job, 'made in time');
  });

  it('is held to the receipt, whatever it told beside it', async () => {
    const job = await newJob();
    const [good, bad] = [outputOf('signed for'), outputOf('told')];
    await end(job, [bad], [good]);

    expect((await offer(job, bad)).body.refused).toContain(good.sha256);
    await handOver(job, 'signed for');
  });

  it('is held to what it told where the receipt is of another job', async () => {
    const job = await newJob();
    const [good, bad] = [outputOf('of this job'), outputOf('of another job')];
    await end(job, [good], [bad], 'another-job');

    expect((await offer(job, bad)).body.refused).toContain(good.sha256);
    await handOver(job, 'of this job');
  });

  it('is not rid of that by an offer from before the end', async () => {
    const job = await newJob();
    const [good, bad] = [outputOf('as it was'), outputOf('offered in time')];
    await handOver(job, 'as it was');
    await offer(job, bad);
    await put(job, bad.sha256, 0, 'offered');
    await end(job, [good], [good]);

    const rest = await put(job, bad.sha256, 7, ' in time');
    const again = await offer(job, bad);

    expect(rest.status).toBe(404);
    expect(again.body.refused).toContain(good.sha256);
    expect((await get(job, 'model')).body).toBe('as it was');
    await eventually(() => expect(filesOf('p1')).not.toContain(`.${bad.sha256}.part`));
    expect(await list(job)).toEqual([{ ...good, state: 'stored', reason: null }]);
  });

  it('nor by another job of the project that brings the same bytes', async () => {
    const [job, helper] = [await newJob(), await newJob()];
    const [good, bad] = [outputOf('of the job'), outputOf('of its helper')];
    await handOver(job, 'of the job');
    await offer(job, bad);
    await end(job, [good], [good]);

    await handOver(helper, 'of its helper');

    expect((await get(job, 'model')).body).toBe('of the job');
    expect((await get(helper, 'model')).body).toBe('of its helper');
  });

  it('is held to what it told of the last attempt, also where no step of that has begun', async () => {
    const job = await newJob();
    const [first, last] = [await handOver(job, 'of the first'), outputOf('of the last')];
    await end(job, [first], [first]);
    await store.write(async (tx) => {
      const [now, news] = [await tx.jobs.get(job), await tx.job_news.get(job)];
      if (!now || !news) throw new Error('the job is there');
      const [attempt] = now.attempts as [(typeof now.attempts)[number]];
      await tx.jobs.put({ ...now, attempts: [attempt, { ...attempt, number: 2 }] });
      await tx.job_news.put({ ...news, ahead: { attempt: 2, state: 'failed', outputs: [last] } });
    });

    const other = await offer(job, outputOf('of neither'));
    const added = await offer(job, outputOf('more of it', { name: 'more' }));
    await handOver(job, 'of the last');

    expect([other.body.refused, added.body.refused]).toEqual([
      ...[expect.stringContaining(last.sha256), 'The job has ended, and has nothing of this name.'],
    ]);
    expect((await get(job, 'model')).body).toBe('of the last');
  });

  it('replaces nothing where the end was never heard of from it', async () => {
    const job = await newJob();
    const kept = await handOver(job, 'before it was lost');
    await end(job, [], null);

    expect((await offer(job, outputOf('after that'))).body.refused).toContain(kept.sha256);
    await handOver(job, 'only its host had this', { name: 'late' });
  });
});

describe('what was kept of a job', () => {
  it('is given in part, or not again, as HTTP wants it', async () => {
    const job = await newJob();
    const { sha256 } = await handOver(job, 'abcdefghij');

    const part = await get(job, 'model', { range: 'bytes=3-5' });
    const unsatisfiable = await get(job, 'model', { range: 'bytes=10-' });
    const same = await get(job, 'model', { 'if-none-match': `"${sha256}"` });
    const ofAnother = await get(job, 'model', { range: 'bytes=3-5', 'if-range': '"other"' });

    expect(part).toMatchObject({ status: 206, body: 'def' });
    expect(part.headers.get('content-range')).toBe('bytes 3-5/10');
    expect(unsatisfiable).toMatchObject({ status: 416 });
    expect(same).toMatchObject({ status: 304, body: '' });
    expect(ofAnother).toMatchObject({ status: 200, body: 'abcdefghij' });
  });

  it.each([
    ['plain.tar', `attachment; filename="plain.tar"; filename*=UTF-8''plain.tar`],
    [
      'a"b\\c\r\nset-cookie: x',
      `attachment; filename="a_b_c__set-cookie_ x"; filename*=UTF-8''a%22b%5Cc%0D%0Aset-cookie%3A%20x`,
    ],
    ['..', `attachment; filename="_"; filename*=UTF-8''..`],
    ["naïve (1)*'.txt", `attachment; filename="na_ve _1___.txt"; filename*=UTF-8''na%C3%AFve%20%281%29%2A%27.txt`],
    ['\ud800', `attachment; filename="_"; filename*=UTF-8''%EF%BF%BD`],
  ])('is named for a browser so that nothing else comes of it: %j', async (file_name, header) => {
    const job = await newJob();
    await handOver(job, randomUUID(), { file_name });

    const { headers } = await get(job, 'model');

    expect(headers.get('content-disposition')).toBe(header);
    expect(headers.get('content-type')).toBe('application/octet-stream');
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    expect(headers.get('set-cookie')).toBeNull();
  });

  it('is nothing to those who may not see the job', async () => {
    const job = await newJob();
    await handOver(job, 'of p1');

    expect(await call('GET', `/api/v1/jobs/${job}/artifacts`, { as: 'stranger' })).toMatchObject({ status: 404 });
    expect(await get(job, 'model', {}, 'stranger')).toMatchObject({ status: 404 });
    expect(await call('GET', `/api/v1/jobs/${job}/artifacts`, { as: null })).toMatchObject({ status: 401 });
  });

  it('goes with the job, but for what another job has as well', async () => {
    const [one, two] = [await newJob(), await newJob()];
    const used = await usedBy('p1');
    const own = await handOver(one, 'of one alone', { name: 'own' });
    const shared = await handOver(one, 'of both');
    await offer(two, shared);
    await offer(one, outputOf('half of it', { name: 'half' }));
    await put(one, outputOf('half of it').sha256, 0, 'half');

    await store.write((tx) => forgetOutputs(tx, one, context.outputs));

    await eventually(() => {
      expect(filesOf('p1')).not.toContain(own.sha256);
      expect(filesOf('p1')).not.toContain(`.${outputOf('half of it').sha256}.part`);
    });
    expect(await list(one)).toEqual([]);
    expect((await get(two, 'model')).body).toBe('of both');
    expect((await usedBy('p1')) - used).toBe(shared.bytes);
    expect((await put(one, own.sha256, 0, 'of one alone')).status).toBe(404);
  });

  it('is not left by a control plane that was killed in between', async () => {
    const kept = await handOver(await newJob(), 'somebody has this');
    const orphans = ['7'.repeat(64), `.${'8'.repeat(64)}.part`, '6'.repeat(64)];
    for (const name of orphans) writeFileSync(join(context.outputs.folder, 'p1', name), '');
    const now = Date.now();
    const old = new Date(now - 2 * 60 * 60 * 1000);
    for (const name of [...orphans.slice(0, 2), kept.sha256]) {
      utimesSync(join(context.outputs.folder, 'p1', name), old, old);
    }

    await sweep(store, now);
    await context.outputs.dropOrphans(now);

    expect(filesOf('p1')).toContain(kept.sha256);
    expect(filesOf('p1')).toContain('6'.repeat(64));
    expect(filesOf('p1')).not.toContain('7'.repeat(64));
    expect(filesOf('p1')).not.toContain(`.${'8'.repeat(64)}.part`);
  });

  it('is told before its node has offered it', async () => {
    const job = await newJob();
    const told = outputOf('told', { name: 'told' });
    const report: JobReport = {
      ...{ state: 'running', summary: 's', started_at: null, ended_at: null, failure: null },
      steps: [],
    };
    await store.write((tx) =>
      tx.job_news.insert({ id: job, attempt: 1, report, endpoints: [], outputs: [told], receipt: null }),
    );

    expect(await list(job)).toEqual([{ ...told, state: 'pending', reason: null }]);
  });
});
