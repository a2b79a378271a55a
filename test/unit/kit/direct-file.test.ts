/** On a disk: file systems in memory take a write from any place. */
import { readdirSync, readFileSync, readlinkSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { DirectFile, pageBuffer } from '../../../src/kit/direct-file.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

const path = join(temporaryFolder('direct', '/var/tmp'), 'file');
const large = 16 * 2 ** 20;
const direct = 0o40000;

let file: DirectFile | undefined;

afterEach(async () => {
  await file?.close();
  file = undefined;
});

/** Whether somebody here has it open past the page cache. */
function isDirect(): boolean {
  const open = readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`) === path;
    } catch {
      return false;
    }
  });
  return open.some((fd) => {
    const flags = /^flags:\s*(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1];
    return (Number.parseInt(flags ?? '', 8) & direct) !== 0;
  });
}

function filled(buffer: Buffer, seed: number): Buffer {
  for (let at = 0; at < buffer.length; at += 1) buffer[at] = (at * 7 + seed) % 251;
  return buffer;
}

describe('a large file', () => {
  it('is written past the page cache, also what is behind its last block', async () => {
    file = await DirectFile.open(path, 0, large);
    const [first, last] = [filled(pageBuffer(8192), 1), filled(pageBuffer(8192), 2).subarray(0, 5000)];

    await file.append(first);
    await file.append(last);

    // One that had been refused a write would be closed.
    expect(isDirect()).toBe(true);
    expect(readFileSync(path)).toEqual(Buffer.concat([first, last]));
  });

  it('is written as usual where its memory begins anywhere', async () => {
    file = await DirectFile.open(path, 0, large);
    const odd = filled(pageBuffer(8192 + 24), 3).subarray(24);

    await file.append(odd);
    await file.append(odd);

    expect(readFileSync(path)).toEqual(Buffer.concat([odd, odd]));
  });

  it('has what was appended, whatever its length and that of what was there', async () => {
    const length = fc.oneof(fc.nat(3), fc.constantFrom(4095, 4096, 4097, 8192), fc.nat(20_000));
    await fc.assert(
      fc.asyncProperty(length, fc.array(length, { maxLength: 5 }), async (there, lengths) => {
        const before = filled(Buffer.alloc(there), 0);
        writeFileSync(path, before);
        const pieces = lengths.map((each, index) => filled(pageBuffer(each), index));
        const appended = await DirectFile.open(path, there, large);
        for (const piece of pieces) await appended.append(piece);
        await appended.close();

        expect(readFileSync(path).equals(Buffer.concat([before, ...pieces]))).toBe(true);
      }),
      { numRuns: 60 },
    );
  });
});

describe('a file', () => {
  it('that is small is written as usual', async () => {
    file = await DirectFile.open(path, 0, large - 1);

    await file.append(pageBuffer(4096));

    expect(isDirect()).toBe(false);
  });

  it('that begins at 0 is a new one, which nobody else reads', async () => {
    writeFileSync(path, 'what was there before');

    file = await DirectFile.open(path, 0, large);

    expect(readFileSync(path)).toHaveLength(0);
    expect(statSync(path).mode & 0o077).toBe(0);
  });
});
