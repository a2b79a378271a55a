/**
 * What is left on the host besides containers: of one instance by `DELETE /gpuaas/v1/workloads/{instance}/data`, of the whole
 * allocation by `DELETE /gpuaas/v1/data`.
 */
import { existsSync } from 'node:fs';
import { lstat, readdir, readFile, realpath } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { AgentError } from '../contract/failures.ts';
import { labels } from '../contract/names.ts';
import { dataRoots, type HostPolicy, jobInputsRoot, workloadRoot } from '../policy/host-policy.ts';
import { sendJson } from './answers.ts';
import type { GateCall, GateContext } from './context.ts';
import { wipeBuilds } from './kept-builds.ts';
import { instanceLock } from './locks.ts';
import { parseMountTable } from './mount-table.ts';
import { removeTree } from './remove-tree.ts';
import { openFolder } from './safe-folders.ts';
import { removeAllSecrets } from './secrets.ts';
import { removeVolumes } from './volumes.ts';

/** Secrets always, scratch folders and inputs with `data=1`; answers which folders are gone and which stay. Nothing is no error. */
export async function removeData(call: GateCall, gate: GateContext): Promise<void> {
  const instance = call.params['instance'] ?? '';
  const withData = ['1', 'true'].includes((call.query['data'] ?? '').toLowerCase());
  const answer = await gate.locks.run(instanceLock(instance), async () => {
    if (withData) await refuseWhileUsed([`${labels.instance}=${instance}`], gate, call.signal);
    const { policy } = gate;
    const gone = await removeAllSecrets(instance, policy, call.signal);
    const folders = [workloadRoot(policy, instance), jobInputsRoot(policy, instance)];
    for (const folder of withData ? folders : []) {
      if (await removeTree(folder, { signal: call.signal })) gone.push(folder);
    }
    return { removed: gone, kept: folders.filter((folder) => existsSync(folder)) };
  });
  sendJson(call.response, 200, answer);
}

/**
 * All secrets, volumes, caches, images that were built, inputs and data of the allocation, while it has no container. What the operator has
 * mounted there is a file system of its own, which others may use as well: it is kept, and said. Goes on where an earlier call was cut off, and answers only
 * when all of it is on the disk. `mount.refused`, after the rest is gone, where something is mounted further down.
 */
export async function wipeData(call: GateCall, gate: GateContext): Promise<void> {
  const { policy } = gate;
  const { signal } = call;
  await refuseWhileUsed([], gate, signal);
  const mounted = parseMountTable(await readFile('/proc/self/mountinfo', 'utf8')).map(({ mountPoint }) => mountPoint);
  const removed = await removeVolumes(gate, signal);
  gate.caches.clear();
  const images = await wipeBuilds(gate, signal);
  removed.push(...images.removed);
  const kept = [...images.kept];
  const refused: AgentError[] = [];
  const isRemoved = async (path: string) =>
    await removeTree(path, { signal }).catch((error) => {
      if (!(error instanceof AgentError)) throw error;
      refused.push(error);
      return false;
    });
  const secrets = await secretsFolder(policy);
  const roots = dataRoots(policy).map((root) => ({ root, tenants: [dirname(root), root] }));
  const inputs = ['cache', 'jobs']
    .map((name) => join(policy.inputs.dir, name))
    .map((root) => ({ root, tenants: [root] }));
  for (const { root, tenants } of [{ root: secrets, tenants: [secrets] }, ...roots, ...inputs]) {
    const before = kept.length + refused.length;
    for (const path of await entriesOf(root, tenants)) {
      if (mounted.includes(path)) kept.push(path);
      else if (await isRemoved(path)) removed.push(path);
    }
    if (!mounted.includes(root) && kept.length + refused.length === before) await isRemoved(root);
    await toDisk(root);
  }
  if (refused[0]) throw refused[0];
  sendJson(call.response, 200, { removed, kept });
}

/** What has come and gone in the folder, or in the next one above that is still there, outlives the machine. */
async function toDisk(path: string): Promise<void> {
  const folder = await ifThere(openFolder(path));
  if (folder === undefined) return await toDisk(dirname(path));
  await folder.sync().finally(() => folder.close());
}

/** Where it is: the way to it is the operator's, who may have links on it, as `/var/run` is one. */
async function secretsFolder({ secrets_dir }: HostPolicy): Promise<string> {
  const above = await ifThere(realpath(dirname(secrets_dir)));
  return above === undefined ? secrets_dir : join(above, basename(secrets_dir));
}

/**
 * What is to be removed of a root: its entries. Where somebody has made a link or a file of it, or of another of the folders that
 * are the tenant's, that one: it is removed as what it is, and what it leads to is not even listed.
 */
async function entriesOf(root: string, tenants: readonly string[]): Promise<string[]> {
  for (const path of tenants) {
    const found = await ifThere(lstat(path));
    if (found === undefined) return [];
    if (!found.isDirectory()) return [path];
  }
  const folder = await ifThere(openFolder(root));
  if (folder === undefined) return [];
  try {
    return (await readdir(`/proc/self/fd/${folder.fd}`)).sort().map((name) => join(root, name));
  } finally {
    await folder.close();
  }
}

async function ifThere<T>(result: Promise<T>): Promise<T | undefined> {
  return await result.catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
}

/** Folders are not pulled away from under a container that has them mounted. */
async function refuseWhileUsed(wanted: readonly string[], gate: GateContext, signal: AbortSignal): Promise<void> {
  const [user] = await gate.containers.list(wanted, signal);
  if (user !== undefined) {
    const error = { path: '?data', code: 'in_use', message: 'the container still exists; remove it first' };
    throw new AgentError('policy.refused', { container: user.name, errors: [error] });
  }
}
