/**
 * Loaded into a process before it begins (`--import`): SIGKILL at the n-th change that it makes below a folder.
 *
 *   GPUAAS_TEST_KILL_UNDER=/folder GPUAAS_TEST_KILL_AT=7
 *
 * A process that makes fewer changes lives on, so a test that counts up has been everywhere. A whole file that is written
 * is cut in its middle.
 */
import fs, { readlinkSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { join, resolve } from 'node:path';

const under = resolve(process.env['GPUAAS_TEST_KILL_UNDER'] ?? '/nowhere');
let left = Number(process.env['GPUAAS_TEST_KILL_AT']);

// biome-ignore lint/suspicious/noExplicitAny: calls of every shape are passed on as they are.
type Call = (...args: any[]) => unknown;

// What was written and not synced is there all the same for whoever comes after a process that was killed.
for (const name of [
  ...([
    'writeFileSync',
    'writeSync',
    'linkSync',
    'symlinkSync',
    'renameSync',
    'rmSync',
    'mkdirSync',
    'chmodSync',
  ] as const),
]) {
  const call = fs[name] as Call;
  const watched: Call = (...args) => {
    if (pathOf(args[name === 'symlinkSync' ? 1 : 0]).startsWith(under)) {
      left -= 1;
      if (left === 0) {
        const [file, text, ...rest] = args;
        if (name === 'writeFileSync') call(file, String(text).slice(0, String(text).length / 2), ...rest);
        die();
      }
    }
    return call(...args);
  };
  Object.assign(fs, { [name]: watched });
}
for (const name of ['unlink', 'rmdir', 'rename'] as const) {
  const call = fs.promises[name] as Call;
  const watched: Call = (...args) => {
    if (pathOf(args[0]).startsWith(under)) {
      left -= 1;
      if (left === 0) die();
    }
    return call(...args);
  };
  Object.assign(fs.promises, { [name]: watched });
}
syncBuiltinESMExports();

function pathOf(file: unknown): string {
  if (typeof file === 'number') return readlinkSync(`/proc/self/fd/${file}`);
  const [, handle, name] = /^\/proc\/self\/fd\/(\d+)\/(.*)$/.exec(String(file)) ?? [];
  return handle === undefined ? resolve(String(file)) : join(pathOf(Number(handle)), name ?? '');
}

/** Nothing of this process happens after that. */
function die(): never {
  process.kill(process.pid, 'SIGKILL');
  for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000);
}
