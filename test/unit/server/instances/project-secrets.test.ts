/** What a launch takes of its project: credentials, tokens instead of secrets, and a service account. */
import { compactDecrypt, exportJWK, generateKeyPair } from 'jose';
import { beforeEach, describe, expect, it } from 'vitest';
import type { WorkloadComposeLaunchParams } from '../../../../src/contract/workload-compose-launch.ts';
import type { WorkloadOciLaunchParams } from '../../../../src/contract/workload-oci-launch.ts';
import type { WorkloadProfile } from '../../../../src/manifests/gpuaas/profile.ts';
import { readProfile } from '../../../../src/manifests/gpuaas/read-profile.ts';
import type { AccessCredential } from '../../../../src/server/db/entities/credential.ts';
import type { ApiToken } from '../../../../src/server/db/entities/project.ts';
import { whoIs } from '../../../../src/server/http/tokens.ts';
import { checkLaunch, type LaunchFacts } from '../../../../src/server/launch/checks.ts';
import type { LaunchRequest } from '../../../../src/server/launch/launch-request.ts';
import { revokeToken, withMade } from '../../../../src/server/resources/end-tokens.ts';
import { type LaunchBench, launchBench } from '../../../support/launch-bench.ts';
import {
  aRequest,
  aVersion,
  largeShape,
  launchFacts,
  runtimeStatus,
  vllmRequest,
} from '../../../support/launch-samples.ts';
import { jupyterDocument, jupyterProfile, smokeDocument } from '../../../support/profiles.ts';
import { secretOf } from '../../../support/secrets.ts';

const at = '2026-11-25T10:00:00.000Z';
const steps = '/parameters/ui/launch_wizard/steps';
const asking = (kind: string, required = true) => ({ kind, required });
const both = [asking('platform.access_credential'), asking('platform.operator_service_account')];

/** The notebook, with a step that asks for these. */
function notebook(components: object[], changes: Record<string, unknown> = {}): WorkloadProfile {
  const wizard = jupyterProfile().parameters.ui?.launch_wizard?.steps ?? [];
  return jupyterProfile({ [steps]: [{ id: 'keys', title: 'Keys', components }, ...wizard], ...changes });
}

function aCredential(given: Partial<AccessCredential> = {}): AccessCredential {
  return {
    ...{ id: 'c1', project_id: 'p1', name: 'deploy-key', kind: 'ssh_private_key', sealed: 'x' },
    ...{ created_at: at, created_by: 'token-1', value_set_at: at },
    ...given,
  };
}
const anAccount = { id: 's1', project_id: 'p1', name: 'bot', role: 'member', created_at: at, created_by: 'x' } as const;
const token = aCredential({ id: 'c2', name: 'hub', kind: 'token' });
const asked = { access_credential_id: 'c1', service_account_id: 's1' };
const hub = { '/parameters/secrets': [{ name: 'hub_token', title: 'Hub' }] };

describe('what a launch takes of its project', () => {
  const accepted: Partial<LaunchFacts> = { credentials: [aCredential()], serviceAccount: anAccount };

  it.each<[string, object[], Partial<LaunchRequest>, Partial<LaunchFacts>, string[]]>([
    ['what is asked for', both, asked, accepted, []],
    [
      'nothing, where it is required',
      both,
      {},
      accepted,
      ['launch.credential_required /access_credential_id', 'launch.service_account_required /service_account_id'],
    ],
    ['nothing, where it is optional', both.map(({ kind }) => asking(kind, false)), {}, accepted, []],
    [
      'what nobody asks for',
      [],
      asked,
      accepted,
      ['launch.values_invalid /access_credential_id', 'launch.values_invalid /service_account_id'],
    ],
    [
      'what is not there, or of another project',
      both,
      asked,
      {},
      ['launch.credential_not_found /access_credential_id', 'launch.service_account_not_found /service_account_id'],
    ],
  ])('is judged: %s (G-62, G-63)', (_what, components, request, facts, expected) => {
    const profile = components.length === 0 ? jupyterProfile() : notebook(components);
    const checked = checkLaunch(launchFacts({ profile, request: aRequest(request), ...facts }));

    expect(checked.ok ? [] : checked.refusals.map(({ code, path }) => `${code} ${path}`)).toEqual(expected);
  });

  it.each<[string, Record<string, unknown>, string[]]>([
    ['a token of the project', { hub_token: { credential_id: 'c2' } }, []],
    [
      'what is no token',
      { hub_token: { credential_id: 'c1' } },
      ['launch.values_invalid /secrets/hub_token/credential_id'],
    ],
    [
      'one that is not there, or of another project',
      { hub_token: { credential_id: 'c9' } },
      ['launch.credential_not_found /secrets/hub_token/credential_id'],
    ],
    [
      'a secret that the app does not have',
      { other: { credential_id: 'c2' } },
      ['launch.values_invalid /secrets/other'],
    ],
  ])('instead of a secret is judged: %s', (_what, secrets, expected) => {
    const request = aRequest({ secrets: secrets as NonNullable<LaunchRequest['secrets']> });
    const checked = checkLaunch(
      launchFacts({ profile: jupyterProfile(hub), request, credentials: [aCredential(), token] }),
    );

    expect(checked.ok ? [] : checked.refusals.map(({ code, path }) => `${code} ${path}`)).toEqual(expected);
  });
});

