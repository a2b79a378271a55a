/**
 * An engine of a test's own that takes itself for one of a host with NVIDIA cards: it accepts requests for devices by their
 * ids and tells the container which ones it got, as with NVIDIA's runtime. Its hook mounts what needs no card: a tool and a
 * library of the driver, and a folder in /proc that is empty. Device files it cannot make.
 *
 * An engine looks for the runtime's hook on its PATH when it starts, so the machine's own engine cannot be used for this.
 */
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type PrivateEngine, startPrivateEngine } from '../../bootstrap/dev/private-engine.ts';
import { SYSTEM_ENV } from '../../bootstrap/dev/processes.ts';

/** `stop` also takes its folder away. */
export async function engineWithCards(): Promise<PrivateEngine> {
  const folder = mkdtempSync(join(tmpdir(), 'gpc-'));
  const tools = join(folder, 'bin');
  mkdirSync(tools);
  const hook = join(tools, 'nvidia-container-runtime-hook');
  const driver = join(folder, 'driver');
  mkdirSync(driver);
  for (const file of driverFiles) writeFileSync(join(driver, file.split('/').pop() ?? ''), '');
  writeFileSync(hook, hookScript(driver));
  chmodSync(hook, 0o755);
  const env = { ...SYSTEM_ENV, PATH: `${tools}:${SYSTEM_ENV['PATH']}` };
  const engine = await startPrivateEngine(join(folder, 'e'), { env, flags: ['--live-restore'] });
  const stop = engine.stop.bind(engine);
  engine.stop = async () => {
    await stop();
    rmSync(folder, { recursive: true, force: true });
  };
  return engine;
}

/** Files of a driver, as they lie below `/usr` of a host. */
const driverFiles = ['bin/nvidia-smi', 'lib/x86_64-linux-gnu/libcuda.so.570.86.15'];

/** Mounts in the namespace of the container that the state on its input tells of, as NVIDIA's own does. */
const hookScript = (driver: string) => String.raw`#!/bin/sh
set -e
state=$(cat)
pid=$(printf %s "$state" | sed -n 's/.*"pid":\([0-9]*\).*/\1/p')
bundle=$(printf %s "$state" | sed -n 's/.*"bundle":"\([^"]*\)".*/\1/p')
root=$(sed -n 's/.*"root":{"path":"\([^"]*\)".*/\1/p' "$bundle/config.json")
nsenter --mount --target "$pid" sh -ec '
  for file in ${driverFiles.join(' ')}; do
    mkdir -p "$1/usr/$(dirname $file)"
    : > "$1/usr/$file"
    mount --bind "$2/$(basename $file)" "$1/usr/$file"
    mount -o remount,bind,ro,nosuid,nodev "$1/usr/$file"
  done
' sh "$root" '${driver}'
`;
