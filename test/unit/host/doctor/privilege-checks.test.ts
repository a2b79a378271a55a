import { chmodSync, chownSync, mkdirSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { runChecks } from '../../../../src/host/doctor/check.ts';
import { privilegeChecks } from '../../../../src/host/doctor/privilege-checks.ts';
import { patience, pretendRoot } from '../stand-ins.ts';

const passwd = 'root:x:0:0::/root:/bin/sh\ngpuaas-agent:x:998:998::/:/usr/sbin/nologin\n';
const folders = ['opt/gpuaas-node-agent/versions', 'etc/gpuaas-node-agent', 'var/lib/gpuaas-node-agent-update'];

function installed(files: Record<string, string> = {}): string {
  const root = pretendRoot({ 'etc/passwd': passwd, 'etc/group': 'docker:x:997:lab\n', ...files });
  for (const folder of folders) mkdirSync(join(root, folder), { recursive: true });
  return root;
}

async function diagnose(root: string) {
  const results = await runChecks(privilegeChecks(root), { signal: patience });
  return Object.fromEntries(results.map((result) => [result.name, result]));
}

it('says nothing of a host that the bootstrap has not set up, and finds one in order that it has', async () => {
  const statuses = async (root: string) => Object.values(await diagnose(root)).map(({ status }) => status);

  expect(await statuses(pretendRoot({}))).toEqual(['skipped', 'skipped', 'skipped']);
  expect(await statuses(installed())).toEqual(['ok', 'ok', 'ok']);
});

it.each([
  ['docker:x:997:lab,gpuaas-agent\nvideo:x:44:gpuaas-agent\n', 'fail', 'gpuaas-agent is in docker, which'],
  ['video:x:44:gpuaas-agent\nrender:x:45:gpuaas-agent\ngpuaas-agent:x:998:\n', 'ok', 'in no group of others'],
  ['docker:x:997:gpuaas-agent-2\n', 'ok', 'in no group of others'],
])('judges the groups %j of the agent', async (group, status, words) => {
  const { 'host.agent_user': found } = await diagnose(installed({ 'etc/group': group }));

  expect(found).toMatchObject({ status, found: expect.stringContaining(words) });
});

it('tells an agent that is root', async () => {
  const { 'host.agent_user': found } = await diagnose(installed({ 'etc/passwd': 'gpuaas-agent:x:0:0::/:/bin/sh\n' }));

  expect(found).toMatchObject({ status: 'fail', found: 'gpuaas-agent is root.' });
});

it.each<[string, (path: string) => void, string]>([
  ['others may write', (path) => chmodSync(path, 0o777), 'can be written by others than root'],
  ['somebody else owns', (path) => chownSync(path, 61_904, 0), 'can be written by others than root'],
  ['is gone', (path) => rmSync(path, { recursive: true }), 'is not there'],
  [
    'is a link',
    (path) => {
      rmSync(path, { recursive: true });
      symlinkSync('/tmp', path);
    },
    'is no folder',
  ],
])('fails for a folder of root that %s', async (_what, change, words) => {
  const root = installed();
  change(join(root, folders[0] ?? ''));

  const { 'host.folders': found } = await diagnose(root);

  expect(found).toMatchObject({ status: 'fail', found: `/${folders[0]} ${words}.` });
});
