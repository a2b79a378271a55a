/**
 * What an engine leaves on its host when it ends: bridges, firewall rules, forwarding switched on, the forward chain
 * closed, and some files. An engine that this ground started has to leave the host as it was.
 */
import { existsSync } from 'node:fs';
import { readFile, rm, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { deleteLink, linkNames } from './links.ts';
import { run } from './processes.ts';
import { readRecord, stateDir, writeRecord } from './state.ts';

interface HostRecord {
  readonly ip_forward: string;
  readonly forward_policies: Readonly<Record<string, string>>;
  readonly bridges: readonly string[];
  readonly paths: readonly string[];
}

const IP_FORWARD = '/proc/sys/net/ipv4/ip_forward';
const FIREWALLS = ['iptables', 'ip6tables'] as const;
const ENGINE_RULE = /\bDOCKER\b|\bDOCKER-|\bdocker0\b|\bbr-[0-9a-f]{12}\b/;
/** What the engine and its containerd make outside of the folders that they are given. */
const ENGINE_PATHS = ['/etc/docker/key.json', '/etc/docker', '/opt/containerd', '/run/docker', '/run/containerd'];

/** Notes how the host is, before the engine starts for the first time since it was restored. */
export async function rememberHost(): Promise<void> {
  if ((await readRecord<HostRecord>(recordPath())) !== undefined) return;
  const policies: Record<string, string> = {};
  for (const firewall of FIREWALLS) policies[firewall] = forwardPolicy(await rules(firewall));
  await writeRecord(recordPath(), {
    ip_forward: (await readFile(IP_FORWARD, 'utf8')).trim(),
    forward_policies: policies,
    bridges: await bridges(),
    paths: ENGINE_PATHS.filter((path) => existsSync(path)),
  } satisfies HostRecord);
}

/** Takes away what the engine left and puts the settings back; what others made in the meantime stays. */
export async function restoreHost(): Promise<void> {
  const before = await readRecord<HostRecord>(recordPath());
  if (before === undefined) return;
  for (const firewall of FIREWALLS) {
    const policy = before.forward_policies[firewall] ?? 'ACCEPT';
    await run(`${firewall}-restore`, [], { input: withoutEngine(await rules(firewall), policy) });
  }
  for (const bridge of await bridges()) {
    if (!before.bridges.includes(bridge)) await deleteLink(bridge);
  }
  await writeFile(IP_FORWARD, before.ip_forward);
  for (const path of ENGINE_PATHS) {
    if (!before.paths.includes(path)) await removeTrace(path);
  }
  await rm(recordPath());
}

/** A folder of settings goes only when nobody else put anything into it. */
async function removeTrace(path: string): Promise<void> {
  if (path === '/etc/docker') await removeIfEmpty(path);
  else await rm(path, { recursive: true, force: true });
}

/** Removes a folder that is empty and nobody's mount point, and leaves any other. */
export async function removeIfEmpty(path: string): Promise<void> {
  await rmdir(path).catch((error: NodeJS.ErrnoException) => {
    if (!['ENOENT', 'ENOTEMPTY', 'EBUSY'].includes(error.code ?? '')) throw error;
  });
}

/** The tables as the save command prints them; the engine changes none but `nat` and `filter`. */
async function rules(firewall: (typeof FIREWALLS)[number]): Promise<string> {
  return await run(`${firewall}-save`, []);
}

/** `:FORWARD` stands in several tables; the engine closes that of `filter`. */
function forwardPolicy(saved: string): string {
  return /^\*filter$[^*]*?^:FORWARD (\w+)/m.exec(saved)?.[1] ?? 'ACCEPT';
}

function withoutEngine(saved: string, policy: string): string {
  const kept = saved.split('\n').filter((line) => !ENGINE_RULE.test(line));
  return kept.join('\n').replace(/(^\*filter$[^*]*?^:FORWARD )\w+/m, `$1${policy}`);
}

async function bridges(): Promise<string[]> {
  return (await linkNames()).filter((name) => /^(docker0|br-[0-9a-f]{12})$/.test(name));
}

const recordPath = () => join(stateDir(), 'host-before-engine.json');