describe('a manifest', () => {
  const errorsOf = (document: object) => {
    const read = readProfile(document);
    return read.ok ? [] : read.errors.map(({ code, path }) => `${code} ${path}`);
  };

  it('cannot take the names and variables of the platform for its own', () => {
    const wizard = [{ id: 'keys', title: 'Keys', components: both }];
    const all = [...wizard, ...(jupyterProfile().parameters.ui?.launch_wizard?.steps ?? [])];
    const secrets = [{ name: 'access_credential', title: 'Mine' }];
    const container_env = { GPUAAS_URL: 'http://evil.example.com' };
    const changes = { [steps]: all, '/parameters/secrets': secrets, '/execution/container_env': container_env };

    expect(errorsOf(jupyterDocument(changes))).toEqual([
      'repeated /parameters/ui/launch_wizard',
      'reserved /parameters/secrets/0/name',
    ]);
  });

  it('of a stack says which service takes what it asks for', () => {
    const components = [
      ...both,
      ...['target_allocation', 'artifact_selector', 'review'].map((name) => asking(`platform.${name}`)),
    ];
    const wizard = { [steps]: [{ id: 'all', title: 'All', components }] };
    const first = '/execution/compose/topology/services/0/secrets';

    expect(errorsOf(smokeDocument(wizard))).toEqual([
      'unused /parameters/ui/launch_wizard',
      'unused /parameters/ui/launch_wizard',
    ]);
    expect(errorsOf(smokeDocument({ ...wizard, [first]: ['access_credential', 'service_account_token'] }))).toEqual([]);
    expect(errorsOf(smokeDocument({ [first]: ['access_credential'] }))).toEqual([`undeclared ${first}/0`]);
  });
});

