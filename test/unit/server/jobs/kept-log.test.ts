import { writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, it } from 'vitest';
import type { StoredOutput } from '../../../../src/server/db/entities/job-output.ts';
import type { OutputFiles } from '../../../../src/server/job-outputs/output-files.ts';
import { fromKept } from '../../../../src/server/jobs/kept-log.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';

const line = (text: string, time = '2026-11-26T10:00:00Z') => `${JSON.stringify({ time, channel: 'stdout', text })}\n`;
const folder = temporaryFolder('kept-log');
const beginning = (tail: number | null) => ({ places: { attempt: 1, steps: new Map() }, tail, steps: ['one'] });

it.each([
  ['what is no line of a log', ['one', 'three'], `${line('one')}nonsense\n${line('three')}`],
  [
    'what is too long to be held, with all behind it',
    ['one'],
    `${line('one')}${line('x'.repeat(2 ** 22))}${line('3')}`,
  ],
])('a node cannot make a reader of its log hold %s', async (_what, texts, content) => {
  const file = join(folder, 'log');
  writeFileSync(file, content);
  const outputs = { open: () => open(file) } as unknown as OutputFiles;
  const kept = { outputs, logs: [{ step: 'one', output: {} as StoredOutput }], isMerged: false, isOfBuild: false };

  const parts = await Array.fromAsync(fromKept(kept, beginning(null), AbortSignal.timeout(5000)));

  expect(parts.flatMap((part) => (part.kind === 'entries' ? part.entries.map(({ text }) => text) : []))).toEqual(texts);
});

/** Logs of steps `s0`, `s1` and so on, whose bytes are in these files. */
function merged(files: readonly string[]) {
  const outputs = { open: ({ name }: StoredOutput) => open(name) } as unknown as OutputFiles;
  const logs = files.map((name, step) => ({ step: `s${step}`, output: { name } as StoredOutput }));
  return { outputs, logs, isMerged: true, isOfBuild: false };
}

function written(name: string, ...lines: readonly string[]): string {
  const file = join(folder, name);
  writeFileSync(file, lines.join(''));
  return file;
}

const minute = (number: number) => `2026-11-26T10:${String(number).padStart(2, '0')}:00Z`;

it('logs of several steps are one by time, with long lines and short ones, and a last one without an end', async () => {
  const long = (step: number) => `${step}${'ä'.repeat(200_000)}`;
  const files = [0, 1, 2].map((step) =>
    written(
      `step-${step}`,
      line(`first of ${step}`, minute(step)),
      line(long(step), minute(10 + step)),
      line(`last of ${step}`, minute(20 + step)).trimEnd(),
    ),
  );
  const kept = merged(files);

  const parts = await Array.fromAsync(fromKept(kept, beginning(8), AbortSignal.timeout(10_000)));

  const entries = parts.flatMap((part) => (part.kind === 'entries' ? part.entries : []));
  expect(entries.map(({ service, text }) => [service, text])).toEqual([
    ...[1, 2].map((step) => [`s${step}`, `first of ${step}`]),
    ...[0, 1, 2].map((step) => [`s${step}`, long(step)]),
    ...[0, 1, 2].map((step) => [`s${step}`, `last of ${step}`]),
  ]);
});

it('what a reader holds does not grow with the length of lines and the number of logs', async () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const used = () => {
    // What the first one frees of buffers counts until another thread has released it; the next one waits for that.
    for (const _ of [1, 2]) collect();
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    return heapUsed + arrayBuffers;
  };
  const file = written('long', line('\u0001'.repeat(150_000)), line('end', minute(1)));
  const kept = merged(Array.from({ length: 32 }, () => file));
  const before = used();

  const reader = fromKept(kept, beginning(null), AbortSignal.timeout(60_000));
  const first = await reader.next();
  const held = used() - before;
  await reader.return([]);

  expect(first.value).toMatchObject({ kind: 'entries', entries: { length: 1, 0: { service: 's0' } } });
  // 32 lines of 0.9 MB are 29 MB as they lie there, and 4.8 MB as what they say.
  expect(held).toBeLessThan(2 * 2 ** 20);
});
