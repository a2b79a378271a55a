/** Inputs that are large, or many, and an agent that is killed while it fetches them. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, expect, it } from 'vitest';
import { measureFile } from '../../src/kit/measure-file.ts';
import { atFileEnd } from '../support/file-end.ts';
import { inputsGround, partsIn } from '../support/inputs-ground.ts';
import { killable } from '../support/killable.ts';
import {
  bytesAsked,
  type Content,
  contentOf,
  largeContent,
  loopbackSource,
  sendContent,
} from '../support/loopback-source.ts';
import { s3Server } from '../support/s3-server.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const mebibyte = 1024 * 1024;
const size = 300 * mebibyte + 12_345;
const content = largeContent(size);

interface Line {
  readonly bytes?: number;
  readonly held?: number;
  readonly provided?: { readonly bytes: number; readonly from_cache: boolean };
}

function fetcher(dir: string, url: string, sha256: string) {
  const program = join(import.meta.dirname, 'job-inputs-fetcher.ts');
  const child = spawn(process.execPath, [program, dir, url, sha256], {
    env: killable(),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  atFileEnd(() => child.kill('SIGKILL'));
  const lines: Line[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => lines.push(JSON.parse(line) as Line));
  const gone = once(child, 'close');
  return { child, lines, gone };
}

async function serving(what: Content) {
  const server = await loopbackSource((request, response) => sendContent(request, response, what));
  return { ...server, url: `${server.origin}/model.bin` };
}

describe('a file of 300 MB', () => {
  it('goes on exactly where it was when the agent was killed, and is never held in memory', async () => {
    const dir = temporaryFolder('large-input');
    const { promise: released, resolve: letGo } = Promise.withResolvers<void>();
    let left = 100 * mebibyte;
    const { url, asked } = await serving({
      ...content,
      async *read(start, end) {
        for (const block of content.read(start, end)) {
          left -= block.length;
          if (left < 0) await released;
          yield block;
        }
      },
    });
    const first = fetcher(dir, url, content.sha256);
    await expect.poll(() => first.lines.at(-1)?.bytes ?? 0).toBeGreaterThan(50 * mebibyte);
    const told = first.lines.at(-1)?.bytes ?? 0;
    first.child.kill('SIGKILL');
    await first.gone;
    const [there = 0] = partsIn(dir);
    const pieces = asked.splice(0).length - 1;
    letGo();

    const second = fetcher(dir, url, content.sha256);
    await second.gone;

    expect(there).toBeGreaterThanOrEqual(told);
    expect([pieces, bytesAsked(asked, size)]).toEqual([4, size - there]);
    expect(second.lines.at(-1)?.provided).toMatchObject({ bytes: size, from_cache: false });
    const laid = await measureFile(join(dir, 'jobs/job-1/models/model.bin'));
    expect(laid).toEqual({ size, sha256: content.sha256 });
    expect(readdirSync(join(dir, 'cache/partial'))).toEqual([]);
    for (const { lines } of [first, second]) {
      const held = lines.flatMap((line) => line.held ?? []);
      expect(held.length).toBeGreaterThan(1);
      expect(Math.max(...held) - (held[0] ?? 0)).toBeLessThan(24 * mebibyte);
    }
  });
});

describe('10,000 files', () => {
  it('come from a bucket', async () => {
    const names = Array.from({ length: 10_000 }, (_, index) => `set/${index % 100}/${index}.txt`);
    const objects = Object.fromEntries(names.map((name) => [name, contentOf(name)]));
    const { origin, asked } = await s3Server([{ name: 'data', objects }], { style: 'path' });
    const { provide, paths, text } = inputsGround();

    const provided = await provide({ kind: 's3', url: `${origin}/data/set/`, region: 'r', files: [] });

    expect([provided.files, paths().length, text('7/4207.txt')]).toEqual([10_000, 10_000, 'set/7/4207.txt']);
    // Each once, and the list in ten pages.
    expect(asked.length).toBe(10_000 + 10);
  });
});
