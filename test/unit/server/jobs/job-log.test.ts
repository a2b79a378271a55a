/** A reader of the log of a job, whatever becomes of the job, of its containers and of his connection meanwhile. */
import { once } from 'node:events';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { describe, expect, it, vi } from 'vitest';
import { AgentError, type FailureCode } from '../../../../src/contract/failures.ts';
import { stackCursor } from '../../../../src/contract/log-cursor.ts';
import type { StreamedEntry } from '../../../../src/contract/session-messages.ts';
import { openOutputs } from '../../../../src/jobs/outputs/keep-outputs.ts';
import { systemClock } from '../../../../src/kit/clock.ts';
import { createLog } from '../../../../src/kit/log.ts';
import { LogReader } from '../../../../src/runtime/docker/log-cursor.ts';
import type { LogEntry } from '../../../../src/runtime/engine.ts';
import type { Job, JobNews } from '../../../../src/server/db/entities/job.ts';
import type { StoredOutput } from '../../../../src/server/db/entities/job-output.ts';
import { openSqliteStore } from '../../../../src/server/db/sqlite/sqlite-store.ts';
import type { LogPart, LogRequest } from '../../../../src/server/hub/log-relay.ts';
import type { OutputFiles } from '../../../../src/server/job-outputs/output-files.ts';
import { readJobLog } from '../../../../src/server/jobs/job-log.ts';
import { aJob, aJobStep, aStepReport, jobNews, secondOf } from '../../../support/job-samples.ts';
import { manualClock } from '../../../support/manual-clock.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';

interface Said extends Omit<LogEntry, 'cursor'> {
  readonly step: string;
}

const nano = (number: number) => `2026-11-25T10:00:00.${String(number).padStart(9, '0')}Z`;
const said = (step: string, channel: 'stdout' | 'stderr', time: number, text: string, partial = false): Said => ({
  ...{ step, channel, time: nano(time), data: Buffer.from(text), partial },
});

/** In the order in which engines have written them: channels side by side, parts of a line with one moment, steps by themselves. */
const all: readonly Said[] = [
  said('one', 'stdout', 10, '1'),
  said('one', 'stderr', 30, 'trouble'),
  said('one', 'stdout', 20, '2'),
  said('two', 'stdout', 15, 'a'),
  said('one', 'stdout', 40, 'long ', true),
  said('one', 'stdout', 40, 'and longer ', true),
  said('one', 'stdout', 40, 'and over'),
  said('two', 'stdout', 16, 'b'),
  said('two', 'stdout', 16, 'b'),
  said('one', 'stdout', 40, 'same moment'),
  said('two', 'stderr', 12, 'late'),
  said('one', 'stderr', 35, 'half ', true),
  said('one', 'stdout', 50, 'between'),
  said('one', 'stderr', 35, 'whole'),
];
const ids = ['one', 'two'];
const ofBuild = [said('build', 'stdout', 1, 'Step 1 of 2'), said('build', 'stdout', 2, 'Step 2 of 2')];
const gone = new AgentError('container.not_found').toFailure();
const failureOf = (code: FailureCode) => new AgentError(code).toFailure();

/** Text of each step and channel, as its bytes follow each other. */
function textOf(entries: readonly Pick<StreamedEntry, 'service' | 'channel' | 'text' | 'partial'>[]) {
  const texts: Record<string, string> = {};
  for (const { service, channel, text, partial } of entries) {
    const key = `${service} ${channel}`;
    texts[key] = `${texts[key] ?? ''}${text}${partial ? '' : '\n'}`;
  }
  return texts;
}

const whole = textOf(all.map(({ step, data, ...entry }) => ({ ...entry, service: step, text: data.toString() })));

/** A host that has a container for each step, and says of their logs what is behind a cursor of its own, one entry after the other. */
class Host {
  readonly asked: LogRequest[] = [];
  /** Called before an entry is said, with how many were: the end of the log where it returns one. */
  readonly #before: (count: number) => Promise<LogPart | undefined> | LogPart | undefined;
  #count = 0;

