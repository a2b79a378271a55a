/** A control plane of one test file's own: real HTTP on a free port, a store of its own, a token for every role. */
import { join } from 'node:path';
import type { IdentityKey } from '../../src/contract/enrolment.ts';
import { systemClock } from '../../src/kit/clock.ts';
import { createLog } from '../../src/kit/log.ts';
import type { ServerContext, ServerSettings } from '../../src/server/context.ts';
import { createControlPlane, type ServerParts } from '../../src/server/create-server.ts';
import type { ApiToken, Role } from '../../src/server/db/entities/project.ts';
import { openSqliteStore } from '../../src/server/db/sqlite/sqlite-store.ts';
import type { Store } from '../../src/server/db/store.ts';
import { makeToken } from '../../src/server/http/tokens.ts';
import { importReleaseRoot, openServerKeys, type ServerKeys } from '../../src/server/keys/server-keys.ts';
import { atFileEnd } from './file-end.ts';
import { aProject } from './store-samples.ts';
import { temporaryFolder } from './temporary-folder.ts';
import { unlimitedRates } from './unlimited.ts';

export interface Answered {
  readonly status: number;
  readonly headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into bodies of every shape.
  readonly body: any;
}

export interface TestServer {
  readonly context: ServerContext;
  readonly store: Store;
  readonly url: string;
  /** Where the files of revisions are. */
  readonly revisionFolder: string;
  /** `admin`, `operator`, and `member` and `viewer` of the projects `p1` and `p2`. */
  readonly tokens: Readonly<Record<string, string>>;
  /** Moves the wall clock of the server alone, as somebody does who sets it. */
  advance(milliseconds: number): void;
  /** Time passes, on both its clocks. Pauses that wait are not ended by it: change something in the store. */
  pass(milliseconds: number): void;
  call(method: string, path: string, options?: CallOptions): Promise<Answered>;
}

export interface CallOptions {
  /** Key of `tokens`; default `admin`, null for none. */
  readonly as?: string | null;
  readonly body?: unknown;
  readonly headers?: Record<string, string>;
}

const people: readonly [string, Role, string | null][] = [
  ['admin', 'admin', null],
  ['operator', 'operator', null],
  ['member', 'member', 'p1'],
  ['viewer', 'viewer', 'p1'],
  ['stranger', 'member', 'p2'],
];

const defaults: ServerSettings = {
  rates: unlimitedRates,
  ...{ publicUrl: 'http://127.0.0.1:1', ca: '', launchEnabled: true, registries: ['127.0.0.1:5000'] },
  ...{ artifactPolicy: 'published', platform: 'linux/amd64', environment: 'test', tokenRegistries: [], upstream: {} },
};

/** Gone when the file's tests are over. */
export async function testServer(
  settings: Partial<ServerSettings> = {},
  more: Partial<Pick<ServerParts, 'console' | 'log'>> & { readonly releaseRoot?: IdentityKey } = {},
): Promise<TestServer> {
  const folder = temporaryFolder('server');
  const store = openSqliteStore(join(folder, 'control-plane.db'));
  let time = Date.parse('2026-11-25T10:00:00.000Z');
  let passed = 0;
  const monotonicMs = () => systemClock.monotonicMs() + passed;
  const tokens = await seed(store);
  const server = createControlPlane({
    ...{ store, clock: { ...systemClock, monotonicMs, wallMs: () => time }, log: createLog({ level: 'silent' }) },
    ...{
      keys: await keysIn(join(folder, 'data'), more.releaseRoot),
      version: '0.0.0-test',
      checkAnswers: true,
    },
    releases: join(folder, 'releases'),
    outputs: join(folder, 'job-outputs'),
    revisions: join(folder, 'revisions'),
    settings: { ...defaults, ...settings },
    ...(more.console ? { console: more.console } : {}),
    ...(more.log ? { log: more.log } : {}),
  });
  const { port } = await server.listen('127.0.0.1', 0);
  const url = `http://127.0.0.1:${port}`;
  atFileEnd(async () => {
    await server.close();
    await store.close();
  });

  return {
    ...{ context: server.context, store, url, tokens, revisionFolder: join(folder, 'revisions') },
    advance: (milliseconds) => {
      time += milliseconds;
    },
    pass: (milliseconds) => {
      time += milliseconds;
      passed += milliseconds;
    },
    call: async (method, path, { as = 'admin', body, headers = {} } = {}) => {
      const response = await fetch(`${url}${path}`, {
        method,
        headers: {
          ...(as === null ? {} : { authorization: `Bearer ${tokens[as]}` }),
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...headers,
        },
        ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      });
      const text = await response.text();
      const isJson = response.headers.get('content-type')?.startsWith('application/json') === true;
      return { status: response.status, headers: response.headers, body: isJson ? JSON.parse(text) : text };
    },
  };
}

async function keysIn(folder: string, root: IdentityKey | undefined): Promise<ServerKeys> {
  if (root) await importReleaseRoot(folder, root, async () => undefined);
  return await openServerKeys(folder);
}

async function seed(store: Store): Promise<Record<string, string>> {
  const tokens: Record<string, string> = {};
  await store.write(async (tx) => {
    await tx.projects.insert(aProject({ id: 'p1', name: 'one' }));
    await tx.projects.insert(aProject({ id: 'p2', name: 'two' }));
    for (const [name, role, project_id] of people) {
      const { id, secret_hash, token } = makeToken();
      const entity: ApiToken = {
        ...{ id, name, role, project_id, secret_hash, created_by: 'init', expires_at: null, revoked_at: null },
        created_at: '2026-11-25T09:00:00.000Z',
      };
      await tx.api_tokens.insert(entity);
      tokens[name] = token;
    }
  });
  return tokens;
}
