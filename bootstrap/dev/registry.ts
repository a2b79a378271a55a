/**
 * Image registries on loopback, from Debian's `docker-registry`.
 *
 * The ground has one, on a port chosen once: references that were handed out stay valid until everything is torn down.
 * Where GPUAAS_DEV_REGISTRY names another one (`127.0.0.1:PORT`), that is used as it is and never stopped.
 * Tests start private ones, with or without credentials, in a folder of their own.
 */
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort } from './free-port.ts';
import { unpackPackage } from './packages.ts';
import { isAlive, type ProcessId, rotateLog, startDaemon, stopProcess, until } from './processes.ts';
import { step } from './progress.ts';
import { cacheDir, readRecord, stateDir, withLock, writeRecord } from './state.ts';

/** A registry that answers. */
export interface DevRegistry {
  /** `127.0.0.1:PORT`, as it stands at the head of an image reference. */
  readonly host: string;
}

/** A registry of a test. */
export interface PrivateRegistry extends DevRegistry {
  readonly pid: number;
  /** Every request so far is in this file, one line each. */
  readonly logPath: string;
  stop(): Promise<void>;
}

/** Credentials of a private registry for tests, with the password file that admits them. */
export const TEST_LOGIN = {
  username: 'tester',
  password: 'U*U',
  htpasswd: 'tester:$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW\n',
} as const;

interface RegistryRecord {
  readonly port: number;
  readonly process: ProcessId;
}

/** How long a registry that is on its way up, or very busy, may take to answer. */
const START_SECONDS = 60;

/** Makes sure that the ground's registry runs. Idempotent; its port never changes while the state folder lives. */
export async function ensureRegistry(): Promise<DevRegistry> {
  const lent = process.env['GPUAAS_DEV_REGISTRY'];
  if (lent !== undefined) return await lentRegistry(lent);
  return (await runningRegistry()) ?? (await withLock('registry', startSharedRegistry));
}

/** Host of the registry that this ground started at some time, running or not; never that of a lent one. */
export async function ownRegistryHost(): Promise<string | undefined> {
  const known = await readRecord<RegistryRecord>(recordPath());
  return known === undefined ? undefined : `127.0.0.1:${known.port}`;
}

/** Stops the ground's registry; its blobs stay. */
export async function stopRegistry(): Promise<boolean> {
  return await withLock('registry', async () => {
    const known = await readRecord<RegistryRecord>(recordPath());
    if (known === undefined || !(await isAlive(known.process))) return false;
    await step('stopping the registry', () => stopProcess(known.process));
    return true;
  });
}

/** Whom a registry believes. Without one of the two, everybody may do everything. */
export interface RegistryAuth {
  /** Content of such a file (bcrypt entries); anonymous calls are answered with 401. */
  readonly htpasswd?: string;
  /** Sends clients to a token service, and believes its tokens by the certificate (PEM). */
  readonly token?: {
    readonly realm: string;
    readonly service: string;
    readonly issuer: string;
    readonly certificate: string;
  };
}

/** Starts a registry that keeps everything in `dir`. */
export async function startRegistry(dir: string, auth: RegistryAuth = {}): Promise<PrivateRegistry> {
  const port = await freePort();
  const running = await launch(dir, join(dir, 'blobs'), port, auth);
  return {
    host: `127.0.0.1:${port}`,
    pid: running.pid,
    logPath: join(dir, 'registry.log'),
    stop: () => stopProcess(running),
  };
}

async function lentRegistry(host: string): Promise<DevRegistry> {
  if (await answers(host)) return { host };
  throw new Error(`No registry answers at ${host}, which GPUAAS_DEV_REGISTRY names.`);
}

async function runningRegistry(): Promise<DevRegistry | undefined> {
  const known = await readRecord<RegistryRecord>(recordPath());
  if (known === undefined || !(await isAlive(known.process)) || !(await answers(`127.0.0.1:${known.port}`)))
    return undefined;
  await rotateLog(join(stateDir(), 'registry', 'registry.log'));
  return { host: `127.0.0.1:${known.port}` };
}

async function startSharedRegistry(): Promise<DevRegistry> {
  const running = await runningRegistry();
  if (running !== undefined) return running;
  const known = await readRecord<RegistryRecord>(recordPath());
  const port = known?.port ?? (await freePort());
  await step(`starting the registry on 127.0.0.1:${port}`, async () => {
    const started = await launch(join(stateDir(), 'registry'), join(cacheDir(), 'registry'), port, {});
    await writeRecord(recordPath(), { port, process: started } satisfies RegistryRecord);
  });
  return { host: `127.0.0.1:${port}` };
}

async function launch(dir: string, blobs: string, port: number, auth: RegistryAuth): Promise<ProcessId> {
  await mkdir(blobs, { recursive: true });
  const config = join(dir, 'registry.json');
  const log = join(dir, 'registry.log');
  await mkdir(dir, { recursive: true });
  // The registry reads YAML, of which JSON is a part.
  await writeFile(
    config,
    JSON.stringify({
      version: '0.1',
      log: { level: 'info', accesslog: { disabled: false } },
      storage: { filesystem: { rootdirectory: blobs }, delete: { enabled: true } },
      http: { addr: `127.0.0.1:${port}` },
      ...(await authOf(dir, auth)),
    }),
  );

  const program = join(await unpackPackage('docker-registry'), 'usr/bin/docker-registry');
  const started = await startDaemon(program, ['serve', config], log);
  const up = await until(async () => (await answers(`127.0.0.1:${port}`)) || !(await isAlive(started)), START_SECONDS);
  if (!up || !(await isAlive(started))) throw new Error(`The registry did not start on port ${port}; see ${log}.`);
  return started;
}

async function authOf(dir: string, { htpasswd, token }: RegistryAuth): Promise<object> {
  const passwords = join(dir, 'htpasswd');
  const trusted = join(dir, 'token-issuer.pem');
  await rm(passwords, { force: true });
  if (token !== undefined) {
    const { certificate, ...rest } = token;
    await writeFile(trusted, certificate);
    return { auth: { token: { ...rest, rootcertbundle: trusted } } };
  }
  if (htpasswd === undefined) return {};
  await writeFile(passwords, htpasswd, { mode: 0o600 });
  return { auth: { htpasswd: { realm: 'gpuaas', path: passwords } } };
}

/** A registry that asks for credentials answers 401, and that is an answer. */
async function answers(host: string): Promise<boolean> {
  try {
    const response = await fetch(`http://${host}/v2/`, { signal: AbortSignal.timeout(START_SECONDS * 1000) });
    await response.body?.cancel();
    return response.headers.get('docker-distribution-api-version') !== null;
  } catch (error) {
    if (error instanceof Error) return false;
    throw error;
  }
}

const recordPath = () => join(stateDir(), 'registry.json');
