/** Tarballs that are made to do harm, byte by byte. Whatever is wrong with one, nothing is written. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EntryJudge } from '../../../../src/kit/tarball/judge-entries.ts';
import { openFolder } from '../../../../src/kit/tarball/open-folder.ts';
import { openTarball } from '../../../../src/kit/tarball/open-tarball.ts';
import {
  type TarballLimits,
  TarballRefused,
  type TarTroubleCode,
  tarballLimits,
} from '../../../../src/kit/tarball/tarball.ts';
import { contextOf } from '../../../../src/kit/tarball/write-tar.ts';
import { type Part, partOf, pax, tarOf, zeros } from './tar-bytes.ts';

let place: string;

beforeEach(() => {
  place = mkdtempSync(join(tmpdir(), 'gpuaas-unit-hostile-'));
});

afterEach(() => {
  rmSync(place, { recursive: true, force: true });
});

const whole: Part = { name: 'good', content: 'g' };
const ofAll = pax([['comment', 'x'.repeat(30)]], 'g');

/** What is wrong with one entry, by its code and the path that is told (C-87). */
const entries: [what: string, code: TarTroubleCode, path: string, ...parts: Part[]][] = [
  ['an absolute path', 'path.absolute', '/etc/passwd', { name: '/etc/passwd' }],
  ['an absolute path in a pax header', 'path.absolute', '/x', pax([['path', '/x']]), whole],
  ['an absolute path by a prefix', 'path.absolute', '/etc/x', { name: 'x', prefix: '/etc' }],
  ['a path that climbs', 'path.climbs', '../x', { name: '../x' }],
  ['one that climbs in its middle', 'path.climbs', 'a/../../x', { name: 'a/../../x' }],
  ['one that climbs by its prefix', 'path.climbs', '../x', { name: 'x', prefix: '..' }],
  ["one that climbs in GNU's long name", 'path.climbs', '../l', { type: 'L', content: '../l\0' }, whole],
  ['one that climbs and is left out by its name', 'path.climbs', '.git/../../x', { name: '.git/../../x' }],
  ['a NUL behind which something is hidden', 'path.nul', 'a\u{fffd}../x', { name: 'a\0../x' }],
  ['a NUL in a pax header', 'path.nul', 'a\u{fffd}b', pax([['path', 'a\0b']]), whole],
  ['a backslash', 'path.backslash', 'a\\..\\b', { name: 'a\\..\\b' }],
  ['a control character', 'path.control', 'a\u{fffd}[31m', { name: 'a\x1b[31m' }],
  ['a line break', 'path.control', 'a\u{fffd}b', { name: 'a\nb' }],
  ['a mark that turns the text', 'path.control', 'a\u{fffd}cod.exe', { name: 'a\u202ecod.exe' }],
  ['no UTF-8', 'path.encoding', 'a\u{fffd}', { name: Buffer.from([0x61, 0xff]) }],
  ['no path', 'path.empty', '', { name: '' }],
  ['an empty segment', 'path.empty', 'a//b', { name: 'a//b' }],
  ['a dot within', 'path.empty', 'a/./b', { name: 'a/./b' }],
  ['a name that is too long', 'path.long', `${'n'.repeat(200)}…`, pax([['path', 'n'.repeat(256)]]), whole],
  ['a path that is too long', 'path.long', `${'abc/'.repeat(50)}…`, pax([['path', `${'abc/'.repeat(300)}x`]]), whole],
  ['a path that is too deep', 'path.deep', `${'a/'.repeat(64)}a`, pax([['path', `${'a/'.repeat(64)}a`]]), whole],
  ['a file twice', 'path.twice', 'good', whole, { name: './good', content: 'other' }],
  ['a folder twice', 'path.twice', 'a', { name: 'a', type: '5' }, { name: 'a/', type: '5' }],
  ['a file in a file', 'path.taken', 'good/x', whole, { name: 'good/x' }],
  ['a file where another needs a folder', 'path.taken', 'a', { name: 'a/b' }, { name: 'a' }],
  ['a file where there is a folder', 'path.twice', 'a', { name: 'a', type: '5' }, { name: 'a' }],
  ['a file in a link', 'path.taken', 'l/x', { name: 'l', type: '2', link: 'd' }, { name: 'l/x' }],
  ['a root that is no folder', 'path.taken', '.', { name: '.', type: '2', link: 'x' }],
  ['a link to an absolute path', 'link.outside', 'l', { name: 'l', type: '2', link: '/etc/passwd' }],
  ['a link that climbs out', 'link.outside', 'a/l', { name: 'a/l', type: '2', link: '../../x' }],
  ['one that comes back', 'link.outside', 'l', { name: 'l', type: '2', link: '../here/good' }],
  ['a link to itself', 'link.loop', 'l', { name: 'l', type: '2', link: 'l' }],
  ['a link with a NUL', 'path.nul', 'l', { name: 'l', type: '2', link: 'a\0b' }],
  ['a link to nothing', 'path.empty', 'l', { name: 'l', type: '2' }],
  ['a link to what cannot be printed', 'path.control', 'l', { name: 'l', type: '2', link: 'a\x07' }],
  ['a link with a backslash', 'path.backslash', 'l', { name: 'l', type: '2', link: '..\\x' }],
  ["a link by GNU's long name", 'link.outside', 'l', { type: 'K', content: '/x\0' }, { name: 'l', type: '2' }],
  ['a link by a pax header', 'link.outside', 'l', pax([['linkpath', '../x']]), { name: 'l', type: '2', link: 'good' }],
  ['a hard link out', 'link.outside', 'h', { name: 'h', type: '1', link: '../../etc/shadow' }],
  ['a hard link to an absolute path', 'link.outside', 'h', { name: 'h', type: '1', link: '/etc/shadow' }],
  ['a hard link to itself', 'link.missing', 'h', { name: 'h', type: '1', link: 'h' }],
  ['a hard link to what comes later', 'link.missing', 'h', { name: 'h', type: '1', link: 'good' }, whole],
  ['a hard link to a folder', 'link.missing', 'h', { name: 'a', type: '5' }, { name: 'h', type: '1', link: 'a' }],
  ['a character device', 'entry.device', 'd', { name: 'd', type: '3' }],
  ['a block device', 'entry.device', 'd', { name: 'd', type: '4' }],
  ['a named pipe', 'entry.fifo', 'f', { name: 'f', type: '6' }],
  ['a file with holes', 'entry.sparse', 's', { name: 's', type: 'S' }],
  ['the name of a volume', 'entry.unknown', 'v', { name: 'v', type: 'V' }],
  ['a part of a file of another archive', 'entry.unknown', 'm', { name: 'm', type: 'M' }],
  ['a file of a kind that nobody knows', 'entry.unknown', 'q', { name: 'q', type: 'q' }],
];

