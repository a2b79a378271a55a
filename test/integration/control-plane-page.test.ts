/**
 * The commands of docs/control-plane.md, typed one after the other: from nothing to a host that has enrolled and a project that
 * may launch, to a backup and back. What stands for something in capitals is what the commands before have printed.
 */
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type PrivateRegistry, startRegistry } from '../../bootstrap/dev/registry.ts';
import { writeLayout } from '../support/oci-layout.ts';
import { type ServeProcess, serveProcess } from '../support/serve-process.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const root = resolve(import.meta.dirname, '../..');
const page = readFileSync(join(root, 'docs/control-plane.md'), 'utf8');
const folder = temporaryFolder('control-plane-page');
const dataDir = join(folder, 'server');
const agentConfig = join(folder, 'agent.json');
/** What is known by now of what the page has in capitals. */
const known: Record<string, string> = {};
let registry: PrivateRegistry;
let plane: ServeProcess;
let token = '';

beforeAll(async () => {
  registry = await startRegistry(join(folder, 'registry'));
  mkdirSync(dataDir);
  const image = writeLayout(join(folder, 'image'));
  await serve('--init');
  await typed(`gpuaas artifacts push pushed image ${registry.host}/curated/runtime-cpu --no-token`);
  known['registry.example.com/curated/runtime-cpu@sha256:…'] = `${registry.host}/curated/runtime-cpu@${image.digest}`;
});
afterAll(async () => {
  await plane?.stop('SIGKILL');
  await registry?.stop();
});

async function serve(...args: string[]): Promise<void> {
  plane = await serveProcess(dataDir, [...args, '--registry', registry.host], {
    APP_RUNTIME_LAUNCHABLE_OCI_NODE_TASKS_ENABLED: 'true',
  });
  token = plane.adminToken ?? token;
}

/** A line of the page in a shell; answers what it prints. */
async function typed(line: string): Promise<string> {
  const command = Object.entries(known).reduce((text, [word, value]) => text.replaceAll(word, value), line);
  const env = {
    PATH: `${join(root, 'src/cli/bin')}:${process.env['PATH']}`,
    HOME: folder,
    GPUAAS_URL: plane.url,
    GPUAAS_TOKEN: token,
  };
  const { stdout } = await promisify(execFile)('sh', ['-ec', command], { cwd: folder, env });
  return stdout;
}

/** The lines of the block of commands that begins so. */
function block(beginning: string): string[] {
  const [, , text = ''] =
    page
      .split(/```sh\n/)
      .find((part) => part.startsWith(beginning))
      ?.split(/^()([^`]*)/) ?? [];
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  expect(lines.length, beginning).toBeGreaterThan(0);
  return lines;
}

const idIn = (printed: string) => /\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b/.exec(printed)?.[0] ?? '';

it('makes a project that may launch, by its commands', async () => {
  const [project = '', allocation = '', register = '', promote = '', join_ = '', alice = ''] = block('gpuaas projects');

  known['PROJECT'] = idIn(await typed(project));
  known['ALLOCATION'] = idIn(await typed(allocation));
  known['ARTIFACT'] = idIn(await typed(register));
  await typed(promote);
  await typed(join_);
  const member = /gpuaas_[0-9a-f]{16}_\S+/.exec(await typed(alice))?.[0] ?? '';

  expect(Object.values(known).every((value) => value !== '')).toBe(true);
  expect(await typed(`GPUAAS_TOKEN=${member} gpuaas apps show jupyterlab --json`)).toContain('"launchable":true');
});

it('lets a host enrol, and another one in its place', async () => {
  // What the bootstrap does there is told by the tests on hosts; this is its step that the control plane sees.
  const [bootstrap = ''] = block('sh bootstrap.sh');
  const enroll = bootstrap.replace('sh bootstrap.sh', 'node-agent enroll');
  const user = { uid: 61_900, gid: 61_900, home: folder };
  const config = { state_dir: join(folder, 'agent'), run_dir: join(folder, 'run') };
  writeFileSync(agentConfig, JSON.stringify({ ...config, allocation: { id: known['ALLOCATION'], user } }));
  known['https://cp.example.com'] = plane.url ?? '';

  await typed(`${enroll.replace(/ +#.*/, '')} --config ${agentConfig}`);
  known['NODE'] = idIn(await typed('gpuaas nodes --json'));
  const before = await typed('gpuaas nodes show NODE --json');
  const [revoke = '', again = ''] = block('gpuaas nodes revoke');
  await typed(revoke);
  await typed(again.replace(/ +#.*/, ''));

  expect(JSON.parse(before)).toMatchObject({ status: 'enrolled', allocation_id: known['ALLOCATION'] });
  expect(existsSync(join(folder, 'token'))).toBe(true);
});

it('has an image pushed, registered and verified by one command', async () => {
  const [push = ''] = block('gpuaas artifacts push');

  const pushed = await typed(`${push.replace('registry.example.com', registry.host)} --no-token --json`);

  expect(JSON.parse(pushed)).toMatchObject({ name: 'runtime-cpu', trust: 'verified' });
});

it('says who has asked for it', async () => {
  const printed = await Promise.all(block('gpuaas audit').map((line) => typed(line.replace('INSTANCE', 'NODE'))));

  expect(printed.join('\n')).toContain(known['NODE']);
});

it('is backed up beside its work, and put back', async () => {
  const ours = (line: string) => `${line.replace(/ +#.*/, '').replace('/backup/', `${folder}/`)} --data-dir ${dataDir}`;
  const [backup = '', check = '', restore = ''] = block('gpuaas store backup').map(ours);

  await typed(backup);
  await typed(check);
  await typed('gpuaas projects create too-late');
  await plane.stop();
  await typed(restore);
  await serve();

  const projects = await typed('gpuaas projects --json');
  expect(projects).toContain(known['PROJECT']);
  expect(projects).not.toContain('too-late');
});
