import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, it, vi } from 'vitest';
import { runProgram } from '../../../src/host/run-program.ts';
import { standIn, testFolder } from './stand-ins.ts';

afterEach(() => void vi.useRealTimers());

it('gives output and exit code of a program', async () => {
  const program = standIn(testFolder(), 'tool', 'echo "out $1 $2"; echo err >&2; exit 3');

  const result = await runProgram(program, ['a b', '$(id)'], { timeoutMs: 5000 });

  expect(result).toEqual({ outcome: 'exited', exitCode: 3, stdout: 'out a b $(id)', stderr: 'err' });
});

it('passes on nothing of its own environment but what it is told to', async () => {
  vi.stubEnv('CANARY_SECRET', 'canary');
  const program = standIn(testFolder(), 'tool', 'env');

  const result = await runProgram(program, [], { timeoutMs: 5000, env: { GIVEN: 'yes' } });
  vi.unstubAllEnvs();

  expect(result).toMatchObject({ stdout: expect.stringContaining('GIVEN=yes') });
  expect(JSON.stringify(result)).not.toContain('canary');
});

it('kills a program that hangs and ignores every polite signal, and all that it started', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const folder = testFolder();
  const script = `trap '' TERM INT HUP; sleep 600 & echo "$$ $!" > ${folder}/pids; while :; do wait; sleep 600; done`;
  const program = standIn(folder, 'tool', script);

  const running = runProgram(program, [], { timeoutMs: 60_000 });
  await expect.poll(() => numbersIn(folder, 'pids')).toHaveLength(2);
  const pids = numbersIn(folder, 'pids');
  vi.advanceTimersByTime(60_000);

  expect(await running).toEqual({ outcome: 'timed_out' });
  await expect.poll(() => pids.filter(isAlive)).toEqual([]);
});

it('does not wait for a child that keeps the output open after the program has ended', async () => {
  const program = standIn(testFolder(), 'tool', 'sleep 600 & exit 0');

  const result = await runProgram(program, [], { timeoutMs: 300 });

  expect(result).toEqual({ outcome: 'timed_out' });
});

it('stops a program that floods its output', async () => {
  const program = standIn(testFolder(), 'tool', 'exec yes');

  const result = await runProgram(program, [], { timeoutMs: 8000 });

  expect(result).toEqual({ outcome: 'broken', why: 'too much output' });
});

it('says why a file cannot be run', async () => {
  const folder = testFolder();
  writeFileSync(join(folder, 'lost'), '#!/does/not/exist\n');
  writeFileSync(join(folder, 'closed'), '#!/bin/sh\n', { mode: 0o644 });
  chmodSync(join(folder, 'lost'), 0o755);

  const results = await Promise.all(
    ['lost', 'closed', 'nothing'].map((name) => runProgram(join(folder, name), [], { timeoutMs: 5000 })),
  );

  expect(results).toEqual([
    { outcome: 'broken', why: 'ENOENT' },
    { outcome: 'broken', why: 'EACCES' },
    { outcome: 'broken', why: 'ENOENT' },
  ]);
});

it('says why there can be no such call, and does not throw', async () => {
  const result = await runProgram('/bin/true', ['a\0b'], { timeoutMs: 5000 });

  expect(result).toEqual({ outcome: 'broken', why: 'ERR_INVALID_ARG_VALUE' });
});

it('takes characters that come in pieces for what they are, and a line end at the end away', async () => {
  const program = standIn(testFolder(), 'tool', "printf 'caf\\303'; sleep 0.05; printf '\\251\\n\\n'");

  const result = await runProgram(program, [], { timeoutMs: 5000 });

  expect(result).toMatchObject({ stdout: 'café\n' });
});

it('ends with the reason of an aborted signal, and the program with it', async () => {
  const folder = testFolder();
  const program = standIn(folder, 'tool', `echo $$ > ${folder}/pid; exec sleep 600`);
  const cancel = new AbortController();

  const running = runProgram(program, [], { timeoutMs: 60_000, signal: cancel.signal });
  await expect.poll(() => numbersIn(folder, 'pid')).toHaveLength(1);
  const pids = numbersIn(folder, 'pid');
  cancel.abort(new Error('cancelled by the test'));

  await expect(running).rejects.toThrow('cancelled by the test');
  await expect.poll(() => pids.filter(isAlive)).toEqual([]);
});

/** The numbers of a whole line; none as long as it is not written. */
function numbersIn(folder: string, name: string): number[] {
  const file = join(folder, name);
  const text = existsSync(file) ? readFileSync(file, 'utf8') : '';
  return text.endsWith('\n') ? text.trim().split(' ').map(Number) : [];
}

/** A killed process may stay a zombie where nobody reaps orphans. */
function isAlive(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}
