/** Archives as an engine gives them, filled by strangers, and what becomes of them. */
import { Readable } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import { extract, type Header, pack } from 'tar-stream';
import { describe, expect, it } from 'vitest';
import { lookAt, takeTar } from '../../../../src/jobs/outputs/take-tar.ts';
import type { Archive } from '../../../../src/runtime/engine.ts';

type Part = Partial<Header> & { readonly name: string; readonly content?: string };

const limits = { bytes: 12_000, entries: 20, names: 500 };
const file = (name: string, content: string, more: Partial<Header> = {}): Part => ({ name, content, ...more });
const directory = (name: string, more: Partial<Header> = {}): Part => ({ name, type: 'directory', ...more });

describe('a file', () => {
  it('is taken as it is, whatever it is called', async () => {
    const { kept, taken } = await take([file('../../etc/passwd', 'hello')]);

    expect(kept.toString()).toBe('hello');
    expect(taken).toMatchObject({ kind: 'file', leftOut: { count: 0 } });
  });

  it.each([
    ['plainly', 'x'],
    ['with a name that has a header of its own', 'n'.repeat(150)],
  ])('is the same %s, wherever its archive is cut, out of one buffer that is used again', async (_how, name) => {
    const content = 'abcdefg'.repeat(300);
    const archive = await bytesOf([file(name, content, { mtime: new Date(1e12) }), file('behind', 'it')]);

    for (const size of [1, 100, 511, 512, 513, 2048, archive.length]) {
      const { kept, taken } = await take([], oneBuffer(archive, size));

      expect(kept.toString()).toBe(content);
      expect(await lookAt(oneBuffer(archive, size))).toEqual(taken.look);
    }
    const later = await bytesOf([file(name, content, { mtime: new Date(1e12 + 1000) })]);
    const { taken } = await take([], oneBuffer(archive, 512));
    expect((await lookAt(oneBuffer(later, 512))).print).not.toBe(taken.look.print);
  });

  it('is refused by its header where it is too large, before any of it has come', async () => {
    const bomb = Readable.from(headerOf({ name: 'bomb', size: 2 ** 41 }));

    const { error, written } = await take([], bomb);

    expect(error).toMatchObject({ code: 'output.refused', detail: { reason: expect.stringContaining('larger than') } });
    expect(written).toBe(0);
  });

  it('is refused by its header where it was written to too late, before any of it is taken (C-71)', async () => {
    const part = file('x', 'content', { mtime: new Date(2e12) });

    const late = await take([part], undefined, 2e12 - 1000);

    expect(late.error).toMatchObject({ code: 'output.unsettled' });
    expect(late.written).toBe(0);
    expect((await take([part], undefined, 2e12)).error).toBeUndefined();
  });

  it.each<[string, Part]>([
    ['a link', { name: 'x', type: 'symlink', linkname: '/etc/shadow' }],
    ['a hard link', { name: 'x', type: 'link', linkname: '/etc/shadow' }],
    ['a device', { name: 'x', type: 'block-device', devmajor: 8, devminor: 0 }],
    ['a pipe', { name: 'x', type: 'fifo' }],
  ])('is no %s', async (_what, part) => {
    expect((await take([part])).error).toMatchObject({ code: 'output.refused' });
  });
});

