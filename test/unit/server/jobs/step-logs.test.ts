import { writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { Job, JobNews } from '../../../../src/server/db/entities/job.ts';
import type { StoredOutput } from '../../../../src/server/db/entities/job-output.ts';
import type { Store } from '../../../../src/server/db/store.ts';
import type { OutputFiles } from '../../../../src/server/job-outputs/output-files.ts';
import { stepLogs } from '../../../../src/server/jobs/step-logs.ts';
import { aJob, aJobStep, aStepReport, jobNews } from '../../../support/job-samples.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';

const folder = temporaryFolder('step-logs');
const time = '2026-11-26T10:00:00Z';
const lineOf = (text: string) => `${JSON.stringify({ time, channel: 'stdout', text })}\n`;
const running = aJob({ steps: ['one', 'two'].map((id) => aJobStep(id)) });
const ended = {
  ...running,
  state: 'succeeded' as const,
  attempts: running.attempts.map((each) => ({ ...each, ended_at: time })),
};

interface Kept extends Partial<StoredOutput> {
  readonly content?: string;
}

async function logsOf(job: Job, rows: readonly Kept[], told: readonly Kept[] = []) {
  const listed = rows.map(({ content = '', ...row }, index) => {
    const file_name = join(folder, String(index));
    writeFileSync(file_name, content);
    return {
      ...{ name: 'one.log', kind: 'log', sha256: 'now', state: 'stored' },
      ...{ bytes: content.length, file_name, ...row },
    };
  });
  const news =
    told.length === 0 ? undefined : jobNews(job, [aStepReport('one')], { outputs: told as JobNews['outputs'] });
  const tx = { job_outputs: { list: async () => listed }, job_news: { get: async () => news } };
  const store = { read: (work: (each: typeof tx) => unknown) => work(tx) } as unknown as Store;
  const outputs = {
    open: ({ file_name }: StoredOutput) => open(file_name).catch(() => undefined),
    received: () => 0,
  } as unknown as OutputFiles;
  return await stepLogs({ store, outputs }, job);
}

it('what a step has printed is here once the job is over, also while its host still cleans up', async () => {
  const rows = [{ content: lineOf('hello') }];

  const [before, after] = [await logsOf(running, rows), await logsOf(ended, rows)];
  const between = await logsOf({ ...running, state: 'succeeded' }, rows);

  const nothing = { entries: [], missing: null };
  expect(before('one')).toEqual(nothing);
  expect(after('one')).toMatchObject({ entries: [{ time, channel: 'stdout', text: 'hello' }], missing: null });
  expect(between('one')).toEqual(after('one'));
  expect(after('two')).toEqual(nothing);
});

it('of a long log the end is here, in whole lines, and it is said how much there is', async () => {
  const content = Array.from({ length: 20_000 }, (_, index) => lineOf(`line ${index}`)).join('');
  const { entries, missing } = (await logsOf(ended, [{ content }]))('one');

  const texts = entries.map(({ text }) => text);
  const first = 20_000 - texts.length;
  expect(texts).toEqual(Array.from(texts, (_, index) => `line ${first + index}`));
  expect(texts.map(lineOf).join('').length).toBeLessThanOrEqual(256 * 1024);
  expect(texts.map(lineOf).join('').length).toBeGreaterThan(255 * 1024);
  expect(missing).toBe(`Only the end of the log is here; all of it has ${content.length} bytes.`);
});

it('the logs of many steps have a bound together', async () => {
  const content = lineOf('x'.repeat(80)).repeat(1000);
  const steps = Array.from({ length: 128 }, (_, index) => aJobStep(`s${index}`));
  const rows = steps.map(({ id }) => ({ name: `${id}.log`, content }));

  const logs = await logsOf({ ...ended, steps }, rows);

  const kept = steps.flatMap(({ id }) => logs(id).entries.map(({ text }) => lineOf(text)));
  expect(new Set(steps.map(({ id }) => logs(id).entries.length)).size).toBe(1);
  expect(kept.join('').length).toBeGreaterThan(3.9 * 2 ** 20);
  expect(kept.join('').length).toBeLessThanOrEqual(4 * 2 ** 20);
});

it.each([
  ['is on its way', [{ state: 'pending' as const }], 'Its host has not handed it over yet.'],
  ['is not that of an earlier attempt', [{ sha256: 'before' }], 'Its host has not handed it over yet.'],
  ['was refused', [{ state: 'refused' as const, reason: 'Too large.' }], 'Too large.'],
])('it is said of a log that it %s', async (_, rows, reason) => {
  const logs = await logsOf(ended, rows, [{ name: 'one.log', sha256: 'now', kind: 'log' }]);

  expect(logs('one')).toEqual({ entries: [], missing: `The log is not here. ${reason}` });
});

it('it is said that what was kept is not there any more', async () => {
  const logs = await logsOf(ended, [{ file_name: join(folder, 'gone'), bytes: 10 }]);

  expect(logs('one')).toEqual({ entries: [], missing: 'Not all of the log is there any more.' });
});
