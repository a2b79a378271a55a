import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readGvmi } from '../../../../src/jobs/payload/read-gvmi.ts';
import { withTail } from '../../../support/gvmi.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';

/** The block that a squashfs begins with. */
function superblock({ used = 4096, size = 4096, major = 4, magic = 'hsqs' } = {}): Buffer {
  const bytes = Buffer.alloc(size);
  bytes.write(magic, 0, 'latin1');
  bytes.writeUInt16LE(major, 28);
  bytes.writeBigUInt64LE(BigInt(used), 40);
  return bytes;
}

async function read(bytes: Buffer) {
  const file = join(temporaryFolder('gvmi'), 'image');
  writeFileSync(file, bytes);
  return await readGvmi(file);
}

const nothing = { env: [] };

describe('what a GVMI image says of itself', () => {
  it('is its variables and its folder, each as far as it is well formed', async () => {
    const Env = ['A=b', 'no name=1', 7, 'B=c\nUSER root', 'C='];
    const config = { Env, WorkingDir: '/w', User: 'root', Entrypoint: ['/bin/sh'], Cmd: ['x'], Labels: { a: 'b' } };

    expect(await read(withTail(superblock(), config))).toEqual({ env: ['A=b', 'C='], work_dir: '/w' });
    expect(await read(withTail(superblock(), { Env: null, WorkingDir: '' }))).toEqual(nothing);
    expect(await read(withTail(superblock(), { Env: 'A=b', WorkingDir: '/w' }))).toEqual({ env: [], work_dir: '/w' });
  });

  it.each([
    ['no tail', superblock()],
    ['a list', withTail(superblock(), [1])],
    ['null', withTail(superblock(), null)],
    ['a broken checksum', spoilt(withTail(superblock(), { Env: ['A=b'] }), -20)],
    ['a length beyond the file', Buffer.concat([superblock(), Buffer.from('99999999')])],
    ['a tail within the squashfs', withTail(superblock({ used: 4100, size: 4096 }), { Env: ['A=b'] })],
    ['no JSON', Buffer.concat([superblock(), Buffer.from('0000abcd00000004')])],
    ['more variables than may travel', withTail(superblock(), { Env: Array(256).fill(`A=${'x'.repeat(100)}`) })],
    ['more bytes of few characters', withTail(superblock(), { Env: Array(3).fill(`A=${'語'.repeat(1500)}`) })],
  ])('is nothing where there is %s', async (_name, bytes) => {
    expect(await read(bytes)).toEqual(nothing);
  });

  it.each([
    ['another file', Buffer.from('<html>not found</html>'), 'does not begin as one'],
    ['nothing', Buffer.alloc(0), 'does not begin as one'],
    ['an older squashfs', superblock({ major: 3 }), 'of version 3.0'],
    ['the other byte order', superblock({ magic: 'sqsh' }), 'does not begin as one'],
    ['one that was cut', superblock({ used: 5000 }), 'says that it has 5000 bytes, and has 4096'],
    ['one that says it is nothing', superblock({ used: 0 }), 'says that it has 0 bytes'],
  ])('is not looked for in %s', async (_name, bytes, why) => {
    await expect(read(bytes)).rejects.toMatchObject({
      ...{ code: 'payload.unreadable' },
      detail: { reason: expect.stringContaining(why) },
    });
  });
});

function spoilt(bytes: Buffer, at: number): Buffer {
  const other = Buffer.from(bytes);
  other[bytes.length + at] = (other[bytes.length + at] as number) ^ 1;
  return other;
}
