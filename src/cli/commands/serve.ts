/** `gpuaas serve`: runs the control plane until it is told to stop. */
import { once } from 'node:events';
import { join, resolve } from 'node:path';
import gpuaas from '../../../package.json' with { type: 'json' };
import { AgentError } from '../../contract/failures.ts';
import { systemClock } from '../../kit/clock.ts';
import { createLog } from '../../kit/log.ts';
import { type ControlPlane, createControlPlane } from '../../server/create-server.ts';
import { openDataDir } from '../../server/data-dir.ts';
import { tellCrashes } from '../crash.ts';
import { exitCodes } from '../exit-codes.ts';
import { findConsole } from '../find-console.ts';
import { printJson, printLine } from '../output.ts';
import { listeningOf, releaseRootOf, type ServeOptions, settingsOf, urlOf } from './serve-options.ts';

const { version } = gpuaas;

/** Requests that are at work may take this long to end. */
const patienceMs = 10_000;

export async function serve(options: ServeOptions, env: NodeJS.ProcessEnv): Promise<number> {
  const listening = listeningOf(options);
  const settings = { ...settingsOf(options, listening, env) };
  const log = createLog({ level: options.logLevel });
  tellCrashes(log);
  const data = await openDataDir(resolve(options.dataDir), {
    ...{ init: options.init, newKeys: options.newKeys, newAdminToken: options.newAdminToken, now: Date.now() },
    ...releaseRootOf(options),
  });
  try {
    if (data.adminToken !== undefined) {
      tellToken(data.adminToken, options.json);
    }
    const console = findConsole();
    if (!console) log.warn({}, 'there is no console beside this program, it serves the interface alone');
    const plane = createControlPlane({
      ...{ store: data.store, keys: data.keys, log, clock: systemClock, settings, version },
      releases: join(resolve(options.dataDir), 'releases'),
      outputs: join(resolve(options.dataDir), 'job-outputs'),
      revisions: join(resolve(options.dataDir), 'revisions'),
      ...(console ? { console } : {}),
      ...(listening.tls ? { tls: listening.tls } : {}),
    });
    const stop = stopSignal();
    const { port } = await listen(plane, listening.host, listening.port);
    if (options.publicUrl === undefined) {
      settings.publicUrl = urlOf(listening, port);
    }
    tellReady(settings.publicUrl, urlOf(listening, port), options.json);
    log.info({ url: settings.publicUrl, port, version }, 'control plane listens');
    if (options.launchSignOff) log.info({ sign_off: options.launchSignOff }, 'launches were signed off');
    log.info({ signal: await stop }, 'control plane stops');
    if (!(await plane.close(patienceMs))) {
      log.warn({ timeout_ms: patienceMs }, 'requests were still at work, they are cut off');
    }
    return exitCodes.ok;
  } finally {
    await data.close();
  }
}

async function listen(plane: ControlPlane, host: string, port: number): Promise<{ port: number }> {
  try {
    return await plane.listen(host, port);
  } catch (error) {
    await plane.close();
    const code = (error as NodeJS.ErrnoException).code ?? 'error';
    throw new AgentError(
      'server.config_invalid',
      { reason: `It cannot listen on ${host}:${port} (${code}).` },
      { cause: error },
    );
  }
}

/** The first signal; whoever sends a second one is not asked to wait any longer. */
async function stopSignal(): Promise<string> {
  const first = await Promise.race(
    ['SIGTERM', 'SIGINT'].map(async (name) => {
      await once(process, name);
      return name;
    }),
  );
  for (const name of ['SIGTERM', 'SIGINT']) {
    process.once(name, () => process.exit(exitCodes.failed));
  }
  return first;
}

function tellToken(token: string, json: boolean): void {
  if (json) {
    printJson({ admin_token: token });
  } else {
    printLine(`Admin token, shown once:\n  ${token}`);
  }
}

function tellReady(publicUrl: string, url: string, json: boolean): void {
  if (json) {
    printJson({ ready: true, url, public_url: publicUrl, version });
  } else {
    printLine(`Control plane ${version} at ${publicUrl}`);
  }
}
