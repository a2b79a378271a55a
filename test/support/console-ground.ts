/**
 * The console of a real control plane, for tests in a browser that need no engine: its store holds a fleet.
 *
 * It is behind a proxy, so that it keeps its address when the control plane is started anew. `close` takes it all away.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { openDataDir } from '../../src/server/data-dir.ts';
import type { Tx } from '../../src/server/db/store.ts';
import { type CuttingProxy, startCuttingProxy } from './cutting-proxy.ts';
import { type Fleet, type FleetSize, seedFleet } from './seeded-fleet.ts';
import { type Person, personOf, type Restartable, serverOf } from './wire-ground.ts';

/** With which the control plane logs in at the registry of the fleet. */
export const registryPassword = 'canary-of-the-registry-password';

export interface SeededConsole {
  readonly url: string;
  readonly fleet: Fleet;
  readonly proxy: CuttingProxy;
  readonly server: Restartable;
  /** As an admin, past the page. */
  call: Person['call'];
  close(): Promise<void>;
}

/** `also` puts more into the store, beside the fleet. */
export async function openSeededConsole(
  size: FleetSize = { nodes: 3, instances: 12 },
  also: (tx: Tx) => Promise<void> = async () => undefined,
): Promise<SeededConsole> {
  await using undo = new AsyncDisposableStack();
  const folder = mkdtempSync(join(tmpdir(), 'gpuaas-console-'));
  undo.defer(() => rmSync(folder, { recursive: true, force: true }));
  const data = await openDataDir(join(folder, 'server'), {
    init: true,
    newAdminToken: false,
    newKeys: false,
    now: Date.now(),
  });
  const fleet = await seedFleet(data.store, size)
    .then(async (seeded) => {
      await data.store.write(also);
      return seeded;
    })
    .finally(() => data.close());
  const proxy = await startCuttingProxy(0);
  undo.defer(() => proxy.close());
  const url = `http://127.0.0.1:${proxy.port}`;
  const logins = join(folder, 'registry-logins.json');
  writeFileSync(logins, JSON.stringify({ '127.0.0.1:5000': { username: 'puller', password: registryPassword } }), {
    mode: 0o600,
  });
  const args = ['--public-url', url, '--registry', '127.0.0.1:5000', '--registry-logins', logins];
  const server = serverOf(folder, proxy, args, { APP_RUNTIME_LAUNCHABLE_OCI_NODE_TASKS_ENABLED: 'true' }, []);
  undo.defer(() => server.stop('SIGKILL'));
  await server.start();
  const all = undo.move();
  const { call } = personOf(url, fleet.tokens.admin);
  return { url, fleet, proxy, server, call, close: () => all.disposeAsync() };
}

/** Signs in as a person does: on the page, with a token. Resolves when the page has become another. */
export async function signIn(page: Page, token: string): Promise<void> {
  await page.getByLabel('API token').fill(token);
  const button = page.getByRole('button', { name: 'Sign in' });
  await button.click();
  await button.waitFor({ state: 'detached' });
}
