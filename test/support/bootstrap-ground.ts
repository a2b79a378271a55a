/**
 * What a bootstrap is run against: a control plane of its own with TLS of a CA of its own, where the host can reach it, with an
 * allocation and whatever join tokens a test asks for.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setDefaultCACertificates } from 'node:tls';
import { freePort } from '../../bootstrap/dev/free-port.ts';
import { authority } from './authority.ts';
import { serveProcess } from './serve-process.ts';
import type { SystemdHost } from './systemd-host.ts';
import { ok, type Person, personOf } from './wire-ground.ts';

export interface BootstrapGround extends AsyncDisposable {
  readonly url: string;
  readonly admin: Person;
  readonly folder: string;
  readonly projectId: string;
  /** A join token, for a new allocation if none is named. */
  invite(seconds?: number, allocationId?: string): Promise<{ readonly allocationId: string; readonly token: string }>;
  /** Publishes a release from its folder. */
  publish(release: string): Promise<void>;
  /** The nodes that the control plane knows. */
  nodes(): Promise<
    readonly {
      readonly id: string;
      readonly status: string;
      readonly connected: boolean;
      readonly allocation_id: string;
    }[]
  >;
}

export interface GroundOptions {
  /** Folder of the keys that the releases are signed with (`gpuaas release-keys`). */
  readonly keys: string;
  /** Host that images come from. */
  readonly registry: string;
}

export async function openBootstrapGround(
  { gateway }: SystemdHost,
  { keys, registry }: GroundOptions,
): Promise<BootstrapGround> {
  await using undo = new AsyncDisposableStack();
  const folder = mkdtempSync(join(tmpdir(), 'gpuaas-bootstrap-'));
  undo.defer(() => rmSync(folder, { recursive: true, force: true }));
  const ca = authority(join(folder, 'ca'));
  const { cert, key } = ca.issue(`IP:${gateway}`);
  const port = await freePort();
  const url = `https://${gateway}:${port}`;
  const tls = ['--tls-cert', cert, '--tls-key', key, '--ca', ca.ca, '--release-root', join(keys, 'root.pem')];
  const server = await serveProcess(
    join(folder, 'server'),
    ['--init', '--listen', `${gateway}:${port}`, '--public-url', url, '--registry', registry, ...tls],
    { APP_RUNTIME_LAUNCHABLE_OCI_NODE_TASKS_ENABLED: 'true' },
  );
  undo.defer(async () => void (await server.stop('SIGKILL')));
  if (server.url === undefined) throw new Error(`serve ended: ${server.stderr()}`);
  setDefaultCACertificates([readFileSync(ca.ca, 'utf8')]);
  const commands = undo.use(new AsyncDisposableStack());
  const admin = personOf(url, server.adminToken ?? '', ca.ca, commands);
  const made = async (method: string, path: string, body?: unknown) => ok(await admin.call(method, path, body));
  const { id: projectId } = await made('POST', '/api/v1/projects', { name: 'first' });
  const all = undo.move();
  return {
    ...{ url, admin, folder, projectId },
    invite: async (seconds = 3600, known = undefined) => {
      const shape = { gpu_count: 0, cpu_cores: 4, memory_gib: 4 };
      const place = { project_id: projectId, name: 'a host', shape, data_policy: 'keep' };
      const allocationId = known ?? (await made('POST', '/api/v1/allocations', place)).id;
      const asked = { allocation_id: allocationId, expires_in_seconds: seconds };
      const { token } = await made('POST', '/api/v1/nodes/join-tokens', asked);
      return { allocationId, token };
    },
    publish: async (release) => {
      const { code, stderr } = await admin.cli('releases', 'publish', release).ended;
      if (code !== 0) throw new Error(stderr);
    },
    nodes: async () => (await made('GET', '/api/v1/nodes')).items,
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}
