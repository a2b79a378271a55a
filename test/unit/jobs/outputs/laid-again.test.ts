/** What is kept of a folder can be laid again, whatever its program has left in it: the same rules are asked on both sides. */
import { mkdtempSync, readdirSync, readlinkSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, posix } from 'node:path';
import { Readable } from 'node:stream';
import fc from 'fast-check';
import { type Header, pack } from 'tar-stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AgentError } from '../../../../src/contract/failures.ts';
import { layFiles } from '../../../../src/jobs/inputs/lay-files.ts';
import { unpackFolder } from '../../../../src/jobs/inputs/unpack-folder.ts';
import { takeTar } from '../../../../src/jobs/outputs/take-tar.ts';
import { pax, tarOf } from '../../kit/tarball/tar-bytes.ts';

type Part = Partial<Header> & { readonly name: string };

const limits = { bytes: 10_000_000, entries: 1000, names: 100_000 };
const noRoom = { took: () => undefined, giveBack: () => undefined };
const file = (name: string): Part => ({ name, type: 'file' });
const directory = (name: string): Part => ({ name, type: 'directory' });
const link = (name: string, linkname: string): Part => ({ name, type: 'symlink', linkname });
const nested = (depth: number, name: string) =>
  Array.from({ length: depth }, (_, index) =>
    directory(
      Array(index + 1)
        .fill(name)
        .join('/'),
    ),
  );

let place: string;

beforeEach(() => {
  place = mkdtempSync(join(tmpdir(), 'gpuaas-unit-laid-again-'));
});

afterEach(() => {
  rmSync(place, { recursive: true, force: true });
});

describe('what no folder can have again', () => {
  it.each<[what: string, leftOut: RegExp, ...parts: Part[]]>([
    ['a backslash', /^a\\b has a backslash/, file('a\\b')],
    ['a line break', /control character/, file('a\nb')],
    ['a mark that turns the text', /control character/, file('a\u202eb')],
    ['a path of more than 1024 bytes', /longer than 1024/, ...nested(6, 'n'.repeat(200))],
    ['folders that lie too deep', /64 folders deep/, ...nested(65, 'd')],
    ['a link to itself', /^l is a link that leads in a circle/, link('l', 'l')],
    ['a link out through another', /^l .* outside the folder/, directory('deep'), link('deep/x', '..'), throughIt()],
    ['a link to what has a backslash', /^l .* backslash/, link('l', 'a\\b')],
    ['a link to nothing', /^l is a link to nothing/, link('l', '')],
    [
      'a hard link to what is left out',
      /^h is a link to .* backslash/,
      { name: 'h', type: 'link', linkname: 'm/a\\b' },
    ],
  ])('is left out, and all else is laid: %s', async (_what, leftOut, ...parts) => {
    const taken = await keptAndLaid([file('good'), ...parts]);

    expect(taken.leftOut).toEqual({ count: 1, some: [expect.stringMatching(leftOut)] });
    expect(statSync(join(taken.volume, 'good')).isFile()).toBe(true);
  });

  it('is left out with all that lies in it', async () => {
    const { leftOut, volume } = await keptAndLaid([
      ...[directory('a\\b'), file('a\\b/x'), directory('a\\b/c'), file('a\\b/c/y'), file('z')],
    ]);

    expect(leftOut.count).toBe(4);
    expect(readdirSync(volume)).toEqual(['z']);
  });

  it('is a circle of links, and all that leads into it', async () => {
    const { leftOut, volume } = await keptAndLaid([
      ...[link('a', 'b'), link('b', 'a'), link('c', 'a/x'), link('good', 'gone'), link('to', './good')],
    ]);

    expect(leftOut.count).toBe(3);
    expect(readdirSync(volume).map((name) => [name, readlinkSync(join(volume, name))])).toEqual([
      ['good', 'gone'],
      ['to', './good'],
    ]);
  });

  it('is a name that is no UTF-8, which is not kept as another', async () => {
    const names = [Buffer.from('m/a\xfe', 'latin1'), Buffer.from('m/a\xff', 'latin1')];
    const tar = tarOf(
      { name: 'm/', type: '5' },
      ...names.map((name) => ({ name })),
      ...[pax([['path', 'm/ä']]), { name: 'm/x' }],
      { name: 'm/l', type: '2', link: Buffer.from([0xff]) },
    );

    const { leftOut, volume } = await laid(tar);

    expect(leftOut.count).toBe(3);
    expect(leftOut.some).toEqual(Array(2).fill('a\u{fffd} is no UTF-8').concat('l is a link to what is no UTF-8'));
    expect(readdirSync(volume)).toEqual(['ä']);
  });

  it('has nothing to do with names that only look odd', async () => {
    const odd = ['.git', '-rf', ' ', 'ä', 'a\u200bb', 'n'.repeat(255), '.gpuaas-new', '%2e%2e', 'BZh'];

    const { leftOut, volume } = await keptAndLaid([...odd.map(file), link('l'.repeat(255), 'BZh')]);

    expect(leftOut.count).toBe(0);
    expect(readdirSync(volume).sort()).toEqual([...odd, 'l'.repeat(255)].sort());
  });
});

