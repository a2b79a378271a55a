/** An agent that is killed while it downloads an image, and its next life: what was there counts. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createReadStream, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { expect, it } from 'vitest';
import { atFileEnd } from '../support/file-end.ts';
import { partsIn } from '../support/inputs-ground.ts';
import { killable } from '../support/killable.ts';
import { bytesAsked, largeContent, loopbackSource, sendContent } from '../support/loopback-source.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

interface Line {
  readonly file?: string;
}

const size = 100 * 2 ** 20;

it('goes on where it was, also from another address (M-13)', async () => {
  const content = largeContent(size);
  const hash = createHash('sha3-512');
  for (const block of content.read(0, size)) hash.update(block);
  const wanted = `sha3:${hash.digest('hex')}`;
  let isHeld = true;
  const { origin, asked } = await loopbackSource((request, response, { pathname }) => {
    // In its next life the first address is gone.
    if (!isHeld && pathname === '/one') return void response.writeHead(404).end();
    return sendContent(request, response, {
      ...content,
      async *read(start, end) {
        let left = (end - start) / 2;
        for (const block of content.read(start, end)) {
          left -= block.length;
          if (isHeld && left < 0 && end - start > 1) await new Promise(() => undefined);
          yield block;
        }
      },
    });
  });
  const addresses = [`${origin}/one`, `${origin}/two`];
  const dir = temporaryFolder('payload-kill');
  const first = fetcher(dir, wanted, ...addresses);
  // What is told may be older than what is there, which nothing more comes to.
  await expect.poll(() => (first.lines.length > 0 ? (partsIn(dir)[0] ?? 0) : 0)).toBeGreaterThan(20 * 2 ** 20);
  first.child.kill('SIGKILL');
  await first.gone;
  const [there = 0] = partsIn(dir);
  asked.length = 0;
  isHeld = false;

  const second = fetcher(dir, wanted, ...addresses);
  await second.gone;

  expect(there).toBeGreaterThan(20 * 2 ** 20);
  expect(
    bytesAsked(
      asked.filter(({ url }) => url === '/two'),
      size,
    ),
  ).toBe(size - there);
  const { file = '' } = second.lines.at(-1) ?? {};
  const found = createHash('sha3-512');
  for await (const chunk of createReadStream(file)) found.update(chunk as Buffer);
  expect(`sha3:${found.digest('hex')}`).toBe(wanted);
  expect(readdirSync(join(dir, 'cache/partial'))).toEqual([]);
});

function fetcher(dir: string, ...args: readonly string[]) {
  const program = join(import.meta.dirname, 'payload-fetcher.ts');
  const child = spawn(process.execPath, [program, dir, ...args], {
    env: killable(),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  atFileEnd(() => child.kill('SIGKILL'));
  const lines: Line[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => lines.push(JSON.parse(line) as Line));
  return { child, lines, gone: once(child, 'close') };
}
