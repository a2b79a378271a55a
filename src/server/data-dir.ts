/** The folder of a control plane: `control-plane.db`, `keys/`, `releases/`, `job-outputs/`, `revisions/`, and a lock that one process holds. */
import { existsSync, mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { IdentityKey } from '../contract/enrolment.ts';
import { AgentError } from '../contract/failures.ts';
import { seedCatalog } from './catalog/seed.ts';
import { newId } from './db/new-id.ts';
import { lockFolder } from './db/sqlite/lock-folder.ts';
import { openSqliteStore } from './db/sqlite/sqlite-store.ts';
import type { Store } from './db/store.ts';
import { makeToken } from './http/tokens.ts';
import { importReleaseRoot, keyFiles, openServerKeys, type ServerKeys } from './keys/server-keys.ts';

export interface DataDir {
  readonly store: Store;
  readonly keys: ServerKeys;
  /** An admin token that was just made, to be shown once; undefined if none was. */
  readonly adminToken: string | undefined;
  close(): Promise<void>;
}

export interface OpenOptions {
  /** Makes what is missing; safe to ask for at every start. */
  readonly init: boolean;
  readonly newAdminToken: boolean;
  /** Vouches for releases instead of a root of its own. */
  readonly releaseRoot?: IdentityKey;
  /** Takes that root also where nodes have enrolled that believe another one. */
  readonly replaceReleaseRoot?: boolean;
  /** Makes keys for a store whose own are lost: every node has to enrol again. */
  readonly newKeys: boolean;
  /** Milliseconds since 1970. */
  readonly now: number;
}

/** `server.not_initialised`, `server.running`, or what keeps store or keys from being used. */
export async function openDataDir(folder: string, options: OpenOptions): Promise<DataDir> {
  const { init, newKeys, newAdminToken, now, releaseRoot } = options;
  const file = join(folder, 'control-plane.db');
  if (!init && !existsSync(file)) {
    throw new AgentError('server.not_initialised', { folder });
  }
  if (!init && statSync(file).size === 0) {
    throw new AgentError('store.unusable', { reason: 'The file is empty: what it held is lost.', file });
  }
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const lock = lockFolder(folder);
  let store: Store | undefined;
  try {
    if (existsSync(file) && !newKeys) assertKeys(folder);
    // Before the store: one that is there has had keys.
    else await openServerKeys(folder, new Date(now));
    store = openSqliteStore(file);
    const opened = store;
    if (releaseRoot) await importReleaseRoot(folder, releaseRoot, () => assertNobodyBelieves(opened, options));
    const keys = await openServerKeys(folder, new Date(now));
    const adminToken = await prepare(opened, { init, newAdminToken, now });
    return {
      ...{ store: opened, keys, adminToken },
      close: async () => {
        await opened.close();
        lock.release();
      },
    };
  } catch (error) {
    await store?.close();
    lock.release();
    throw error;
  }
}

/** A node that has pinned another root takes no release of the new one, ever: it has to enrol again. */
async function assertNobodyBelieves(store: Store, { replaceReleaseRoot }: OpenOptions): Promise<void> {
  const nodes = await store.read((tx) => tx.nodes.count({ status: ['enrolled', 'quarantined'] }));
  if (nodes === 0 || replaceReleaseRoot) return;
  const reason = `${nodes} nodes have enrolled that believe another release root, and would take no release of this one until they enrol again. If that is meant: --replace-release-root.`;
  throw new AgentError('server.config_invalid', { reason, nodes });
}

/** A mount or a copy that was forgotten: with keys made in their place, no node would know this control plane any more. */
function assertKeys(folder: string): void {
  const path = keyFiles.map((name) => join(folder, 'keys', name)).find((file) => !existsSync(file));
  if (path === undefined) return;
  const reason = 'It is not there, and the store has been used with it; if it is lost, `--new-keys` makes another.';
  throw new AgentError('server.key_unusable', { path, reason });
}

/** Seeds the catalog and makes the first admin token, together or not at all. */
async function prepare(
  store: Store,
  { init, newAdminToken, now }: Pick<OpenOptions, 'init' | 'newAdminToken' | 'now'>,
): Promise<string | undefined> {
  return store.write(async (tx) => {
    const isNew = (await tx.api_tokens.count()) === 0;
    if (init) {
      await seedCatalog(tx, now);
    }
    if (!newAdminToken && !(init && isNew)) {
      return undefined;
    }
    const { id, secret_hash, token } = makeToken();
    await tx.api_tokens.insert({
      ...{ id, name: 'admin', project_id: null, role: 'admin', secret_hash, created_by: 'init' },
      ...{ created_at: new Date(now).toISOString(), expires_at: null, revoked_at: null },
    });
    await tx.events.append({
      ...{ time: new Date(now).toISOString(), type: 'token.created', project_id: null, actor: 'system' },
      ...{ subject: { kind: 'api_token', id }, correlation_id: newId(now), data: {} },
      message: 'An admin token was made on the command line.',
    });
    return token;
  });
}