/** Where nobody can say any more what follows. */
const archives: [what: string, code: TarTroubleCode, Buffer][] = [
  ['is no tar', 'archive.damaged', Buffer.from('#!/bin/sh\n'.repeat(100))],
  ['is empty', 'archive.damaged', Buffer.alloc(0)],
  ['has no end', 'archive.truncated', partOf(whole)],
  ['has half of an end', 'archive.truncated', Buffer.concat([partOf(whole), Buffer.alloc(512)])],
  ['ends in a header', 'archive.truncated', Buffer.concat([partOf(whole), partOf(whole).subarray(0, 300)])],
  ['ends in a file', 'archive.truncated', partOf({ name: 'x', size: 5000, content: 'x' })],
  ['says that a file is of eight exbibytes', 'archive.too_large', tarOf({ size: 0o77777777777 })],
  [
    'has a size in binary that is too large',
    'entry.header',
    tarOf(whole, { name: 'x', size: '\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff' }),
  ],
  [
    'has a negative size',
    'entry.header',
    tarOf(whole, { name: 'x', size: '\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff' }),
  ],
  ['has a size that is no number', 'entry.header', tarOf(whole, { name: 'x', size: '0000009' })],
  ['has a wrong checksum', 'entry.header', tarOf(whole, { name: 'x', isBroken: true })],
  ['has a header of another format', 'entry.header', tarOf(whole, { name: 'x', magic: 'BOGUS!' })],
  ['goes on behind its end', 'archive.damaged', Buffer.concat([tarOf(whole), partOf({ name: 'hidden' }), zeros])],
  [
    'goes on behind half of its end',
    'archive.damaged',
    Buffer.concat([partOf(whole), Buffer.alloc(512), tarOf(whole)]),
  ],
  ['has a size in a pax header that lies', 'entry.header', tarOf(pax([['size', '600']]), whole)],
  ['has a size in a pax header that is no number', 'archive.damaged', tarOf(pax([['size', '-1']]), whole)],
  ['has a path for all files', 'archive.damaged', tarOf(pax([['path', 'x']], 'g'), whole)],
  ['has two paths for one file', 'archive.damaged', tarOf(pax([['path', 'a']]), pax([['path', 'b']]), whole)],
  [
    'has two records of one path',
    'archive.damaged',
    tarOf(
      pax([
        ['path', 'a'],
        ['path', 'b'],
      ]),
      whole,
    ),
  ],
  ['has holes by a pax header', 'archive.damaged', tarOf(pax([['GNU.sparse.major', '1']]), whole)],
  ['has a pax header with a key that nobody knows', 'archive.damaged', tarOf(pax([['realpath', '/x']]), whole)],
  ['has a pax header that cannot be read', 'archive.damaged', tarOf({ type: 'x', content: '99 path=a\n' }, whole)],
  ['has a pax header for nothing', 'archive.damaged', tarOf(whole, pax([['path', 'a']]))],
  ['has a pax header that is larger than any', 'archive.damaged', tarOf({ type: 'x', size: 2 ** 30 })],
  ['has a folder with content', 'entry.header', tarOf({ name: 'd', type: '5', content: 'x' })],
  ['has a hard link with content', 'entry.header', tarOf(whole, { name: 'h', type: '1', link: 'good', content: 'x' })],
  ['is packed by xz', 'archive.compressed', Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0, 0, 0])],
  ['is packed by zstd', 'archive.compressed', Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0, 0, 0])],
  ['is a zip', 'archive.compressed', Buffer.from('PK\x03\x04 and so on')],
  ['is a gzip that is cut', 'archive.truncated', gzipSync(tarOf(whole)).subarray(0, -12)],
  ['is a gzip with an error', 'archive.damaged', Buffer.concat([gzipSync(tarOf(whole)).subarray(0, 10), zeros])],
  ['is a gzip that goes on', 'archive.damaged', Buffer.concat([gzipSync(tarOf(whole)), Buffer.from('more')])],
  ['is a gzip of no tar', 'archive.damaged', gzipSync('hello')],
];

