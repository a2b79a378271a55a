import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { listeningOf, releaseRootOf, type ServeOptions, settingsOf } from '../../../src/cli/commands/serve-options.ts';
import { makeSigners } from '../../support/releases.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

const folder = temporaryFolder('serve-options');

describe('the options of gpuaas serve', () => {
  const options: ServeOptions = {
    ...{
      init: false,
      newAdminToken: false,
      newKeys: false,
      dataDir: '/d',
      listen: '127.0.0.1:8080',
      insecureListen: false,
    },
    ...{
      registry: [],
      tokenRegistry: [],
      artifactPolicy: 'published',
      platform: 'linux/amd64',
      environment: 'development',
      logLevel: 'info',
    },
    ...{ requestsPerToken: '100', requestsPerAddress: '100', outputGib: '64', projectOutputGib: '256' },
    ...{ strangersPerAddress: '256', strangers: '1024', json: false },
  };
  const configInvalid = expect.objectContaining({ code: 'server.config_invalid' });
  const cert = join(folder, 'cert.pem');
  writeFileSync(cert, 'PEM');

  it('take a release root as PEM, and refuse what is none, or a replacement of nothing', () => {
    const { root, rootPem } = makeSigners();
    const file = join(folder, 'root.pem');
    writeFileSync(file, rootPem);

    expect(releaseRootOf(options)).toEqual({});
    expect(releaseRootOf({ ...options, releaseRoot: file })).toEqual({ releaseRoot: root, replaceReleaseRoot: false });
    expect(() => releaseRootOf({ ...options, releaseRoot: cert })).toThrow(configInvalid);
    expect(() => releaseRootOf({ ...options, replaceReleaseRoot: true })).toThrow(configInvalid);
  });

  it.each(['0.0.0.0:8080', '[::]:8080', '10.0.0.1:80', 'cp.example.com:443'])('refuse %s without TLS', (listen) => {
    expect(() => listeningOf({ ...options, listen })).toThrow(configInvalid);
    expect(listeningOf({ ...options, listen, insecureListen: true }).port).toBeGreaterThan(0);
    expect(listeningOf({ ...options, listen, tlsCert: cert, tlsKey: cert }).tls).toEqual({ cert: 'PEM', key: 'PEM' });
  });

  it.each(['127.0.0.1:8080', 'localhost:80', '[::1]:8080'])('take %s as it is', (listen) => {
    expect(listeningOf({ ...options, listen }).tls).toBeUndefined();
  });

  it.each([
    { listen: 'nowhere' },
    { listen: '127.0.0.1:99999' },
    { tlsCert: cert },
    { tlsCert: '/nowhere.pem', tlsKey: cert },
    { insecureListen: '1', listen: '0.0.0.0:1' },
  ])('refuse %o', (wrong) => {
    expect(() => listeningOf({ ...options, ...wrong })).toThrow(configInvalid);
  });

  it.each([
    { publicUrl: 'cp.example.com' },
    { publicUrl: 'https://cp.example.com/path' },
    { registry: ['https://registry'] },
    { registry: 'a,b c' },
    { platform: 'linux' },
    { registryLogins: cert },
    { ca: '/nowhere.pem' },
    { artifactChannel: 'prod' as const },
    { strangers: '0' },
    { strangersPerAddress: 'many' },
    { outputGib: '1.5' },
    { projectOutputGib: '0' },
  ])('refuse %o', (wrong) => {
    expect(() => settingsOf({ ...options, ...wrong }, listeningOf(options), {})).toThrow(configInvalid);
  });

  it('bound connections of strangers', () => {
    const settings = settingsOf({ ...options, strangersPerAddress: '4' }, listeningOf(options), {});

    expect(settings.strangers).toEqual({ perAddress: 4, all: 1024 });
  });

  it('bound what is kept of jobs', () => {
    const settings = settingsOf({ ...options, outputGib: '2' }, listeningOf(options), {});

    expect(settings.outputs).toEqual({ each: 2 * 2 ** 30, project: 256 * 2 ** 30 });
  });

  it.each([
    ['true', true],
    ['TRUE', false],
    ['1', false],
    ['yes', false],
    ['', false],
    [undefined, false],
  ])('let launches become tasks only for the exact text true, not for %s (G-163, G-164)', (value, enabled) => {
    const env = value === undefined ? {} : { APP_RUNTIME_LAUNCHABLE_OCI_NODE_TASKS_ENABLED: value };

    expect(settingsOf(options, listeningOf(options), env).launchEnabled).toBe(enabled);
  });

  it.each<[string, Partial<ServeOptions>, boolean]>([
    ['production, without a word of anybody', { environment: 'production' }, false],
    ['production, with an empty word', { environment: 'production', launchSignOff: ' ' }, false],
    ['production, once somebody has signed off', { environment: 'production', launchSignOff: 'kim, 2026-11-26' }, true],
    ['any other environment', { environment: 'staging' }, true],
  ])('let launches be switched on in %s: %s (G-199)', (_what, given, isAllowed) => {
    const start = (env: NodeJS.ProcessEnv) => settingsOf({ ...options, ...given }, listeningOf(options), env);
    const enabled = { APP_RUNTIME_LAUNCHABLE_OCI_NODE_TASKS_ENABLED: 'true' };

    expect(start({}).launchEnabled).toBe(false);
    if (isAllowed) expect(start(enabled).launchEnabled).toBe(true);
    else expect(() => start(enabled)).toThrow(configInvalid);
  });

  it('take lists repeated or separated by commas, and count token registries among the registries', () => {
    const given = { ...options, registry: 'a:1,b', tokenRegistry: ['c:5000'] };

    expect(settingsOf(given, listeningOf(options), {})).toMatchObject({
      ...{ registries: ['a:1', 'b', 'c:5000'], tokenRegistries: ['c:5000'], publicUrl: 'http://127.0.0.1:8080' },
    });
  });
});
