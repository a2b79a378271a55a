/** A disk that others write to as well: by what Node says of it, as small ones are not at hand. */
import { readdirSync, statSync } from 'node:fs';
import promises from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { beforeEach, describe, expect, it } from 'vitest';
import { openTarball } from '../../../../src/kit/tarball/open-tarball.ts';
import { canonicalTar, fileEntry, writePacked } from '../../../../src/kit/tarball/write-tar.ts';
import { PieceFiles } from '../../../../src/server/files/piece-files.ts';
import { replaceBuiltin } from '../../../support/replace-builtin.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';

const mib = 2 ** 20;
const folder = temporaryFolder('piece-room');
const size = 400 * mib;
const reserve = size / 20;

let others = 0;
/** Least that was found free. */
let least = size;

function freeNow(): number {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const sizes = entries.map((entry) => statSync(join(entry.parentPath, entry.name)).size);
  const free = size - others - sizes.reduce((sum, each) => sum + each, 0);
  least = Math.min(least, free);
  return free;
}

const statfs = async () => ({ bsize: 1, blocks: size, bavail: freeNow() });
replaceBuiltin(promises, { statfs: statfs as unknown as typeof promises.statfs });

const files = new PieceFiles(folder, 'tests');

beforeEach(() => {
  others = 0;
  least = size;
});

function announced(name: string, bytes: number) {
  const tooLong = () => new Error('too long') as never;
  return { group: 'p', name, size: bytes, isHashed: false, judge: () => undefined, tooLong };
}

function* zeros(bytes: number): Generator<Buffer> {
  for (let left = bytes; left > 0; left -= mib) yield Buffer.alloc(Math.min(left, mib));
}

describe('the room of a store', () => {
  it('is kept while pieces come that began together, and what was there before each stays (X-20)', async () => {
    const names = ['a', 'b', 'c'];
    for (const name of names) await files.take(announced(name, 100 * mib), 0, Readable.from(zeros(mib)));
    others = size - reserve - 30 * mib;

    const taken = names.map((name) => files.take(announced(name, 100 * mib), mib, Readable.from(zeros(40 * mib))));
    const ends = await Promise.allSettled(taken);

    const reason = 'The disk of the control plane has no room for tests.';
    expect(ends).toEqual(
      Array(3).fill({
        status: 'rejected',
        reason: expect.objectContaining({ code: 'disk.full', detail: expect.objectContaining({ reason }) }),
      }),
    );
    expect(least).toBeGreaterThan(0);
    expect(names.map((name) => files.received(announced(name, 100 * mib)))).toEqual([mib, mib, mib]);
  });

  it('is kept while a small tarball is unpacked into a large one, and while that is packed', async () => {
    const tar = Buffer.concat([fileEntry('big', Buffer.alloc(60 * mib)), Buffer.alloc(1024)]);
    const upload = join(temporaryFolder('piece-room-upload'), 'up.tar');
    const [packed, plain] = [`${upload}.gz`, upload];
    await promises.writeFile(packed, gzipSync(tar));
    await promises.writeFile(plain, tar);
    const passing = (chunks: AsyncIterable<Buffer>) => files.whileRoom(chunks);
    const spool = join(folder, 'spool');
    others = freeNow() - reserve - 10 * mib;

    await expect(openTarball({ file: packed, spool, passing })).rejects.toMatchObject({ code: 'disk.full' });
    expect(readdirSync(folder)).not.toContain('spool');
    const opened = await openTarball({ file: plain, spool, passing });
    const packing = writePacked(canonicalTar(opened), join(folder, 'tar'), passing);

    await expect(packing).rejects.toMatchObject({ code: 'disk.full' });
    expect(least).toBeGreaterThan(0);
  });
});
