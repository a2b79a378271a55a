/** A host with systemd on which a version of the agent is installed, and releases for it: real ones, and some that are not well. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { writeAgent } from '../../bootstrap/dev/build.ts';
import { buildBinary } from '../../bootstrap/dev/sea.ts';
import { madeOnce } from './made-once.ts';
import { type Publisher, type SignedRelease, writeRelease } from './signed-release.ts';
import type { SystemdHost } from './systemd-host.ts';

const root = resolve(import.meta.dirname, '../..');
const commit = 'c'.repeat(40);

/** The agent as one file, of a version that it says it is. */
export async function binaryOf(version: string): Promise<Buffer> {
  const folder = await madeOnce(`binary-${version}`, async (work) => {
    const { file } = await writeAgent(work, { version, commit });
    await buildBinary(file, process.arch as 'x64', join(work, 'node-agent'));
  });
  return readFileSync(join(folder, 'node-agent'));
}

const passesSelfTest = '#!/bin/sh\n[ "$1" = self-test ] && exit 0\n';
export const unwell = {
  crashes: `${passesSelfTest}exit 1\n`,
  /** Never ready, and it does not listen either. */
  hangs: `${passesSelfTest}trap '' TERM\nwhile :; do sleep 1; done\n`,
  /** Says that it is ready, and nothing more. */
  freezes: `${passesSelfTest}exec systemd-notify --ready --exec \\; sleep 100000\n`,
  unfit: '#!/bin/sh\necho no such processor\nexit 3\n',
} as const;

export interface Installed {
  readonly host: SystemdHost;
  /** What the links and the daemon say, in a line of each. */
  running(): Promise<{ version: string; current: string; pending: string }>;
  /** A release in a folder of the host; gives its path. */
  bring(release: SignedRelease): Promise<string>;
  guarded(name: string): Promise<string>;
}

export interface Settings {
  readonly updates?: Readonly<Record<string, unknown>>;
  readonly registry: string;
  /** `alloc-1` if absent. */
  readonly allocation?: string;
  /** Makes the host a node before the agent is started. */
  readonly join?: { readonly url: string; readonly token: string };
}

/** As the bootstrap does it, by hand: what it does is tested elsewhere. */
export async function installAgent(
  host: SystemdHost,
  binary: Buffer,
  { root: { pem } }: Publisher,
  { updates = {}, registry, allocation = 'alloc-1', join: node }: Settings,
): Promise<Installed> {
  await host.copyIn(join(root, 'systemd'), '/root/systemd');
  await host.sh(`cd /root/systemd
    install -m 755 -d /opt/gpuaas-node-agent/versions/0.1.0 /etc/gpuaas-node-agent
    install -m 755 guard /opt/gpuaas-node-agent/guard
    install -m 644 *.service *.path *.timer /etc/systemd/system/
    [ "$(systemctl --version | sed -n '1s/^systemd \\([0-9]*\\).*/\\1/p')" -ge 253 ] || cp -r older/* /etc/systemd/system/
    install -m 644 sysusers.d/* /usr/lib/sysusers.d/
    install -m 644 tmpfiles.d/* /usr/lib/tmpfiles.d/
    systemd-sysusers; systemd-tmpfiles --create
    ln -s versions/0.1.0 /opt/gpuaas-node-agent/current
    useradd --create-home tenant`);
  await host.write('/opt/gpuaas-node-agent/versions/0.1.0/node-agent', binary, 0o755);
  await host.write('/etc/gpuaas-node-agent/release-root.pem', pem);
  const gid = Number(await host.sh('id -g gpuaas-agent'));
  const config = {
    allocation: { id: allocation, user: 'tenant' },
    gate: { socket_gid: gid },
    registries: [{ host: registry, prefixes: ['gpuaas-dev'] }],
    updates: { stable_seconds: 3, ...updates },
    log_level: 'info',
  };
  await host.write('/etc/gpuaas-node-agent/agent.json', JSON.stringify(config));
  if (node) {
    await host.sh(`/opt/gpuaas-node-agent/current/node-agent enroll --url ${node.url} --token-file -`, {
      stdin: node.token,
      user: 'gpuaas-agent',
    });
  }
  await host.sh(
    'systemctl daemon-reload; systemctl start gpuaas-node-agent-gate gpuaas-node-agent gpuaas-node-agent-update.path',
  );
  const read = (path: string) => host.sh(`cat ${path} 2>/dev/null || true`);
  return {
    host,
    running: async () => ({
      version: await versionOf(host),
      current: await host.sh('readlink /opt/gpuaas-node-agent/current'),
      pending: await read('/var/lib/gpuaas-node-agent-update/pending'),
    }),
    bring: async (release) => {
      const name = `${release.release.version}-${release.release.seq}`;
      const folder = mkdtempSync(join(tmpdir(), 'gpuaas-release-'));
      try {
        writeRelease(folder, release);
        await host.copyIn(folder, `/root/releases/${name}`);
      } finally {
        rmSync(folder, { recursive: true });
      }
      return `/root/releases/${name}`;
    },
    guarded: (name) => read(`/var/lib/gpuaas-node-agent-update/${name}`),
  };
}

/** Of the daemon that answers; empty where none does. */
async function versionOf(host: SystemdHost): Promise<string> {
  const { code, stdout } = await host.run([
    ...['curl', '-s', '-m', '2', '--unix-socket', '/run/gpuaas-node-agent/agent.sock', 'http://agent/v1/status'],
  ]);
  return code === 0 ? String((JSON.parse(stdout) as { version: unknown }).version) : '';
}
