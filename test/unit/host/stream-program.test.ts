import { once } from 'node:events';
import { expect, it } from 'vitest';
import { streamProgram } from '../../../src/host/stream-program.ts';
import { standIn, testFolder } from './stand-ins.ts';

const usual = { memoryBytes: 2 ** 30, cpuSeconds: 60 };

function start(script: string, limits: Partial<typeof usual> = {}) {
  return streamProgram('/usr/bin/prlimit', [standIn(testFolder(), 'program', script)], { ...usual, ...limits });
}

async function all(program: ReturnType<typeof start>): Promise<{ text: string; trouble: string | undefined }> {
  let text = '';
  for await (const chunk of program.stdout) text += String(chunk);
  return { text, trouble: await program.trouble() };
}

it('gives what a program writes, and nothing of our own environment', async () => {
  process.env['GPUAAS_TEST_SECRET'] = 'x';

  expect(await all(start('echo "$GPUAAS_TEST_SECRET$(pwd)"'))).toEqual({
    text: '/\n',
    trouble: undefined,
  });
});

it('tells how it has failed, with the end of what it said', async () => {
  expect((await all(start('echo half; echo bad block >&2; exit 3'))).trouble).toBe('It ended with 3: bad block');
  expect((await all(start('kill -TERM $$'))).trouble).toBe('It was ended by SIGTERM');
  const missing = streamProgram('/nowhere/prlimit', ['/bin/true'], usual);
  expect(await missing.trouble()).toBe('ENOENT');
});

it('gives it no more of the host than it may have', async () => {
  const file = `${testFolder()}/written`;

  expect((await all(start(`echo x > ${file}`))).trouble).toBeDefined();
  expect((await all(start(`exec ${process.execPath} --version`, { memoryBytes: 64 * 2 ** 20 }))).trouble).toBeDefined();
  expect((await all(start('while :; do :; done', { cpuSeconds: 1 }))).trouble).toMatch(/ended by SIG(XCPU|KILL)/);
  expect((await all(start('ulimit -n'))).text).toBe('64\n');
});

it('ends with all that it has started', async () => {
  const program = start('sleep 100 & echo begun; wait');
  const [begun] = await once(program.stdout, 'data');
  program.end();

  expect(String(begun)).toBe('begun\n');
  expect(await program.trouble()).toBe('It was ended by SIGKILL');
});
