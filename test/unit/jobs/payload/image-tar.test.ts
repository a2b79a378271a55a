import { Readable } from 'node:stream';
import { extract } from 'tar-stream';
import { describe, expect, it } from 'vitest';
import { imageTar } from '../../../../src/jobs/payload/image-tar.ts';
import { type TarItem, tarOfItems } from '../../../support/tar-items.ts';

interface Program {
  readonly trouble?: string;
  /** Bytes of what it writes, at most. */
  readonly cut?: number;
}

/** What an engine would get of a program that writes this. */
async function judged(
  items: readonly TarItem[],
  limits = { bytes: 1000, entries: 10 },
  { trouble, cut }: Program = {},
) {
  let ended = false;
  const stdout = Readable.from([(await tarOfItems(items)).subarray(0, cut)]);
  const end = () => {
    ended = true;
  };
  const program = { stdout, trouble: async () => trouble, end };
  let told = { bytes: 0, entries: 0, leftOut: 0 };
  const from = extract();
  imageTar(program, limits, (now) => {
    told = now;
  })
    .once('error', (error) => from.destroy(error))
    .pipe(from as unknown as NodeJS.WritableStream);
  const found: Record<string, unknown>[] = [];
  try {
    for await (const entry of from) {
      const { name, type, mode, uid, gid, linkname, uname, pax } = entry.header;
      let content = '';
      for await (const chunk of entry) content += String(chunk);
      found.push({ name, type, mode, uid, gid, linkname, uname, pax, content });
    }
  } catch (error) {
    return { error: error as { code: string; detail: { reason: string } }, ended: () => ended };
  }
  return { found, told, ended: () => ended };
}

describe('the tar of an image', () => {
  it('has the files as they are: owners, modes, links', async () => {
    const { found, told } = await judged([
      { name: './', type: 'directory', mode: 0o755 },
      { name: 'bin/', type: 'directory', mode: 0o755, uid: 0, gid: 0, uname: 'root' },
      { name: 'bin/su', mode: 0o4755, uid: 0, gid: 5, content: 'su' },
      { name: 'bin/sh', type: 'symlink', linkname: '/usr/bin/sh', uid: 1000, gid: 1000 },
      { name: 'bin/other', type: 'link', linkname: 'bin/su' },
    ]);

    expect(found).toMatchObject([
      { name: './bin/', type: 'directory', mode: 0o755, uid: 0, uname: '' },
      { name: './bin/su', type: 'file', mode: 0o4755, uid: 0, gid: 5, content: 'su' },
      { name: './bin/sh', type: 'symlink', linkname: '/usr/bin/sh', uid: 1000 },
      { name: './bin/other', type: 'link', linkname: './bin/su' },
    ]);
    expect(told).toEqual({ bytes: 2, entries: 5, leftOut: 1 });
  });

  it('has no devices, no pipes, no extended attributes, and no name that is no text', async () => {
    const { found } = await judged([
      { name: 'dev/sda', type: 'block-device', devmajor: 8 },
      { name: 'dev/null', type: 'character-device', devmajor: 1, devminor: 3 },
      { name: 'dev/log', type: 'fifo' },
      { name: 'a\u{fffd}', content: 'x' },
      { name: 'd', type: 'directory', pax: { 'SCHILY.xattr.trusted.overlay.opaque': 'y' } },
    ]);

    expect(found).toMatchObject([{ name: './d/', type: 'directory', pax: null }]);
  });

  it.each<[string, TarItem[], string]>([
    ['a name that leads out', [{ name: '../x' }], 'leads out of it'],
    ['a name that leads out later', [{ name: 'a/../../x' }], 'leads out of it'],
    ['a name from the root', [{ name: '/etc/x' }], 'leads out of it'],
    [
      'a link that is of a file outside',
      [{ name: 'x', type: 'link', linkname: '../../etc/shadow' }],
      'leads out of it',
    ],
    ['a mark of what is gone', [{ name: 'etc/.wh.passwd' }], 'mark of what is gone'],
    ['a mark as a folder', [{ name: '.wh..wh.opq/x' }], 'mark of what is gone'],
    ['a link to nothing', [{ name: 'x', type: 'symlink', linkname: '' }], 'leads nowhere'],
    [
      'more bytes than allowed',
      [
        { name: 'x', content: 'x'.repeat(600) },
        { name: 'y', content: 'y'.repeat(600) },
      ],
      '1000 bytes',
    ],
    [
      'more files than allowed',
      Array.from({ length: 11 }, (_, index) => ({ name: `f${index}` })),
      'more than 10 files',
    ],
    ['no file at all', [], 'no file in it'],
  ])('is refused with %s', async (_name, items, why) => {
    const { error, ended } = await judged(items);

    expect(error).toMatchObject({ code: 'payload.unreadable', detail: { reason: expect.stringContaining(why) } });
    expect(ended()).toBe(true);
  });

  it('never comes to an end where the program fails, or breaks off', async () => {
    const items = [{ name: 'a', content: 'x'.repeat(900) }];
    const failed = await judged(items, undefined, { trouble: 'It ended with 1: bad block' });
    const cut = await judged(items, undefined, { trouble: 'It was ended by SIGKILL', cut: 700 });

    expect(failed.error?.detail.reason).toBe('It cannot be unpacked. It ended with 1: bad block.');
    expect(cut.error?.detail.reason).toBe('It cannot be unpacked. It was ended by SIGKILL.');
  });
});
