/** `gpuaas jobs push` as a real process that somebody interrupts in the middle, and then begins again. */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { expect, it } from 'vitest';
import { startCuttingProxy } from '../support/cutting-proxy.ts';
import { atFileEnd } from '../support/file-end.ts';
import { serveProcess } from '../support/serve-process.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const folder = temporaryFolder('push-interrupted');
const temporary = join(folder, 'tmp');
const project = join(folder, 'project');
const manifest = {
  version: 1,
  runtime: { kind: 'oci', sandbox: 'gvisor', workdir: '/workspace' },
  entrypoint: { command: ['python', 'job.py'] },
};
for (const each of [temporary, project]) mkdirSync(each);
writeFileSync(join(project, 'computalot.project.json'), JSON.stringify(manifest));
writeFileSync(join(project, 'Dockerfile'), 'FROM scratch\nCOPY . /workspace\n');
writeFileSync(join(project, 'data.bin'), randomBytes(16 * 2 ** 20));

/** Runs it to its end; `onLine` is told each line of stderr, as an object, while it runs. */
async function gpuaas(
  env: Readonly<Record<string, string>>,
  words: readonly string[],
  onLine: (line: Record<string, unknown>, interrupt: () => void) => void = () => undefined,
) {
  const child = spawn(process.execPath, [resolve(import.meta.dirname, '../../src/cli/gpuaas.ts'), ...words, '--json'], {
    ...{ env: { ...process.env, ...env, TMPDIR: temporary }, stdio: ['ignore', 'pipe', 'pipe'] },
  });
  const ended = once(child, 'close');
  const lines: Record<string, unknown>[] = [];
  let out = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text;
  });
  for await (const text of createInterface({ input: child.stderr })) {
    const line = JSON.parse(text) as Record<string, unknown>;
    lines.push(line);
    onLine(line, () => child.kill('SIGINT'));
  }
  const [code, signal] = (await ended) as [number | null, string | null];
  return {
    code,
    signal,
    out,
    lines,
    received: lines.flatMap(({ type, received }) => (type === 'sent' ? [received] : [])),
  };
}

it('ends with 75 and says how to go on, leaves nothing behind, and sends only what is missing the next time', async () => {
  const plane = await serveProcess(join(folder, 'plane'), ['--init']);
  atFileEnd(() => plane.stop('SIGKILL'));
  const proxy = await startCuttingProxy(Number(new URL(plane.url ?? '').port));
  atFileEnd(() => proxy.close());
  const env = { GPUAAS_URL: plane.url ?? '', GPUAAS_TOKEN: plane.adminToken ?? '' };
  const made = await fetch(`${plane.url}/api/v1/projects`, {
    ...{ method: 'POST', body: JSON.stringify({ name: 'research', display_name: 'Research' }) },
    headers: { authorization: `Bearer ${plane.adminToken}`, 'content-type': 'application/json' },
  });
  const { id } = (await made.json()) as { id: string };
  const push = ['jobs', 'push', project, '--project', id];
  // A line on which a piece takes its time, so that the next one is under way when it is interrupted.
  proxy.throttle(2 ** 22);

  const first = await gpuaas(
    { ...env, GPUAAS_URL: `http://127.0.0.1:${proxy.port}` },
    push,
    ({ type, received }, interrupt) => {
      if (type === 'sent' && Number(received) > 0) interrupt();
    },
  );
  const left = readdirSync(temporary);
  const second = await gpuaas(env, push);
  const third = await gpuaas(env, push);

  expect([first.code, first.signal]).toEqual([75, null]);
  expect(first.out).toMatch(/push\.interrupted.*Push the same again/);
  expect(left).toEqual([]);
  expect(Number(first.received.at(-1))).toBeLessThan(16 * 2 ** 20);
  expect(second.code).toBe(0);
  // The first that it says is what was there before it sent anything.
  expect(second.received[0]).toBeGreaterThanOrEqual(Number(first.received.at(-1)));
  expect(JSON.parse(second.out)).toMatchObject({
    sha256: first.lines.find(({ type }) => type === 'packed')?.['sha256'],
  });
  expect([third.code, third.received]).toEqual([0, []]);
});