describe('a link that is laid', () => {
  it('takes nothing away that lies beside it, and leaves nothing', async () => {
    const parts = [
      file('b'),
      file('latest.gpuaas-new'),
      directory('l.gpuaas-new'),
      link('latest', 'b'),
      link('l', 'b'),
    ];

    const { volume, unpacked } = await keptAndLaid(parts);
    await layFiles(volume, unpacked.files, unpacked);

    expect(readdirSync(volume)).toEqual(['b', 'l', 'l.gpuaas-new', 'latest', 'latest.gpuaas-new']);
    expect(readlinkSync(join(volume, 'latest'))).toBe('b');
  });
});

const segment = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom('a', 'b', 'c', 'd') },
  { weight: 2, arbitrary: fc.constantFrom('ä', 'a\\b', 'x\ny', 'x\u202ey', 'x\u{fffd}', '.git', '\u7f51', '..x') },
  { weight: 1, arbitrary: fc.integer({ min: 90, max: 255 }).map((length) => 'n'.repeat(length)) },
  { weight: 1, arbitrary: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 8 }).map(asName) },
);
const target = fc
  .array(fc.oneof({ weight: 2, arbitrary: fc.constantFrom('..', '.', '') }, { weight: 5, arbitrary: segment }), {
    ...{ minLength: 1, maxLength: 8 },
  })
  .map((segments) => segments.join('/'));
const growth = fc.record({
  /** Below which of the folders that are there. */
  folder: fc.nat(),
  name: segment,
  type: fc
    .constantFrom<NonNullable<Header['type']>[]>('file', 'file', 'directory', 'directory', 'symlink', 'symlink')
    .chain((type) => fc.constantFrom(type, type, type, type, 'link', 'fifo')),
  target,
  /** Of which file it is another name. */
  other: fc.nat(),
  depth: fc.oneof({ weight: 9, arbitrary: fc.constant(1) }, { weight: 1, arbitrary: fc.integer({ min: 2, max: 70 }) }),
});

it('whatever a stranger leaves in a folder, what is kept of it is unpacked and laid again (C-70)', async () => {
  let kept = 0;
  let leftOut = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(growth, { maxLength: 40 }), async (growths) => {
      const parts = grown(growths);

      const taken = await keptAndLaid(parts).catch((error: unknown) => {
        // Names that are too long together: nothing is kept of it.
        if (error instanceof AgentError && error.code === 'output.refused') return undefined;
        throw error;
      });

      if (!taken) return;
      const { unpacked } = taken;
      expect(unpacked.files.length + unpacked.folders.length + unpacked.links.length + taken.leftOut.count).toBe(
        parts.length,
      );
      kept += parts.length - taken.leftOut.count;
      leftOut += taken.leftOut.count;
    }),
    { numRuns: 300 },
  );
  expect(kept).toBeGreaterThan(leftOut / 2);
  expect(leftOut).toBeGreaterThan(100);
});

function throughIt(): Part {
  return link('l', 'deep/x/../../etc/passwd');
}

/** As a file system has them: no slash and no NUL, and no more than 255 bytes. */
function asName(text: string): string {
  const name = text.replaceAll(/[/\0]/g, '_');
  return name === '.' || name === '..' ? '_' : name;
}

/** A folder as an engine walks through one: what a name lies in comes before it, and no name comes twice. */
function grown(growths: readonly (typeof growth extends fc.Arbitrary<infer G> ? G : never)[]): Part[] {
  const folders = [''];
  const files: string[] = [];
  const there = new Set<string>();
  const parts: Part[] = [];
  for (const { folder, name, type, target: linkname, other, depth } of growths) {
    const inside = folders[folder % folders.length] as string;
    const path = posix.join(inside, name);
    if (there.has(path)) continue;
    there.add(path);
    if (type === 'directory') {
      for (let level = 1; level <= depth; level += 1) {
        const deep = posix.join(inside, ...Array<string>(level).fill(name));
        there.add(deep);
        folders.push(deep);
        parts.push(directory(deep));
      }
    } else if (type === 'link') {
      const first = files[other % files.length];
      if (first !== undefined) parts.push({ name: path, type, linkname: `m/${first}` });
    } else {
      if (type === 'file') files.push(path);
      parts.push(type === 'symlink' ? link(path, linkname) : { name: path, type });
    }
  }
  return parts;
}

async function keptAndLaid(parts: readonly Part[]) {
  const tar = pack();
  tar.entry({ name: 'm/', type: 'directory' });
  for (const { name, ...header } of parts) {
    if (header.linkname === '') {
      // The packer waits for the target otherwise.
      tar.entry({ ...header, name: `m/${name}` }).end(null);
    } else tar.entry({ ...header, name: `m/${name}` }, '');
  }
  tar.finalize();
  const chunks: Uint8Array[] = [];
  for await (const chunk of tar) chunks.push(chunk as Uint8Array);
  return await laid(Buffer.concat(chunks));
}

async function laid(tar: Buffer) {
  const chunks: Uint8Array[] = [];
  const write = async (chunk: Uint8Array) => void chunks.push(Uint8Array.from(chunk));
  const { leftOut } = await takeTar(Readable.from([tar]), write, limits);
  const at = mkdtempSync(join(place, 'laid-'));
  const kept = join(at, 'kept.tar');
  writeFileSync(kept, Buffer.concat(chunks));
  const signal = new AbortController().signal;
  const unpacked = await unpackFolder(kept, { to: join(at, 'objects'), at: '.', room: async () => noRoom, signal });
  const volume = join(at, 'volume');
  await layFiles(volume, unpacked.files, unpacked);
  return { leftOut, unpacked, volume };
}
