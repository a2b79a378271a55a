/** A folder as an archive, taken apart by the system's own tar. */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  createWriteStream,
  mkdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { describe, expect, it } from 'vitest';
import { tarOf } from '../../../../src/jobs/inputs/tar-of.ts';
import { filesBelow } from '../../../support/inputs-ground.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';

const root = temporaryFolder('tar');

function folderWith(name: string, files: Readonly<Record<string, string>>): string {
  const folder = join(root, name);
  mkdirSync(folder);
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(folder, path, '..'), { recursive: true });
    writeFileSync(join(folder, path), text, { mode: 0o444 });
  }
  return folder;
}

async function unpacked(folder: string): Promise<string> {
  await pipeline(tarOf(folder), createWriteStream(`${folder}.tar`));
  mkdirSync(`${folder}.out`);
  execFileSync('tar', ['-xpf', `${folder}.tar`, '-C', `${folder}.out`]);
  return `${folder}.out`;
}

describe('the archive of a folder', () => {
  it('has every file in it, whatever its name and size', async () => {
    const long = `${'folder-'.repeat(20)}/${'x'.repeat(200)}/ü ∑.bin`;
    const files = { 'a.txt': 'a', empty: '', 'deep/er/b.txt': 'b'.repeat(512), [long]: 'c'.repeat(100_000), ñ: 'd' };

    const out = await unpacked(folderWith('all', files));

    expect(filesBelow(out)).toEqual(Object.keys(files).sort());
    expect(Object.fromEntries(filesBelow(out).map((path) => [path, readFileSync(join(out, path), 'utf8')]))).toEqual(
      files,
    );
  });

  it('lets whoever runs in the container write there', async () => {
    const out = await unpacked(folderWith('modes', { 'in/a.txt': 'a' }));

    expect(['in', 'in/a.txt'].map((path) => statSync(join(out, path)).mode & 0o777)).toEqual([0o777, 0o666]);
  });

  it('does not begin like one that is compressed, whatever its files are called', async () => {
    const [head] = await Array.fromAsync(tarOf(folderWith('named', { BZh91AY: 'a' })));

    expect((head as Buffer).toString('latin1', 0, 12)).toBe('./BZh91AY\0\0\0');
  });

  it('says the size of a file that is too large for the old field', async () => {
    const folder = folderWith('large', { 'a.bin': '' });
    truncateSync(join(folder, 'a.bin'), 9 * 1024 ** 3);
    const heads: Buffer[] = [];
    for await (const part of tarOf(folder)) {
      heads.push(part as Buffer);
      break;
    }

    const head = Buffer.concat(heads).toString('latin1');
    expect(head).toContain(` size=${9 * 1024 ** 3}\n`);
    expect(head.slice(1024 + 124, 1024 + 135)).toBe('00000000000');
  });

  it('holds links that stay in it, whatever they are called, and no others', async () => {
    const folder = folderWith('links', { 'in/a.txt': 'a' });
    const far = `../${'x'.repeat(120)}/ü`;
    for (const [path, target] of Object.entries({
      ...{ 'in/up': '../in/a.txt', 'in/far': far, absolute: '/etc/passwd', out: '../out', 'in/out': '../in/../../x' },
    })) {
      symlinkSync(target, join(folder, path));
    }

    const out = await unpacked(folder);

    expect(filesBelow(out)).toEqual(['in/a.txt', 'in/far', 'in/up']);
    expect(['in/up', 'in/far'].map((path) => readlinkSync(join(out, path)))).toEqual(['../in/a.txt', far]);
  });

  it('is empty where there is nothing', async () => {
    expect(filesBelow(await unpacked(folderWith('nothing', {})))).toEqual([]);
  });

  it('lets be executed what may be', async () => {
    const folder = folderWith('programs', { 'run.sh': '' });
    chmodSync(join(folder, 'run.sh'), 0o555);

    expect(statSync(join(await unpacked(folder), 'run.sh')).mode & 0o777).toBe(0o777);
  });
});
