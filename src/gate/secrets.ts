/**
 * Secret files of an instance, or of a service of its stack (a member): in memory, for its user alone, gone with its
 * container.
 *
 * They are written beside their place and moved there whole, so that a container never sees half of them. What a gate
 * that was killed in between left there goes with the next secrets of the instance, or with the instance. Everything
 * above the instance's folder belongs to the gate's own user.
 */

import { chown, mkdir, open, readdir, rename, rm, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Static, Type } from 'typebox';
import { AgentError } from '../contract/failures.ts';
import { judge } from '../contract/validate.ts';
import { namesIn } from '../kit/names-in.ts';
import { type HostPolicy, secretsRoot } from '../policy/host-policy.ts';
import { refuse } from '../policy/refusal.ts';
import type { GateCall, GateContext } from './context.ts';
import { removeTree } from './remove-tree.ts';
import { openFolder } from './safe-folders.ts';

export const SecretsRequest = Type.Object(
  {
    files: Type.Record(
      Type.String({ pattern: '^[a-zA-Z0-9][a-zA-Z0-9._-]{0,127}$' }),
      Type.String({ maxLength: 524288, pattern: '^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$' }),
      { maxProperties: 64, additionalProperties: false, description: 'Content by file name, in base64.' },
    ),
  },
  { additionalProperties: false, description: 'Body of `PUT /gpuaas/v1/secrets/{member}`.' },
);
export type SecretsRequest = Static<typeof SecretsRequest>;

/** Members with secret files at once; a host has far fewer containers. */
const maxMembers = 1024;

/** Type of tmpfs, see statfs(2). */
const memoryType = 0x01021994;

/** Replaces all secret files of the member; without any, none are left, nor their folder. */
export async function putSecrets(call: GateCall, gate: GateContext): Promise<void> {
  const judged = judge(SecretsRequest, call.body);
  if (!judged.ok) {
    refuse([{ failure: 'policy.refused', errors: judged.errors }]);
    return;
  }
  const member = call.params['member'] ?? '';
  const files = Object.entries(judged.value.files).map(([name, text]) => [name, Buffer.from(text, 'base64')] as const);
  await gate.locks.run(`secrets ${member}`, async () => {
    if (files.length === 0) await removeSecrets(member, gate.policy);
    else await write(member, files, gate.policy);
  });
  call.response.writeHead(204).end();
}

/** True if there were any. */
export async function removeSecrets(member: string, policy: HostPolicy, signal?: AbortSignal): Promise<boolean> {
  const options = signal === undefined ? {} : { signal };
  const hadDraft = await removeTree(draftOf(member, policy), options);
  return (await removeTree(secretsRoot(policy, member), options)) || hadDraft;
}

/** Those of the instance and of every service of it; the folders that are gone. */
export async function removeAllSecrets(instance: string, policy: HostPolicy, signal: AbortSignal): Promise<string[]> {
  const names = (await namesIn(policy.secrets_dir)).map((name) => name.replace(/^\./, ''));
  const members = names.filter((name) => name === instance || name.startsWith(`${instance}.`));
  const gone: string[] = [];
  for (const member of new Set(members.sort())) {
    if (await removeSecrets(member, policy, signal)) gone.push(secretsRoot(policy, member));
  }
  return gone;
}

/** No member has a name that begins with a dot. */
function draftOf(member: string, { secrets_dir }: HostPolicy): string {
  return join(secrets_dir, `.${member}`);
}

type SecretFile = readonly [name: string, content: Buffer];

async function write(member: string, files: readonly SecretFile[], policy: HostPolicy): Promise<void> {
  const { uid, gid } = policy.allocation;
  const draft = draftOf(member, policy);
  await removeTree(draft);
  // Not all in one: the folder above may be that of the gate's socket, which others have to pass.
  await mkdir(dirname(policy.secrets_dir), { recursive: true, mode: 0o755 });
  await mkdir(policy.secrets_dir, { recursive: true, mode: 0o700 });
  await assertRoomInMemory(policy.secrets_dir, files);
  await assertFew(policy.secrets_dir, member);

  try {
    await mkdir(draft, { mode: 0o700 });
    for (const [name, content] of files) await writeSecret(join(draft, name), content, uid, gid);
    const folder = await open(draft, 'r');
    try {
      await folder.chmod(0o500);
    } finally {
      await folder.close();
    }
    await chown(draft, uid, gid);
    await removeTree(secretsRoot(policy, member));
    await rename(draft, secretsRoot(policy, member));
  } catch (error) {
    await rm(draft, { recursive: true, force: true });
    throw error;
  }
}

async function writeSecret(path: string, content: Buffer, uid: number, gid: number): Promise<void> {
  const file = await open(path, 'wx', 0o400);
  try {
    await file.writeFile(content);
    await file.chown(uid, gid);
  } finally {
    await file.close();
  }
}

/** Refuses a folder on disk, one that others can change, and more than half of the memory set aside for it. */
async function assertRoomInMemory(path: string, files: readonly SecretFile[]): Promise<void> {
  const folder = await openFolder(path);
  try {
    const { uid, mode } = await folder.stat();
    if (uid !== process.geteuid?.() || (mode & 0o022) !== 0) throw unavailable(path, 'can be changed by others');
  } finally {
    await folder.close();
  }
  const { type, blocks, bavail, bsize } = await statfs(path);
  if (type !== memoryType) throw unavailable(path, 'is not on a file system in memory');
  const needed = files.reduce((sum, [, content]) => sum + content.length + bsize, 0);
  if (bavail * bsize - needed < (blocks * bsize) / 2) throw unavailable(path, 'has not enough free memory');
}

/** Empty folders take memory as well, and whoever asks for them need not have a container. */
async function assertFew(path: string, member: string): Promise<void> {
  const others = (await readdir(path)).filter((name) => name !== member);
  if (others.length >= maxMembers) throw unavailable(path, `has secret files of ${maxMembers} containers already`);
}

function unavailable(path: string, what: string): AgentError {
  return new AgentError('secret.unavailable', { path, reason: `${path} ${what}.` });
}
