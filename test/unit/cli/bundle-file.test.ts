import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { writeBundle } from '../../../src/cli/bundle-file.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

const folder = temporaryFolder('bundle-file');
const bundle = {
  collected_at: '2026-11-26T11:00:00.000Z',
  files: [
    { name: 'about.json', text: '{"a":"ä"}\n' },
    { name: 'tasks/one.ndjson', text: 'x'.repeat(1500) },
  ],
  left_out: ['agent.log: not for this user.'],
};

it('is an archive that tar unpacks, with what is missing, for its owner alone', async () => {
  const file = join(folder, 'b.tar.gz');
  writeFileSync(file, 'what was there', { mode: 0o644 });

  await writeBundle(file, bundle);

  const out = join(folder, 'out');
  mkdirSync(out);
  execFileSync('tar', ['-xzf', file, '-C', out]);
  const text = (name: string) => readFileSync(join(out, 'diagnostics', name), 'utf8');
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect([text('about.json'), text('tasks/one.ndjson').length]).toEqual(['{"a":"ä"}\n', 1500]);
  expect(text('left-out.txt')).toBe('agent.log: not for this user.\n');
  expect(statSync(join(out, 'diagnostics/about.json')).mtime.toISOString()).toBe(bundle.collected_at);
});

it('is JSON where the name says so', async () => {
  const file = join(folder, 'b.json');

  await writeBundle(file, bundle);

  expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual(bundle);
  expect(statSync(file).mode & 0o777).toBe(0o600);
});

it('says where it cannot be written', async () => {
  await expect(writeBundle('/nonexistent/b.json', bundle)).rejects.toMatchObject({ code: 'file.unusable' });
});