describe('a folder', () => {
  it('becomes an archive that depends on names and contents alone', async () => {
    const one = [
      directory('model/', { mtime: new Date(1e12), uid: 5 }),
      directory('model/a/', { mode: 0o700 }),
      file('model/a/x', 'one', { mtime: new Date(1e12), uid: 1000, uname: 'somebody', mode: 0o600 }),
      file('model/run.sh', 'two', { mode: 0o711 }),
    ];
    const other = [
      directory('elsewhere'),
      directory('elsewhere/a'),
      file('elsewhere/a/x', 'one'),
      file('elsewhere/run.sh', 'two', { mode: 0o755 }),
    ];

    const [first, second] = [await take(one), await take(other)];

    expect(first.kept.equals(second.kept)).toBe(true);
    expect(await unpacked(first.kept)).toEqual([
      { name: 'a', type: 'directory', mode: 0o755, content: '' },
      { name: 'a/x', type: 'file', mode: 0o644, content: 'one' },
      { name: 'run.sh', type: 'file', mode: 0o755, content: 'two' },
    ]);
  });

  it('looks the same again, and another way where a file of it was written to', async () => {
    const at = (ms: number) => [directory('m', { mtime: new Date(1e12) }), file('m/x', 'one', { mtime: new Date(ms) })];

    const { taken } = await take(at(2e12));

    expect(await lookAt(Readable.from([await bytesOf(at(2e12))]))).toEqual(taken.look);
    expect((await lookAt(Readable.from([await bytesOf(at(3e12))]))).print).not.toBe(taken.look.print);
  });

  it('keeps links that stay within it, and leaves out all others and what is no file', async () => {
    const { kept, taken } = await take([
      directory('m'),
      directory('m/blobs'),
      file('m/blobs/1', 'weights'),
      { name: 'm/inside', type: 'symlink', linkname: 'blobs/1' },
      { name: 'm/blobs/up', type: 'symlink', linkname: '../blobs/1' },
      { name: 'm/same', type: 'link', linkname: 'm/blobs/1' },
      { name: 'm/absolute', type: 'symlink', linkname: '/etc/shadow' },
      { name: 'm/climbs', type: 'symlink', linkname: '../../etc/shadow' },
      { name: 'm/later', type: 'link', linkname: 'm/not-yet' },
      { name: 'm/device', type: 'character-device', devmajor: 1, devminor: 1 },
      { name: 'm/pipe', type: 'fifo' },
    ]);

    expect((await unpacked(kept)).map(({ name }) => name)).toEqual(['blobs', 'blobs/1', 'same', 'inside', 'blobs/up']);
    expect(taken.leftOut).toEqual({
      count: 5,
      some: [
        'later is a hard link to no earlier file: "not-yet"',
        'device is a character-device',
        'pipe is a fifo',
        'absolute is a link that leads outside the folder: "/etc/shadow"',
        'climbs is a link that leads outside the folder: "../../etc/shadow"',
      ],
    });
  });

  it('tells ten of what it leaves out, so that no name moves a cursor, and how many there are', async () => {
    const many = Array.from({ length: 12 }, (_, index) => file(`m/${index}\u001b[2J`, ''));

    const { taken } = await take([directory('m'), ...many]);

    expect(taken.leftOut.count).toBe(12);
    expect(taken.leftOut.some).toHaveLength(10);
    expect(taken.leftOut.some[0]).toBe('0\u{fffd}[2J has a control character in its path');
  });

  it('counts a hard link as the file that it is where it is laid', async () => {
    const again = (name: string): Part => ({ name, type: 'link', linkname: 'm/x' });
    const parts = [directory('m'), file('m/x', 'y'.repeat(5000)), again('m/a')];

    expect((await take(parts)).error).toBeUndefined();
    expect((await take([...parts, again('m/b')])).error).toMatchObject({
      detail: { reason: expect.stringContaining('larger than') },
    });
  });

  it('counts names by their bytes, those of link targets as well', async () => {
    const link = (name: string, linkname: string): Part => ({ name, type: 'symlink', linkname });
    const wide = [directory('m'), file(`m/${'ä'.repeat(120)}`, ''), file(`m/${'ö'.repeat(120)}`, '')];
    const far = [directory('m'), ...Array.from({ length: 6 }, (_, index) => link(`m/${index}`, 'x'.repeat(90)))];

    for (const parts of [[...wide, file(`m/${'ü'.repeat(20)}`, '')], far]) {
      expect((await take(parts)).error).toMatchObject({
        detail: { reason: 'The names of its files are too long together.' },
      });
    }
    expect((await take(wide)).error).toBeUndefined();
  });

  it.each<[string, Part[]]>([
    ['climbs out of it', [directory('m'), file('m/../../x', '1')]],
    ['is beside it', [directory('m'), file('n/x', '1')]],
    ['is absolute', [directory('m'), file('/m/x', '1')]],
    ['is behind a link', [directory('m'), { name: 'm/l', type: 'symlink', linkname: 'd' }, file('m/l/x', '1')]],
    ['is behind a file', [directory('m'), file('m/f', '1'), file('m/f/x', '1')]],
    ['is there twice', [directory('m'), file('m/f', '1'), file('m/f', '2')]],
    ['has a link that leads out as its twin', [directory('m'), { name: 'm/l', type: 'link', linkname: '../x' }]],
  ])('with something that %s is refused', async (_what, parts) => {
    expect((await take(parts)).error).toMatchObject({ code: 'output.refused' });
  });

  it('is refused where it has too much, or too many', async () => {
    const many = [directory('m'), ...Array.from({ length: 21 }, (_, index) => file(`m/${index}`, ''))];
    const much = [directory('m'), ...Array.from({ length: 15 }, (_, index) => file(`m/${index}`, 'x'.repeat(500)))];

    expect((await take(many)).error).toMatchObject({ detail: { reason: 'It has more than 20 files.' } });
    const long = [directory('m'), ...Array.from({ length: 6 }, (_, index) => file(`m/${index}${'n'.repeat(90)}`, ''))];
    expect((await take(long)).error).toMatchObject({
      detail: { reason: 'The names of its files are too long together.' },
    });
    expect((await take(much)).error).toMatchObject({ detail: { reason: expect.stringContaining('larger than') } });
  });

  it('is waited for piece by piece, and nothing stays of that', async () => {
    const told: Error[] = [];
    const listen = (warning: Error) => told.push(warning);
    process.on('warning', listen);
    const bytes = await bytesOf([directory('m'), file('m/large', 'x'.repeat(2_000_000))]);
    const pieces = Array.from({ length: Math.ceil(bytes.length / 16_384) }, (_, at) =>
      bytes.subarray(at * 16_384, (at + 1) * 16_384),
    );

    await takeTar(Readable.from(pieces), async () => undefined, { ...limits, bytes: 10_000_000 });

    // Warnings come with the next turn.
    await setImmediate();
    process.off('warning', listen);
    expect(told).toEqual([]);
  });

  it('may be empty', async () => {
    expect(await unpacked((await take([directory('m')])).kept)).toEqual([]);
  });
});