describe('a tarball is refused, and nothing is written', () => {
  it.each(entries)('with %s (C-87)', async (_what, code, path, ...parts) => {
    for (const packed of [tarOf(...parts), gzipSync(tarOf(...parts))]) {
      const { troubles } = await refusalOf(packed);

      expect(troubles.map((trouble) => [trouble.code, trouble.path])).toEqual([[code, path]]);
    }
  });

  it.each(archives)('that %s', async (_what, code, bytes) => {
    const { troubles } = await refusalOf(bytes);

    expect(troubles.map((trouble) => trouble.code)).toEqual([code]);
  });

  it('with links that lead outside by way of others', async () => {
    const { troubles } = await refusalOf(
      tarOf(
        { name: 'a/up', type: '2', link: '..' },
        { name: 'b', type: '2', link: 'a/up/up2' },
        { name: 'up2', type: '2', link: 'a/up/..' },
        { name: 'c', type: '2', link: 'd' },
        { name: 'd', type: '2', link: 'c' },
      ),
    );

    expect(troubles.map(({ path, code }) => [path, code])).toEqual([
      ['b', 'link.outside'],
      ['up2', 'link.outside'],
      ['c', 'link.loop'],
      ['d', 'link.loop'],
    ]);
  });

  it('with links that cost much to follow, in no time', async () => {
    const chain = Array.from({ length: 300 }, (_, index) => ({ name: `l${index}`, type: '2', link: `l${index + 1}` }));
    const winding = { name: 'w', type: '2', link: 'a/../'.repeat(20) };

    const { count } = await refusalOf(tarOf(...chain, { name: 'l300', content: 'x' }, winding));

    expect(count).toBe(300 - 40);
  });

  it('with links that all lead far, while others get their turn', async () => {
    const judge = new EntryJudge(tarballLimits);
    const link = (path: string, target: string) => {
      const bytes = { path: Buffer.from(path), target: Buffer.from(target) };
      judge.add({ ...bytes, type: 'symlink', mode: 0o777, size: 0, offset: 0 });
    };
    for (let at = 0; at < 38; at += 1) link(`far-${at}`, `far-${at + 1}/${'./'.repeat(500)}`);
    for (let at = 0; at < 1000; at += 1) link(`link-${at}`, 'far-0');
    let turns = 0;
    let next = setImmediate(function count() {
      turns += 1;
      next = setImmediate(count);
    });

    const error = await judge.finish(() => Promise.reject(new Error('never'))).catch((thrown: unknown) => thrown);

    clearImmediate(next);
    expect(error).toMatchObject({ count: 1037 });
    expect(turns).toBeGreaterThan(20);
  });

  it('with all that is wrong at once, each with its path (C-88)', async () => {
    const { troubles } = await refusalOf(
      tarOf({ name: '/a' }, whole, { name: 'd', type: '3' }, { name: 'l', type: '2', link: '/x' }, whole, {
        name: 'e\\',
      }),
    );

    expect(troubles.map(({ path, code, message }) => `${path} ${code}: ${message}`)).toEqual([
      '/a path.absolute: is an absolute path',
      'd entry.device: is a device',
      'good path.twice: comes twice',
      'e\\ path.backslash: has a backslash in its path',
      'l link.outside: is a link that leads outside the tarball: "/x"',
    ]);
  });

  it('with a list that has an end', async () => {
    const { troubles, count } = await refusalOf(tarOf(...Array.from({ length: 80 }, () => ({ name: '/a' }))));

    expect([troubles.length, count]).toEqual([50, 80]);
  });

  it.each<[string, Partial<TarballLimits>, TarTroubleCode, Buffer]>([
    ['entries', { entries: 2 }, 'archive.too_many', tarOf(whole, { name: 'a' }, { name: 'b' })],
    ['folders that nobody names', { entries: 3 }, 'archive.too_many', tarOf({ name: 'a/b/c/d' })],
    ['bytes', { bytes: 2500 }, 'archive.too_large', tarOf(whole, { name: 'a', content: 'x'.repeat(1000) })],
    ['bytes by hard links', { bytes: 3000 }, 'archive.too_large', tarOf(whole, ...hardLinks(5))],
    ['names', { names: 20 }, 'archive.too_many', tarOf({ name: 'x'.repeat(21) })],
    ['files that are left out', { entries: 2 }, 'archive.too_many', tarOf(...times(21, { name: '.git/x' }))],
    ['headers before others', { entries: 2 }, 'archive.too_many', tarOf(...times(21, ofAll), whole)],
    ['bytes in headers before others', { names: 20 }, 'archive.too_many', tarOf(...times(9, ofAll), whole)],
  ])('with too many %s', async (_what, more, code, bytes) => {
    const { troubles } = await refusalOf(bytes, { ...tarballLimits, ...more });

    expect(troubles.map((trouble) => trouble.code)).toEqual([code]);
  });

  it('that unpacks to very much, by its ratio and by its size, long before all of it is there', async () => {
    const part = gzipSync(Buffer.alloc(16 * 1024 ** 2));
    const bomb = Buffer.concat([part, part, part, part, part]);

    const byRatio = await refusalOf(bomb, tarballLimits);
    const bySize = await refusalOf(bomb, { ...tarballLimits, bytes: 1024 ** 2, ratio: 10_000 });

    expect(byRatio.troubles[0]).toMatchObject({
      code: 'archive.ratio',
      message: 'unpacks to more than 200 times its size',
    });
    expect(bySize.troubles[0]?.code).toBe('archive.too_large');
  });

  it('but not what another has put where gzip is unpacked to', async () => {
    const file = join(place, 'file');
    writeFileSync(file, gzipSync(tarOf(whole)));
    writeFileSync(join(place, 'spool'), 'theirs');

    await expect(openTarball({ file, spool: join(place, 'spool') })).rejects.toThrow('EEXIST');
    expect(readdirSync(place)).toEqual(['file', 'spool']);
  });
});