  constructor(before: (count: number) => Promise<LogPart | undefined> | LogPart | undefined = () => undefined) {
    this.#before = before;
  }

  async *readLog(_node: string, asked: LogRequest): AsyncGenerator<LogPart, void, void> {
    this.asked.push(asked);
    const cursors = new Map(
      (asked.cursor ?? '').split(';').flatMap((each) => (each ? [each.split('@')] : [])) as [string, string][],
    );
    const readers = new Map(ids.map((id) => [id, new LogReader(cursors.get(id))]));
    for (const { step, channel, time, data, partial } of all) {
      const end = await this.#before(this.#count);
      if (end) return yield end;
      const cursor = readers.get(step)?.advance(channel, time);
      if (cursor === undefined) continue;
      cursors.set(step, cursor);
      this.#count += 1;
      const entry = { time, channel, text: data.toString(), encoding: 'utf8' as const, partial, service: step };
      yield { kind: 'entries', cursor: stackCursor(cursors), entries: [entry] };
    }
    yield (await this.#before(this.#count)) ?? { kind: 'end', failure: null };
  }
}

/** A job of two steps that runs, with a store, and the logs of it as an agent keeps them. */
async function openJob({ builds = false } = {}) {
  const folder = temporaryFolder('job-log');
  const store = openSqliteStore(join(folder, 'control-plane.db'));
  const { needs } = aJob();
  const job = aJob({ steps: ids.map((id) => aJobStep(id)), needs: { ...needs, builds } });
  await store.write((tx) => tx.jobs.insert(job));
  const agent = openOutputs({
    ...{
      destination: undefined,
      folder: join(folder, 'jobs'),
      clock: systemClock,
      log: createLog({ level: 'silent' }),
    },
    ...{ limits: { each: 2 ** 30, all: 2 ** 30, reserve: 0 }, engine: { getArchive: async () => Readable.from([]) } },
  });
  const outputs: JobNews['outputs'][number][] = [];
  const rows: StoredOutput[] = [];
  for (const id of builds ? ['build', ...ids] : ids) {
    const its = Readable.from([...ofBuild, ...all].filter(({ step }) => step === id)) as AsyncIterable<LogEntry>;
    const output = await agent.takeLog(job.id, id, its, AbortSignal.timeout(10_000));
    outputs.push(output);
    rows.push({
      ...{ id: id, job_id: job.id, project_id: 'p1', node_id: 'node-1', ...output },
      ...{ state: 'stored', reason: null, offered_at: secondOf(1), stored_at: secondOf(2) },
    });
  }
  const clock = manualClock();
  const files = {
    open: ({ sha256 }: StoredOutput) => open(join(folder, 'jobs', job.id, sha256)),
    received: () => 0,
  } as unknown as OutputFiles;
  const put = async (now: Job, news: JobNews | undefined, stored: readonly StoredOutput[] = []) =>
    await store.write(async (tx) => {
      await tx.jobs.put(now);
      const before = await tx.job_news.get(job.id);
      if (news) await (before ? tx.job_news.put(news) : tx.job_news.insert(news));
      for (const row of stored) await tx.job_outputs.insert(row);
    });
  const reports = ids.map((id) => aStepReport(id));
  const ended: Job = {
    ...{ ...job, state: 'succeeded', ended_at: secondOf(20) },
    attempts: job.attempts.map((attempt) => ({ ...attempt, state: 'succeeded' as const, ended_at: secondOf(21) })),
  };
  return {
    ...{ store, job, ended, rows, outputs, clock, reports },
    put,
    news: (of: Job, more: Partial<JobNews> = {}) => jobNews(of, reports, { outputs, ...more }),
    /** Ends the job as its host tells it, with what it kept. */
    end: () => put(ended, jobNews(ended, reports, { outputs }), rows),
    read: (
      host: Host,
      given: { readonly cursor?: string | null; readonly follow?: boolean; readonly step?: string } = {},
    ) => {
      const { cursor = null, follow = true, step } = given;
      const request = { jobId: job.id, step, cursor, tail: null, follow };
      return readJobLog({ store, logs: host, outputs: files, clock }, request, AbortSignal.timeout(20_000));
    },
  };
}

const entriesOf = (parts: readonly LogPart[]) => parts.flatMap((part) => (part.kind === 'entries' ? part.entries : []));

describe.each([
  ['its container is gone', { kind: 'end', failure: gone }],
  ['its log ends early', { kind: 'end', failure: null }],
  ['its host fails', { kind: 'end', failure: failureOf('engine.failed') }],
  ['its host is away', { kind: 'end', failure: failureOf('node.away') }],
] as const satisfies readonly (readonly [string, LogPart])[])('a follower has every line once where %s', (_, end) => {
  it.each(Array.from({ length: all.length + 1 }, (__, count) => count))('behind %i entries', async (count) => {
    const { read, end: endJob } = await openJob();
    const host = new Host(async (now) => {
      if (now < count) return undefined;
      await endJob();
      return end;
    });

    const parts = await Array.fromAsync(read(host));

    expect(textOf(entriesOf(parts))).toEqual(whole);
    expect(parts.at(-1)).toEqual({ kind: 'end', failure: null });
  });
});

it('a follower looks again where something of its own job has changed, and of no other', async () => {
  const { store, read, end } = await openJob();
  const looks = vi.spyOn(store, 'read');
  const reading = Array.fromAsync(read(new Host(async () => ({ kind: 'end', failure: gone }))));
  await expect.poll(() => looks.mock.calls.length).toBe(3);

  const other = aJob({ id: 'job-2' });
  await store.write((tx) => tx.jobs.insert(other));
  for (const reason of ['one', 'two', 'three']) await store.write((tx) => tx.jobs.put({ ...other, reason }));

  expect(looks).toHaveBeenCalledTimes(3);
  await end();
  expect(textOf(entriesOf(await reading))).toEqual(whole);
});

it('whoever comes back with the cursor of any part has what was behind it, of the host or of what was kept', async () => {
  const { read, end } = await openJob();
  const live = await Array.fromAsync(read(new Host(), { follow: false }));
  const again = async (parts: readonly LogPart[], index: number, host: Host) => {
    const { cursor } = parts[index] as LogPart & { cursor: string };
    return textOf(
      entriesOf([...parts.slice(0, index + 1), ...(await Array.fromAsync(read(host, { cursor, follow: false })))]),
    );
  };
  const atHost = await Promise.all(all.map((__, index) => again(live, index, new Host())));
  await end();
  const fromLive = await Promise.all(all.map((__, index) => again(live, index, new Host())));

  for (const text of [...atHost, ...fromLive]) expect(text).toEqual(whole);
});

it('waits for a log that is on its way here, and says which one does not come', async () => {
  const { read, put, ended, news, rows, clock } = await openJob();
  await put(ended, news(ended), rows.slice(0, 1));

  const reader = read(new Host());
  const first = reader.next();
  await expect.poll(() => clock.waiting().length).toBeGreaterThan(0);
  await clock.advance(60_000);
  const parts = [(await first).value as LogPart, ...(await Array.fromAsync(reader))];

  expect(Object.keys(textOf(entriesOf(parts)))).toEqual(['one stdout', 'one stderr']);
  expect(parts.at(-1)).toMatchObject({ kind: 'end', failure: { code: 'log.incomplete', detail: { steps: ['two'] } } });
});

it('reads a log that comes while it is waited for', async () => {
  const { read, put, ended, news, rows, clock } = await openJob();
  await put(ended, news(ended), rows.slice(0, 1));

  const reader = read(new Host());
  const first = reader.next();
  await expect.poll(() => clock.waiting().length).toBeGreaterThan(0);
  await put(ended, undefined, rows.slice(1));
  const parts = [(await first).value as LogPart, ...(await Array.fromAsync(reader))];

  expect(textOf(entriesOf(parts))).toEqual(whole);
  expect(parts.at(-1)).toEqual({ kind: 'end', failure: null });
});

it('says so at once where a log was refused', async () => {
  const { read, put, ended, news, rows } = await openJob();
  const [one, two] = rows as [StoredOutput, StoredOutput];
  await put(ended, news(ended), [one, { ...two, state: 'refused', reason: 'It is too large.' }]);

  const parts = await Array.fromAsync(read(new Host()));

  expect(Object.keys(textOf(entriesOf(parts)))).toEqual(['one stdout', 'one stderr']);
  const detail = { steps: ['two'], reason: 'two: It is too large.' };
  expect(parts.at(-1)).toMatchObject({ kind: 'end', failure: { code: 'log.incomplete', detail } });
});

it('says so at once where its host could not keep a log', async () => {
  const { read, put, ended, news } = await openJob();
  await put(ended, news(ended, { outputs: [] }));

  const parts = await Array.fromAsync(read(new Host()));

  expect(parts).toMatchObject([{ kind: 'end', failure: { code: 'log.incomplete', detail: { steps: ids } } }]);
});

it('what an attempt that failed has said is there until the next one says something of its own (X-18)', async () => {
  const { read, put, job, news, rows } = await openJob();
  const [first] = job.attempts as [Job['attempts'][number]];
  const failed = { ...first, state: 'failed' as const, ended_at: secondOf(30) };
  const waiting: Job = { ...job, state: 'queued', attempts: [failed] };
  const isOf = async (host: Host) => textOf(entriesOf(await Array.fromAsync(read(host, { follow: false }))));
  const silent = new Host(() => ({ kind: 'end', failure: gone }));

  await put(waiting, news({ ...job, state: 'failed' }), rows);
  expect(await isOf(silent)).toEqual(whole);
  expect(silent.asked).toEqual([]);

  const second: Job = { ...job, state: 'preparing', attempts: [failed, { ...first, number: 2 }] };
  await put(second, { ...news({ ...job, state: 'failed' }), ahead: { attempt: 2, state: 'preparing', outputs: [] } });
  expect(await isOf(silent)).toEqual(whole);
  // It is of the first attempt: who comes back with it is given the second from its beginning.
  const shown = await Array.fromAsync(read(silent, { follow: false }));
  const cursor = shown.flatMap((part) => (part.kind === 'entries' ? [part.cursor] : [])).at(-1) ?? null;
  expect(cursor).toMatch(/^1\./);

  // A host has refused the second and the third.
  const refused = [2, 3].map((number) => ({ ...failed, number, begun: false }));
  await put({ ...waiting, attempts: [failed, ...refused] }, news({ ...job, state: 'failed' }));
  expect(textOf(entriesOf(await Array.fromAsync(read(silent, { follow: false, cursor }))))).toEqual({});

  await put({ ...second, state: 'running' }, news(second, { attempt: 2, outputs: [] }));
  expect(await isOf(silent)).toEqual({});
  expect(await isOf(new Host((count) => (count > 0 ? { kind: 'end', failure: null } : undefined)))).toEqual({
    'one stdout': '1\n',
  });
});

it('what a follower has read of an attempt is not said again where the next was refused', async () => {
  const { read, put, job, news, rows } = await openJob();
  const [first] = job.attempts as [Job['attempts'][number]];
  const failed = { ...first, state: 'failed' as const, ended_at: secondOf(30) };
  const of = { ...news({ ...job, state: 'failed' }) };
  await put({ ...job, state: 'queued', attempts: [failed] }, of, rows);
  const silent = new Host(() => ({ kind: 'end', failure: gone }));
  const parts: LogPart[] = [];
  const reading = (async () => {
    for await (const part of read(silent)) parts.push(part);
  })();
  await expect.poll(() => textOf(entriesOf(parts))).toEqual(whole);

  await put({ ...job, state: 'preparing', attempts: [failed, { ...first, number: 2 }] }, of);
  await expect.poll(() => silent.asked.length).toBe(1);
  const refused = { ...failed, number: 2, begun: false };
  await put({ ...job, state: 'failed', attempts: [failed, refused] }, of);
  await reading;

  expect(textOf(entriesOf(parts))).toEqual(whole);
  expect(parts.at(-1)).toEqual({ kind: 'end', failure: null });
});

it('a follower waits for a job to be begun, and for the next step, without asking its host meanwhile', async () => {
  const { read, put, job, news, end, clock, reports } = await openJob();
  await put({ ...job, attempts: [], state: 'queued' }, undefined);
  let host: Host;
  const ends = new Host(async () => {
    if (host.asked.length < 3) return { kind: 'end', failure: gone };
    await end();
    return { kind: 'end', failure: null };
  });
  host = ends;

  const parts = Array.fromAsync(read(host));
  await expect.poll(() => clock.waiting().length).toBe(1);
  expect(host.asked).toEqual([]);
  await put(job, undefined);
  await expect.poll(() => host.asked.length).toBe(1);
  await put(job, news(job, { report: { ...jobNews(job, reports.slice(0, 1)).report } }));
  await expect.poll(() => host.asked.length).toBe(2);
  await put(job, news(job));

  expect(textOf(entriesOf(await parts))).toEqual(whole);
  expect(host.asked).toHaveLength(3);
});

it('a follower hears at once of a step that begins beside one that goes on', async () => {
  const { read, put, job, end, reports, news } = await openJob();
  const [one = aStepReport('one')] = reports;
  await put(job, jobNews(job, [one, aStepReport('two', { state: 'waiting', container_id: null })]));
  const host = new Host();
  const over = new AbortController();
  const patient = {
    asked: host.asked,
    async *readLog(node: string, asked: LogRequest, signal: AbortSignal) {
      const known = host.asked.length === 0 ? ['one'] : ids;
      for await (const part of host.readLog(node, asked)) {
        const entries =
          part.kind === 'entries' ? part.entries.filter(({ service }) => known.includes(service ?? '')) : [];
        if (part.kind === 'entries' && entries.length > 0) yield { ...part, entries };
      }
      // It goes on, and so does what it says.
      const ending = AbortSignal.any([signal, over.signal]);
      if (!ending.aborted) await once(ending, 'abort');
    },
  };

  const parts: LogPart[] = [];
  const reading = (async () => {
    for await (const part of read(patient as unknown as Host)) parts.push(part);
  })();
  const heard = () => textOf(entriesOf(parts));
  await expect.poll(heard).toEqual({ 'one stdout': whole['one stdout'], 'one stderr': whole['one stderr'] });
  await put(job, news(job));
  await expect.poll(heard).toEqual(whole);
  await end();
  over.abort();
  await reading;

  expect(heard()).toEqual(whole);
  expect(host.asked).toHaveLength(2);
});

describe.each([true, false])('a job of which no step was begun (follow: %s)', (follow) => {
  const failed = 'A check before the job did not pass.';

  it.each([
    ['that was begun', false, true],
    ['that was never begun', false, false],
    ['whose image was there already', true, true],
  ])('%s has no log, and says why: no failure of the log', async (_, builds, isBegun) => {
    const { read, put, ended } = await openJob({ builds });
    await put({ ...ended, state: 'failed', reason: failed, attempts: isBegun ? ended.attempts : [] }, undefined);

    const parts = await Array.fromAsync(read(new Host(), { follow }));

    const notice = expect.stringMatching(
      builds
        ? `There is no log of a build: its image was there already.* ${failed} \`gpuaas jobs describe job-1\``
        : `^No step of the job was begun, as far as its host has said. ${failed} \`gpuaas jobs describe job-1\``,
    );
    expect(parts).toEqual([{ kind: 'end', failure: null, notice }]);
  });

  it('has no log of one step, which is a failure', async () => {
    const { read, put, ended } = await openJob();
    await put({ ...ended, state: 'failed' }, undefined);

    const parts = await Array.fromAsync(read(new Host(), { follow, step: 'one' }));

    expect(parts).toMatchObject([{ kind: 'end', failure: { code: 'container.not_found' } }]);
  });
});

it('what is no cursor of a job log is its beginning', async () => {
  const { read, end } = await openJob();
  await end();

  const parts = await Promise.all(
    ['x', '1.9@,', '1.0@zzzzzzzzzzzzzz,'].map((cursor) => Array.fromAsync(read(new Host(), { cursor }))),
  );

  for (const each of parts) expect(textOf(entriesOf(each))).toEqual(whole);
});

it('says of a job that goes on that its host is away; whoever comes back has what was behind that', async () => {
  const { read, end } = await openJob();
  const away = { kind: 'end', failure: failureOf('node.away') } as const;

  const before = await Array.fromAsync(read(new Host((count) => (count < 5 ? undefined : away))));
  await end();
  const last = before.findLast((part) => part.kind === 'entries');
  const after = await Array.fromAsync(read(new Host(), { cursor: last?.cursor ?? null }));

  expect(before.at(-1)).toEqual(away);
  expect(textOf(entriesOf([...before, ...after]))).toEqual(whole);
});

it('the log of a step ends with the step, while its job goes on', async () => {
  const { read, put, job, reports } = await openJob();
  await put(job, jobNews(job, [reports[0] ?? aStepReport('one'), aStepReport('two', { state: 'running' })]));
  const host = new Host();

  const parts = await Array.fromAsync(read(host, { step: 'one' }));

  expect(parts.at(-1)).toEqual({ kind: 'end', failure: null });
  expect(host.asked).toMatchObject([{ source: { kind: 'service', service: 'one' }, follow: false }]);
});

describe('what a build says', () => {
  const unbegun = ids.map((id) =>
    aStepReport(id, { state: 'pending', started_at: null, ended_at: null, container_id: null }),
  );
  const textsOf = (parts: readonly LogPart[]) => entriesOf(parts).map(({ text }) => text);
  const texts = ofBuild.map(({ data }) => data.toString());
  const unknown = { kind: 'end', failure: failureOf('service.not_found') } as const;

  /** A job whose image is being built, by a host that says so many lines of it and then waits, or that knows of no such log. */
  async function openBuild(lines: number | undefined) {
    const opened = await openJob({ builds: true });
    const { job, put, outputs, rows } = opened;
    const over = new AbortController();
    const asked: LogRequest[] = [];
    const host = {
      asked,
      async *readLog(_node: string, request: LogRequest): AsyncGenerator<LogPart, void, void> {
        asked.push(request);
        if (lines === undefined) return yield unknown;
        for (const { channel, time, data } of ofBuild.slice(0, lines)) {
          const service = request.source.kind === 'instance' ? { service: 'build' } : {};
          const entry = { time, channel, text: data.toString(), encoding: 'utf8' as const, partial: false, ...service };
          yield { kind: 'entries', cursor: 'c', entries: [entry] };
        }
        if (request.follow && !over.signal.aborted) await once(over.signal, 'abort');
        yield { kind: 'end', failure: null };
      },
    } as unknown as Host;
    const preparing: Job = { ...job, state: 'preparing' };
    await put(preparing, jobNews(preparing, unbegun));
    const kept = outputs.filter(({ name }) => name === 'build.log');
    const runs = (told = kept, stored = rows.slice(0, 1)) => put(job, jobNews(job, unbegun, { outputs: told }), stored);
    return { ...opened, host, over, runs };
  }

  it('is read of its host while it is at work, then of what was kept, each line once; it ends while the job goes on', async () => {
    const { read, host, over, runs } = await openBuild(1);
    const parts: LogPart[] = [];
    const reading = (async () => {
      for await (const part of read(host, { step: 'build' })) parts.push(part);
    })();
    await expect.poll(() => textsOf(parts)).toEqual(texts.slice(0, 1));

    await runs();
    over.abort();
    await reading;

    expect(textsOf(parts)).toEqual(texts);
    expect(parts.at(-1)).toEqual({ kind: 'end', failure: null });
    expect(host.asked).toMatchObject([{ source: { kind: 'service', service: 'build' }, follow: true }]);
    expect(textsOf(await Array.fromAsync(read(host, { step: 'build', follow: false })))).toEqual(texts);
  });

  it('is waited for where it is kept and on its way', async () => {
    const { read, host, runs, rows, put, job } = await openBuild(0);
    await runs(undefined, []);
    const reading = Array.fromAsync(read(host, { step: 'build' }));

    await put(job, undefined, rows.slice(0, 1));

    expect(textsOf(await reading)).toEqual(texts);
    expect(host.asked).toEqual([]);
  });

  it('is there when it is over where its agent is an older one, and who asks before that is told so', async () => {
    const { read, host, runs } = await openBuild(undefined);
    const early = await Array.fromAsync(read(host, { step: 'build', follow: false }));
    const reading = Array.fromAsync(read(host, { step: 'build' }));
    await expect.poll(() => host.asked.length).toBe(2);

    await runs([]);
    const parts = await reading;

    const reason = expect.stringContaining('where its agent is an older one');
    expect(early).toMatchObject([{ kind: 'end', failure: { code: 'log.incomplete', detail: { reason } } }]);
    expect(textsOf(parts)).toEqual(texts);
    expect(parts.at(-1)).toEqual({ kind: 'end', failure: null });
  });

  it('is nothing where its image was there, which is said as soon as the job runs', async () => {
    const { read, host, runs } = await openBuild(undefined);
    await runs([], []);

    const parts = await Array.fromAsync(read(host, { step: 'build' }));

    const reason = expect.stringContaining('its image was there already');
    expect(parts).toMatchObject([{ kind: 'end', failure: { code: 'container.not_found', detail: { reason } } }]);
  });

  describe('again, in a second attempt', () => {
    const sha256 = 'e'.repeat(64);

    /** The first has left all its logs and the second is being prepared; its host has told as much. */
    async function openSecond(lines: number | undefined) {
      const opened = await openBuild(lines);
      const { put, job, outputs, rows, reports } = opened;
      const [first] = job.attempts as [Job['attempts'][number]];
      const attempts = [
        { ...first, state: 'failed' as const, ended_at: secondOf(30) },
        { ...first, number: 2 },
      ];
      const second: Job = { ...job, state: 'preparing', attempts };
      const [build, ...others] = outputs as [(typeof outputs)[number], ...typeof outputs];
      const before = jobNews(second, reports, { outputs: [{ ...build, sha256 }, ...others] });
      const its = (state: Job['state'], told = [build]) =>
        put(second, { ...before, ahead: { attempt: 2, state, outputs: told } });
      const [row, ...rest] = rows as [StoredOutput, ...StoredOutput[]];
      await put(second, before, [{ ...row, id: 'before', sha256 }, ...rest]);
      await its('preparing', []);
      /** What the second has said is here, and that of the first no more. */
      const arrives = () =>
        opened.store.write(async (tx) => {
          await tx.job_outputs.delete('before');
          await tx.job_outputs.put({ ...row, id: 'pending' });
        });
      const offered = () => put(second, undefined, [{ ...row, id: 'pending', state: 'pending', stored_at: null }]);
      return { ...opened, its, offered, arrives };
    }

    it('ends for its followers with the build, also before a step has begun', async () => {
      const { read, host, over, its, offered, arrives } = await openSecond(1);
      const parts: LogPart[] = [];
      const reading = (async () => {
        for await (const part of read(host, { step: 'build' })) parts.push(part);
      })();
      await expect.poll(() => textsOf(parts)).toEqual(texts.slice(0, 1));

      await offered();
      await arrives();
      await its('preparing');
      over.abort();
      await reading;

      expect(textsOf(parts)).toEqual(texts);
      expect(parts.at(-1)).toEqual({ kind: 'end', failure: null });
      expect(textsOf(await Array.fromAsync(read(host, { step: 'build', follow: false })))).toEqual(texts);
      expect(host.asked).toHaveLength(1);
    });

    it('is waited for while it is on its way, and is not that of the attempt before', async () => {
      const { read, host, its, offered, arrives, store, clock } = await openSecond(0);
      await offered();
      await its('failed');
      const early = await Array.fromAsync(read(host, { step: 'build', follow: false }));
      const reading = Array.fromAsync(read(host, { step: 'build' }));
      await expect.poll(() => clock.waiting().length).toBe(1);

      await arrives();
      await store.write(async (tx) => tx.jobs.put((await tx.jobs.get('job-1')) as Job));

      expect(textsOf(await reading)).toEqual(texts);
      const reason = expect.stringContaining('has not handed it over yet');
      expect(early).toMatchObject([{ kind: 'end', failure: { code: 'log.incomplete', detail: { reason } } }]);
    });
  });

  it.each([true, false])('is the log of a job of which no step was begun (follow: %s)', async (follow) => {
    const { read, host, put, ended, outputs, rows } = await openBuild(0);
    const failed: Job = { ...ended, state: 'failed' };
    await put(failed, jobNews(failed, unbegun, { outputs: outputs.slice(0, 1) }), rows.slice(0, 1));

    const parts = await Array.fromAsync(read(host, { follow }));

    expect(textOf(entriesOf(parts))).toEqual({ 'build stdout': texts.map((text) => `${text}\n`).join('') });
    expect(parts.at(-1)).toEqual({ kind: 'end', failure: null });
    const { cursor = null } = parts.findLast((part) => part.kind === 'entries') ?? {};
    expect(await Array.fromAsync(read(host, { follow, cursor }))).toEqual([{ kind: 'end', failure: null }]);
  });

  it('is said once to who followed it to its failure', async () => {
    const { read, host, over, put, ended, outputs, rows } = await openBuild(1);
    const parts: LogPart[] = [];
    const reading = (async () => {
      for await (const part of read(host)) parts.push(part);
    })();
    await expect.poll(() => textsOf(parts)).toEqual(texts.slice(0, 1));
    const failed: Job = { ...ended, state: 'failed' };
    await put(failed, jobNews(failed, unbegun, { outputs: outputs.slice(0, 1) }), rows.slice(0, 1));
    over.abort();
    await reading;

    expect(textsOf(parts)).toEqual(texts);
    expect(parts.at(-1)).toEqual({ kind: 'end', failure: null });
  });

  it('is not said again where the next attempt has ended before its build said anything', async () => {
    const { read, put, job, outputs, rows } = await openBuild(0);
    const [first] = job.attempts as [Job['attempts'][number]];
    const failed = { ...first, state: 'failed' as const, ended_at: secondOf(30) };
    const before = jobNews({ ...job, state: 'failed' }, unbegun, { outputs: outputs.slice(0, 1) });
    const ahead = { ...before, ahead: { attempt: 2, state: 'preparing' as const, outputs: [] } };
    await put({ ...job, state: 'queued', attempts: [failed] }, before, rows.slice(0, 1));
    const silent = new Host(() => ({ kind: 'end', failure: gone }));
    const parts: LogPart[] = [];
    const reading = (async () => {
      for await (const part of read(silent)) parts.push(part);
    })();
    await expect.poll(() => textsOf(parts)).toEqual(texts);

    await put({ ...job, state: 'preparing', attempts: [failed, { ...first, number: 2 }] }, ahead);
    await expect.poll(() => silent.asked.length).toBe(1);
    await put({ ...job, state: 'failed', attempts: [failed, { ...failed, number: 2 }] }, ahead);
    await reading;

    expect(textsOf(parts)).toEqual(texts);
  });

  it('comes before the steps for who follows the job, and is left out of what was kept of all of them', async () => {
    const { read, host, over, put, ended, reports, outputs, rows } = await openBuild(2);
    const parts: LogPart[] = [];
    const reading = (async () => {
      for await (const part of read(host)) parts.push(part);
    })();
    await expect.poll(() => textsOf(parts)).toEqual(texts);
    await put(ended, jobNews(ended, reports, { outputs }), rows);
    over.abort();
    await reading;

    expect(textOf(entriesOf(parts))).toEqual({ 'build stdout': texts.map((text) => `${text}\n`).join(''), ...whole });
    expect(textOf(entriesOf(await Array.fromAsync(read(host, { follow: false }))))).toEqual(whole);
  });
});