describe('what is no sound archive', () => {
  it('is refused, and what breaks off fails as it broke', async () => {
    const whole = await bytesOf([directory('m'), file('m/x', 'y'.repeat(3000))]);
    const broken = async function* () {
      yield whole.subarray(0, 2000);
      throw Object.assign(new Error('the engine went away'), { code: 'ECONNRESET' });
    };

    expect((await take([], Readable.from([Buffer.alloc(512, 'x')]))).error).toMatchObject({ code: 'output.refused' });
    const half = (await bytesOf([file('x', 'y'.repeat(3000))])).subarray(0, 2000);
    expect((await take([], Readable.from([half]))).error).toMatchObject({
      ...{ code: 'output.refused', detail: { reason: 'The archive is damaged.' } },
    });
    expect((await take([], Readable.from([]))).error).toMatchObject({ code: 'output.refused' });
    expect((await take([], Readable.from([whole.subarray(0, 2000)]))).error).toMatchObject({ code: 'output.refused' });
    expect((await take([], Readable.from(broken(), { objectMode: false }))).error).toMatchObject({
      code: 'ECONNRESET',
    });
  });

  it('ends where it cannot be written, and lets the source go', async () => {
    const source = Readable.from([await bytesOf([directory('m'), file('m/x', 'y'.repeat(5000))])]);
    const full = async () => {
      throw Object.assign(new Error('no space left'), { code: 'ENOSPC' });
    };

    await expect(takeTar(source, full, limits)).rejects.toMatchObject({ code: 'ENOSPC' });
    expect(source.destroyed).toBe(true);
  });
});

interface Taken {
  readonly kept: Buffer;
  readonly taken: Awaited<ReturnType<typeof takeTar>>;
  readonly error: unknown;
  readonly written: number;
}

async function take(parts: readonly Part[], source?: Archive, newest?: number): Promise<Taken> {
  const chunks: Uint8Array[] = [];
  const from = source ?? Readable.from([await bytesOf(parts)]);
  const write = async (chunk: Uint8Array) => void chunks.push(Uint8Array.from(chunk));
  const result = await takeTar(from, write, { ...limits, newest }).then(
    (taken) => ({ taken, error: undefined }),
    (error: unknown) => ({ taken: undefined as never, error }),
  );
  const kept = Buffer.concat(chunks);
  return { ...result, kept, written: kept.length };
}

async function bytesOf(parts: readonly Part[]): Promise<Buffer> {
  const tar = pack();
  for (const { content = '', ...header } of parts) tar.entry({ type: 'file', ...header }, content);
  tar.finalize();
  const chunks: Uint8Array[] = [];
  for await (const chunk of tar) chunks.push(chunk as Uint8Array);
  return Buffer.concat(chunks);
}

function headerOf(header: Part): AsyncIterable<Uint8Array> {
  const tar = pack();
  tar.entry(header);
  return tar as unknown as AsyncIterable<Uint8Array>;
}

/** As it comes off a connection. */
function oneBuffer(bytes: Buffer, size: number): Archive {
  const buffer = Buffer.alloc(size);
  const chunks = async function* () {
    for (let at = 0; at < bytes.length; at += size) yield buffer.subarray(0, bytes.copy(buffer, 0, at, at + size));
  };
  return { [Symbol.asyncIterator]: chunks, destroy: () => undefined };
}

async function unpacked(bytes: Buffer) {
  const tar = extract();
  Readable.from([bytes]).pipe(tar as unknown as NodeJS.WritableStream);
  const found: { name: string; type: string; mode: number; content: string }[] = [];
  for await (const entry of tar) {
    const { name, type, mode, uid, gid, mtime } = entry.header;
    expect({ uid, gid, mtime: mtime.getTime() }).toEqual({ uid: 0, gid: 0, mtime: 0 });
    const chunks: Uint8Array[] = [];
    for await (const chunk of entry) chunks.push(chunk as Uint8Array);
    found.push({ name: name.replace(/\/$/, ''), type, mode, content: Buffer.concat(chunks).toString() });
  }
  return found;
}