describe('a launch that takes something of its project', () => {
  const values = { c1: '-----BEGIN PRIVATE KEY-----\ncanary-key\n-----END PRIVATE KEY-----\n', c2: 'canary-hub-token' };
  let bench: LaunchBench;
  let opened: (sealed: string | undefined) => Promise<string>;

  beforeEach(async () => {
    const { publicKey, privateKey } = await generateKeyPair('ECDH-ES', { crv: 'X25519', extractable: true });
    const { x = '' } = await exportJWK(publicKey);
    opened = async (sealed) => Buffer.from((await compactDecrypt(sealed ?? '', privateKey)).plaintext).toString();
    bench = await launchBench({ node: { wrapping_key: { kty: 'OKP', crv: 'X25519', x } } });
    await bench.store.write(async (tx) => {
      await tx.app_versions.put(aVersion({ manifest: notebook(both, hub) }));
      for (const [id, value] of Object.entries(values)) {
        const kind = id === 'c2' ? 'token' : 'ssh_private_key';
        await tx.access_credentials.insert(aCredential({ id, name: id, kind, sealed: bench.vault.seal(value, id) }));
      }
      await tx.access_credentials.insert(aCredential({ id: 'theirs', project_id: 'p2' }));
      await tx.service_accounts.insert(anAccount);
    });
  });

  const request = (given: Partial<LaunchRequest> = {}) =>
    aRequest({ ...asked, secrets: { hub_token: { credential_id: 'c2' } }, ...given });
  const paramsOf = async () => (await bench.openTasks()).at(-1)?.params as WorkloadOciLaunchParams;
  const isGood = (secret: string) =>
    bench.store.read((tx) =>
      whoIs(`Bearer ${secret}`, tx, bench.clock.wallMs()).then(
        ({ role, projectId }) => ({ role, projectId }),
        () => false,
      ),
    );

  it('hands it to its node alone: as files, sealed, that variables name', async () => {
    await bench.launch(request());
    const { sealed_files: files = {}, env } = await paramsOf();

    expect(await opened(files['/run/secrets/gpuaas.access-credential'])).toBe(values.c1);
    expect(await opened(files['/run/secrets/hub_token'])).toBe(values.c2);
    const minted = await opened(files['/run/secrets/gpuaas.service-account-token']);
    expect(await isGood(minted)).toEqual({ role: 'member', projectId: 'p1' });
    expect(env).toMatchObject({
      GPUAAS_ACCESS_CREDENTIAL_FILE: '/run/secrets/gpuaas.access-credential',
      GPUAAS_SERVICE_ACCOUNT_TOKEN_FILE: '/run/secrets/gpuaas.service-account-token',
      GPUAAS_URL: 'https://cp.example.com',
    });
  });

  it('is nowhere in the clear (G-121, G-160)', async () => {
    const { id } = await bench.launch(request());
    const { sealed_files: files = {} } = await paramsOf();
    const minted = await opened(files['/run/secrets/gpuaas.service-account-token']);

    const all = await bench.store.read(async (tx) => [
      ...[await tx.app_instances.list(), await tx.tasks.list(), await tx.access_credentials.list()],
      ...[await tx.api_tokens.list(), await tx.events.list({ after: 0, limit: 100 })],
    ]);
    expect(JSON.stringify(all)).toContain(id);
    for (const secret of ['canary-key', values.c2, secretOf(minted)]) {
      expect(secret.length).toBeGreaterThan(8);
      expect(JSON.stringify(all)).not.toContain(secret);
    }
  });

  it('of another project is refused like one that is not there, and nothing is kept', async () => {
    const asking = async (id: string) => {
      const error = await bench.launch(request({ access_credential_id: id })).catch((reason: unknown) => reason);
      return JSON.stringify((error as { detail: object }).detail);
    };

    expect(await asking('theirs')).toBe(await asking('nobodys'));
    expect(await bench.store.read((tx) => tx.app_instances.count())).toBe(0);
    expect(await bench.store.read((tx) => tx.api_tokens.count())).toBe(0);
  });

  it('ends the token of the service account with the instance, and that of no other', async () => {
    const secretOf = async () => {
      const { sealed_files: files = {} } = await paramsOf();
      return opened(files['/run/secrets/gpuaas.service-account-token']);
    };
    const first = await bench.launch(request());
    const one = await secretOf();
    await bench.launch(request({ config: { host_port: 9999 } }));
    const other = await secretOf();
    await bench.endTaskOf(first.id, 'running');
    const meanwhile = await isGood(one);

    await bench.act(first.id, 'decommission');

    expect(meanwhile).not.toBe(false);
    expect(await isGood(one)).toBe(false);
    expect(await isGood(other)).not.toBe(false);
  });

  it('ends the token of the service account a year after the launch, however long the instance runs', async () => {
    const { service_token_id: id = '', created_at } = await bench.launch(request());

    const token = await bench.store.read((tx) => tx.api_tokens.get(id));

    expect(Date.parse(token?.expires_at ?? '') - Date.parse(created_at)).toBe(31_536_000_000);
  });

  it('ends the token of the service account with the one that launched it, and what that token has launched', async () => {
    const secretOf = async () => {
      const { sealed_files: files = {} } = await paramsOf();
      return opened(files['/run/secrets/gpuaas.service-account-token']);
    };
    const launcher: ApiToken = {
      ...{ id: 'token-1', name: 'leaked', project_id: 'p1', role: 'member' as const, secret_hash: 'h'.repeat(43) },
      ...{ created_by: 'init', created_at: at, expires_at: null, revoked_at: null },
    };
    const first = await bench.launch(request());
    const one = await secretOf();
    const second = await bench.launch(request({ config: { host_port: 9999 } }));
    const other = await secretOf();
    await bench.store.write((tx) => tx.app_instances.put({ ...second, created_by: first.service_token_id ?? 'none' }));
    await bench.store.write((tx) => tx.api_tokens.insert(launcher));

    const all = await bench.store.read((tx) => withMade(tx, [launcher]));
    await bench.store.write((tx) => revokeToken(tx, launcher.id, bench.clock.wallMs()));

    expect(all.map(({ id }) => id)).toEqual([launcher.id, first.service_token_id, second.service_token_id]);
    expect([await isGood(one), await isGood(other)]).toEqual([false, false]);
  });

  it('is launched anew with what it had, and not where that was taken away meanwhile', async () => {
    const { id } = await bench.launch(request());
    const { sealed_files: before } = await paramsOf();
    await bench.endTaskOf(id, 'image.unauthorized');

    await bench.act(id, 'restart');
    expect((await paramsOf()).sealed_files).toEqual(before);

    await bench.endTaskOf(id, 'image.unauthorized');
    await bench.store.write((tx) => tx.access_credentials.delete('c1'));
    await expect(bench.act(id, 'restart')).rejects.toMatchObject({ code: 'launch.credential_not_found' });
  });
});

describe('a stack', () => {
  it('gives a stored token to the service that the manifest names, as the file that HF_TOKEN_PATH names', async () => {
    const runtime = runtimeStatus({ compose_version: '2.26.1' });
    const bench = await launchBench({ allocation: { shape: largeShape }, node: { runtime } });
    await bench.store.write((tx) =>
      tx.access_credentials.insert({ ...token, sealed: bench.vault.seal('hf_canary', token.id) }),
    );

    await bench.launch(
      vllmRequest({
        ...{ config: { shm_gib: 1 }, resource_overrides: { gpu_count: 1, cpu_cores: 2, memory_gib: 8 } },
        secrets: { hub_token: { credential_id: token.id } },
      }),
    );
    const params = (await bench.openTasks()).at(-1)?.params as WorkloadComposeLaunchParams;

    expect(Object.keys(params.sealed_files?.['vllm'] ?? {})).toContain('/run/secrets/hub_token');
    expect(params.document.services['vllm']?.environment).toMatchObject({ HF_TOKEN_PATH: '/run/secrets/hub_token' });
  });
});