describe('a tarball is taken', () => {
  it('with links within, hard links as files, and without rights that nobody should have', async () => {
    const { entries: all } = await read(
      tarOf(
        { name: './', type: '5', mode: 0o7777 },
        { name: './bin/run', content: 'run', mode: 0o6755 },
        { name: 'run', type: '2', link: './bin/../bin/run' },
        { name: 'later', type: '2', link: 'not/here/yet' },
        { name: 'bin/same', type: '1', link: './bin/run' },
        { name: 'Bin', type: '5' },
      ),
    );

    expect(all.map(({ path, type, mode, size, target }) => [path, type, mode.toString(8), size, target])).toEqual([
      ['Bin', 'directory', '755', 0, ''],
      ['bin', 'directory', '755', 0, ''],
      ['bin/run', 'file', '755', 3, ''],
      ['bin/same', 'file', '755', 3, ''],
      ['later', 'symlink', '777', 0, 'not/here/yet'],
      ['run', 'symlink', '777', 0, './bin/../bin/run'],
    ]);
  });

  it('without what no author means, which is told', async () => {
    const { entries: all, leftOut } = await read(
      tarOf(whole, { name: '.git/HEAD' }, { name: '.git/fifo' }, { name: 'a/.venv/x' }),
    );

    expect(all.map(({ path }) => path)).toEqual(['good']);
    expect(leftOut).toEqual({ some: ['.git/HEAD', '.git/fifo', 'a/.venv/x'], count: 3 });
  });
});

