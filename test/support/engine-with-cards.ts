/**
 * An engine of a test's own that takes itself for one of a host with NVIDIA cards: it accepts requests for devices by their
 * ids and tells the container which ones it got, as with NVIDIA's runtime. What the runtime would mount is not there.
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
  writeFileSync(hook, '#!/bin/sh\nexit 0\n');
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
