/**
 * What a project keeps for its launches, on a real container: a key, a stored token instead of a secret, and the token of a
 * service account. The workload can read them, and they are looked for everywhere else.
 */
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { contentsBelow, secretOf, secretsIn } from '../support/secrets.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { webManifest } from '../support/wire-app.ts';
import { ok, openWire, type Wire } from '../support/wire-ground.ts';

const keyCanary = 'canary-of-a-private-key-61d0f2';
const privateKey = `-----BEGIN OPENSSH PRIVATE KEY-----\n${keyCanary}\n-----END OPENSSH PRIVATE KEY-----\n`;
const hubCanary = 'hf_canary-of-a-stored-token-77aa';
const paths = {
  key: '/run/secrets/gpuaas.access-credential',
  hub: '/run/secrets/hub_token',
  token: '/run/secrets/gpuaas.service-account-token',
};

const folder = temporaryFolder('credentials');
let wire: Wire;
let id: string;
let printed: string;
/** The process of the workload, as this host sees it. */
let main: string;
let files: Readonly<Record<keyof typeof paths, string>>;

beforeAll(async () => {
  wire = await openWire();
  const { parameters, ...rest } = JSON.parse(webManifest);
  const component = (name: string) => ({ kind: `platform.${name}` });
  const names = ['target_allocation', 'artifact_selector', 'access_credential', 'operator_service_account', 'review'];
  const steps = [{ id: 'all', title: 'All', components: names.map(component) }];
  const secrets = [{ name: 'hub_token', title: 'Token of the hub', file_env: 'HUB_TOKEN_PATH' }];
  const source = JSON.stringify({ ...rest, parameters: { ...parameters, secrets, ui: { launch_wizard: { steps } } } });
  ok(await wire.admin.call('POST', '/api/v1/catalog/apps/web/versions', { version: '2.0', source }));
  ok(await wire.admin.call('POST', '/api/v1/catalog/apps/web/versions/2.0/publish'));

  const file = (name: string, text: string) => {
    const path = join(folder, name);
    writeFileSync(path, text, { mode: 0o600 });
    return path;
  };
  const keyFile = file('key', privateKey);
  const hubFile = file('hub', `${hubCanary}\n`);
  const commands = [
    ['credentials', 'add', 'deploy-key', '--kind', 'ssh_private_key', '--file', keyFile],
    ['credentials', 'add', 'hub', '--kind', 'token', '--file', hubFile],
    ['service-accounts', 'add', 'bot', '--role', 'viewer'],
    ['credentials', 'list', '--json'],
    [
      ...['apps', 'instances', 'launch', 'web@2.0', '--allocation', wire.allocationId, '--json'],
      ...['--credential', 'deploy-key', '--service-account', 'bot', '--secret-credential', 'hub_token=hub'],
      ...['--set', `host_port=${((await wire.request())['config'] as { host_port: number }).host_port}`],
    ],
  ];
  const ended = [];
  for (const command of commands) ended.push(await wire.member.cli(...command).ended);
  const failed = ended.filter(({ code }) => code !== 0);
  if (failed.length > 0) throw new Error(failed.map(({ stderr }) => stderr).join('\n'));
  id = JSON.parse(ended.at(-1)?.stdout ?? '').id;
  printed = ended.map(({ stdout, stderr }) => stdout + stderr).join('\n');
  const { State } = await wire.inspect(id);
  main = `/proc/${State.Pid}`;
  const inside = (path: string) => readFileSync(`${main}/root${path}`, 'utf8');
  files = { key: inside(paths.key), hub: inside(paths.hub), token: inside(paths.token) };
});
afterAll(async () => await wire?.close());

const secrets = () => ({ key: keyCanary, hub: hubCanary, token: secretOf(files.token) });
const found = (text: string | Buffer) => secretsIn(text, secrets());

describe('what a launch takes of its project', () => {
  it('is there for the workload: byte for byte, as files in memory that variables name (G-62, G-63)', async () => {
    const variables = readFileSync(`${main}/environ`, 'utf8').split('\0');
    const owner = /^Uid:\t(\d+)/m.exec(readFileSync(`${main}/status`, 'utf8'))?.[1];

    expect(files.key).toBe(privateKey);
    expect(files.hub).toBe(hubCanary);
    for (const path of Object.values(paths)) {
      const { uid, mode } = statSync(`${main}/root${path}`);
      expect([String(uid), mode & 0o777]).toEqual([owner, 0o400]);
    }
    expect(variables).toEqual(
      expect.arrayContaining([
        ...[`GPUAAS_ACCESS_CREDENTIAL_FILE=${paths.key}`, `HUB_TOKEN_PATH=${paths.hub}`, `GPUAAS_URL=${wire.url}`],
        `GPUAAS_SERVICE_ACCOUNT_TOKEN_FILE=${paths.token}`,
      ]),
    );
    expect(readFileSync(`${main}/mounts`, 'utf8')).toMatch(/^tmpfs \/run\/secrets tmpfs ro/m);
  });

  it('is in no file, log, argument, variable, answer or inspection (G-121, G-160)', async () => {
    const leaks = contentsBelow(wire.folder)
      .map(([file, content]) => [file.slice(wire.folder.length + 1), found(content)] as const)
      .toArray();
    expect(leaks.length).toBeGreaterThan(5);
    expect(leaks.filter(([, names]) => names.length > 0)).toEqual([]);
    expect(found(wire.logs())).toEqual([]);
    expect(printed).toContain('deploy-key');
    expect(found(printed)).toEqual([]);
    expect(found(JSON.stringify(await wire.inspect(id)))).toEqual([]);
    for (const { pid } of [wire.server, wire.agent, wire.gate]) {
      expect(found(readFileSync(`/proc/${pid}/cmdline`))).toEqual([]);
      expect(found(readFileSync(`/proc/${pid}/environ`))).toEqual([]);
    }
    for (const path of [
      'app-instances',
      `app-instances/${id}`,
      `app-instances/${id}/events`,
      'access-credentials',
      'tokens',
    ]) {
      const answer = ok(await wire.admin.call('GET', `/api/v1/${path}`));
      expect(found(JSON.stringify(answer))).toEqual([]);
    }
  });

  it('lets the workload act as its account until it is decommissioned, and no longer', async () => {
    const ask = async (path: string) =>
      (await fetch(`${wire.url}/api/v1/${path}`, { headers: { authorization: `Bearer ${files.token}` } })).status;
    expect(await ask(`app-instances/${id}`)).toBe(200);
    expect(await ask('nodes/unknown')).toBe(404);

    const { code } = await wire.member.cli('apps', 'instances', 'decommission', id).ended;

    expect(code).toBe(0);
    expect(await ask(`app-instances/${id}`)).toBe(401);
    expect(await wire.containers(id)).toEqual([]);
  });
});