describe('a folder', () => {
  it('is refused with sockets, pipes and links that lead outside, and nothing behind a link is read', async () => {
    const folder = join(place, 'p');
    mkdirSync(folder);
    writeFileSync(join(place, 'secret'), 's');
    symlinkSync('../secret', join(folder, 'out'));
    symlinkSync('/', join(folder, 'root'));
    execFileSync('mkfifo', [join(folder, 'pipe')]);
    const server = createServer().listen(join(folder, 'socket'));
    await new Promise((resolve) => server.once('listening', resolve));

    const error = await openFolder(folder).catch((thrown: unknown) => thrown);
    server.close();

    expect((error as TarballRefused).troubles.map(({ path, code }) => [path, code]).sort()).toEqual([
      ['out', 'link.outside'],
      ['pipe', 'entry.fifo'],
      ['root', 'link.outside'],
      ['socket', 'entry.socket'],
    ]);
  });

  it('is no context with links that lead out of it', async () => {
    const tarball = await read(tarOf({ name: 'app/l', type: '2', link: '../good' }, whole));

    await expect(contextOf(tarball, 'app')).rejects.toThrow('app/l is a link that leads outside app: "../good".');
    expect((await contextOf(tarball, '.')).bytes).toBeGreaterThan(0);
  });
});

function times(count: number, part: Part): Part[] {
  return Array.from({ length: count }, () => part);
}

function hardLinks(count: number): Part[] {
  return Array.from({ length: count }, (_, index) => ({ name: `h${index}`, type: '1', link: 'good' }));
}

async function read(bytes: Buffer) {
  const file = join(place, 'file');
  writeFileSync(file, bytes);
  return await openTarball({ file, spool: join(place, 'spool') });
}

/** What is told of it; the folder has nothing but what was given in the end. */
async function refusalOf(bytes: Buffer, limits = tarballLimits): Promise<TarballRefused> {
  const file = join(place, 'file');
  writeFileSync(file, bytes);
  const error = await openTarball({ file, spool: join(place, 'spool'), limits }).catch((thrown: unknown) => thrown);
  expect(readdirSync(place)).toEqual(['file']);
  expect(error).toBeInstanceOf(TarballRefused);
  return error as TarballRefused;
}
