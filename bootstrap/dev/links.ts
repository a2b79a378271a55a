/** Network links of the host. Works where `ip` is not installed: busybox has one. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { unpackPackage } from './packages.ts';
import { run } from './processes.ts';

/** Makes a bridge with this address (`198.18.0.1/24`) unless there is one of that name. */
export async function ensureBridge(name: string, address: string): Promise<void> {
  if ((await linkNames()).includes(name)) return;
  await ip('link', 'add', 'name', name, 'type', 'bridge');
  await ip('addr', 'add', address, 'dev', name);
  await ip('link', 'set', name, 'up');
}

/** Deletes a link if there is one of that name. */
export async function deleteLink(name: string): Promise<void> {
  if ((await linkNames()).includes(name)) await ip('link', 'delete', name);
}

/** Names of all links of this network namespace. */
export async function linkNames(): Promise<string[]> {
  return await readdir('/sys/class/net');
}

async function ip(...args: string[]): Promise<void> {
  await run(join(await unpackPackage('busybox-static'), 'bin/busybox'), ['ip', ...args]);
}
