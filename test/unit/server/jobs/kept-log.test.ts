import { writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { StoredOutput } from '../../../../src/server/db/entities/job-output.ts';
import type { OutputFiles } from '../../../../src/server/job-outputs/output-files.ts';
import { fromKept } from '../../../../src/server/jobs/kept-log.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';

const line = (text: string) => `${JSON.stringify({ time: '2026-11-26T10:00:00Z', channel: 'stdout', text })}\n`;

it.each([
  ['what is no line of a log', ['one', 'three'], `${line('one')}nonsense\n${line('three')}`],
  [
    'what is too long to be held, with all behind it',
    ['one'],
    `${line('one')}${line('x'.repeat(2 ** 22))}${line('3')}`,
  ],
])('a node cannot make a reader of its log hold %s', async (_what, texts, content) => {
  const file = join(temporaryFolder('kept-log'), 'log');
  writeFileSync(file, content);
  const outputs = { open: () => open(file) } as unknown as OutputFiles;
  const kept = { outputs, logs: [{ step: 'one', output: {} as StoredOutput }], isMerged: false };

  const parts = await Array.fromAsync(
    fromKept(kept, { number: 1, from: undefined, tail: null }, AbortSignal.timeout(5000)),
  );

  expect(parts.flatMap((part) => (part.kind === 'entries' ? part.entries.map(({ text }) => text) : []))).toEqual(texts);
  expect(parts.at(-1)).toEqual({ kind: 'end', failure: null });
});
