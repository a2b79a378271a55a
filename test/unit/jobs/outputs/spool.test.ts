/** What is kept of an output that is read more than once at the same time. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { Spool } from '../../../../src/jobs/outputs/spool.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';

const root = temporaryFolder('spool');
const facts = { name: 'ckpt', kind: 'checkpoint', media_type: 'application/octet-stream', file_name: 'c' } as const;

it.each([
  ['nothing', undefined],
  ['the same as at the end', 'final'],
])('what was begun later stays, where %s was kept before, and a look ends after it (C-71)', async (_, before) => {
  const folder = join(root, before ?? 'nothing');
  const spool = new Spool(folder, { each: 2 ** 20, all: 2 ** 20, reserve: 0 }, Date.now());
  const keep = (content: string, written: Promise<void> = Promise.resolve()) =>
    spool.keep('job-1', async (write) => {
      await write(Buffer.from(content));
      await written;
      return facts;
    });
  if (before !== undefined) await keep(before);
  const { promise: written, resolve: go } = Promise.withResolvers<void>();
  const look = keep('old', written);
  const final = await keep('final');

  go();
  const late = await look;

  expect(late).toEqual({ spooled: final.spooled, isNew: false });
  expect(spool.of('job-1')).toEqual([final.spooled.output]);
  expect(existsSync(spool.fileOf(final.spooled))).toBe(true);
  expect(JSON.parse(readFileSync(join(folder, 'job-1', 'ckpt.json'), 'utf8'))).toMatchObject({
    output: { sha256: final.spooled.output.sha256 },
  });
  expect(readdirSync(join(folder, 'job-1'))).toHaveLength(2);
});
