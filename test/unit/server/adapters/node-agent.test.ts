import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { compactDecrypt, exportJWK, generateKeyPair } from 'jose';
import { describe, expect, it } from 'vitest';
import type { WrappingPublicKey } from '../../../../src/contract/enrolment.ts';
import { taskSchemas } from '../../../../src/contract/tasks.ts';
import { judge } from '../../../../src/contract/validate.ts';
import type { WorkloadOciLaunchParams } from '../../../../src/contract/workload-oci-launch.ts';
import { checkParams } from '../../../../src/policy/render-container.ts';
import { adapterOf, adapters, plannedEngines } from '../../../../src/server/adapters/index.ts';
import { adapterInput } from '../../../../src/server/launch/adapter-input.ts';
import { type CheckedLaunch, checkLaunch, type LaunchFacts } from '../../../../src/server/launch/checks.ts';
import { sealSecrets } from '../../../../src/server/launch/seal-secrets.ts';
import { anArtifact, aRequest, launchFacts } from '../../../support/launch-samples.ts';
import { type Changes, jupyterProfile } from '../../../support/profiles.ts';
import { anAllocation } from '../../../support/store-samples.ts';
import { hostPolicy } from '../../../support/task-bench.ts';

const golden = join(resolve(import.meta.dirname, '../../../..'), 'fixtures/manifests/gpuaas/jupyterlab.out.json');
const placed = {
  ...{ instanceId: 'instance-1', nodeId: 'node-1', sealedEnv: {} },
  sealedFiles: { '/run/secrets/web-token': 'a.b.c.d.e' },
};

function checked(given: Partial<LaunchFacts> = {}): CheckedLaunch {
  const result = checkLaunch(launchFacts(given));
  if (!result.ok) throw new Error(JSON.stringify(result.refusals));
  return result.launch;
}

function rendered(given: Partial<LaunchFacts> = {}): WorkloadOciLaunchParams {
  return adapterOf('node_agent').launch(adapterInput(checked(given), placed)).params as WorkloadOciLaunchParams;
}

const profiled = (changes: Changes) => rendered({ profile: jupyterProfile(changes) });

describe('the launch of JupyterLab', () => {
  it('is rendered as the golden file shows; UPDATE_GOLDEN=1 writes it anew', () => {
    const params = rendered({ request: aRequest({ config: { python_packages: 'numpy==2.4.4 pandas>=2.2' } }) });
    if (process.env['UPDATE_GOLDEN'] === '1') writeFileSync(golden, `${JSON.stringify(params, null, 2)}\n`);

    expect(params).toEqual(JSON.parse(readFileSync(golden, 'utf8')));
  });

  it('is accepted by the schema and by the policy of a host', () => {
    const params = rendered();
    const policy = { ...hostPolicy, allocation: { ...hostPolicy.allocation, id: params.identity.allocation_id } };
    const sealed = { ...params, sealed_files: { '/run/secrets/web-token': `${'a'.repeat(20)}..b.c.d` } };

    expect(judge(taskSchemas['workload.oci_launch'].params, sealed)).toMatchObject({ ok: true });
    expect(() => checkParams(params, policy)).not.toThrow();
  });

  it('sets every variable of the profile and tells the notebook where its token is (G-74 to G-81, G-210)', () => {
    expect(rendered().env).toEqual({
      ...jupyterProfile().execution.container_env,
      JUPYTER_TOKEN_FILE: '/run/secrets/web-token',
    });
  });

  it('publishes declared endpoints at the chosen port and nothing else (G-123, G-170)', () => {
    const request = aRequest({ config: { host_port: 9999 } });

    expect(rendered({ request }).ports).toEqual([
      { name: 'web', container_port: 8888, host_port: 9999, protocol: 'http' },
    ]);
  });

  it('mounts the workspace as the launch chose (G-70, G-122)', () => {
    const request = aRequest({ config: { workspace_mount: 'project_storage' } });
    const allocation = anAllocation({ project_storage: true });

    expect(rendered({ request, allocation }).mounts).toEqual([
      { name: 'workspace', path: '/workspace', mode: 'project_storage', read_only: false },
    ]);
  });

  it('names project and instance (G-119) and runs the manifest of the platform, pinned', () => {
    const platform_digest = `sha256:${'e'.repeat(64)}`;
    const index = anArtifact({ media_type: 'application/vnd.oci.image.index.v1+json', platform_digest });
    const params = rendered({ artifacts: [index] });

    expect(params.identity).toMatchObject({ project_id: 'p1', app_instance_id: 'instance-1' });
    expect(params.image).toEqual({
      kind: 'registry',
      reference: `127.0.0.1:5000/curated/runtime-cpu@${platform_digest}`,
      media_type: 'application/vnd.oci.image.manifest.v1+json',
    });
  });
});

describe('the node_agent adapter', () => {
  it('hands a parameter to the workload that the platform gives no meaning (G-2)', () => {
    const theme = { '/parameters/schema/properties/theme': { type: 'string', default: 'dark' } };

    expect(profiled(theme).env).toMatchObject({ GPUAAS_PARAM_THEME: 'dark' });
    expect(Object.keys(rendered().env).filter((name) => name.startsWith('GPUAAS_'))).toEqual([]);
  });

  it('waits for the ports of an app that says nothing of its readiness', () => {
    expect(profiled({ '/validation': undefined }).readiness).toEqual([
      { type: 'tcp', endpoint: 'web', timeout_seconds: 120 },
    ]);
  });

  it('gets the seven inputs of a launch as they were decided, and nothing else (G-13, G-117 to G-123)', () => {
    const launch = checked({ request: aRequest({ config: { host_port: 9000 } }) });

    const input = adapterInput(launch, placed);

    expect(input.profile).toBe(launch.profile);
    expect(input.values).toBe(launch.values);
    expect(input).toEqual({
      ...{ profile: launch.profile, values: launch.values, sealed_files: placed.sealedFiles },
      ...{ sealed_env: {}, secrets: [] },
      identity: {
        ...{ project_id: 'p1', app_instance_id: 'instance-1', allocation_id: launch.allocation.id },
        ...{ app_slug: 'jupyterlab', app_version: '2026.04-preview', display_name: 'My JupyterLab' },
      },
      placement: { allocation_id: launch.allocation.id, node_id: 'node-1' },
      image: {
        kind: 'registry',
        reference: `${launch.artifact.repository}@${launch.artifact.digest}`,
        media_type: 'application/vnd.oci.image.manifest.v1+json',
      },
      storage: [{ name: 'workspace', path: '/workspace', mode: 'scratch' }],
      exposure: [
        {
          ...{ endpoint: 'web', protocol: 'http', container_port: 8888, host_port: 9000, mode: 'private' },
          token: { path: '/run/secrets/web-token', env: 'JUPYTER_TOKEN_FILE', value_env: null },
        },
      ],
    });
  });

  it('refuses a launch that no check has seen (G-118)', () => {
    expect(() => adapterInput({ ...checked() }, placed)).toThrow('without its checks');
  });

  it('renders control and removal that the contract accepts (G-131)', () => {
    const { identity } = rendered();
    const adapter = adapterOf('node_agent');

    for (const task of [adapter.control(identity, 'stop', {}), adapter.remove(identity, true)]) {
      expect(judge(taskSchemas[task.type].params, task.params).ok).toBe(true);
    }
  });
});

describe('the adapters', () => {
  it('are two; the planned engines have none (G-133 to G-135)', () => {
    expect(Object.keys(adapters)).toEqual(['node_agent', 'docker_compose']);
    for (const engine of [...plannedEngines, 'constructor']) {
      expect(() => adapterOf(engine)).toThrow('no adapter');
    }
  });
});

describe('sealSecrets', () => {
  it('makes a token of 192 bits per endpoint, sealed for the node alone (G-210)', async () => {
    const { publicKey, privateKey } = await generateKeyPair('ECDH-ES', { crv: 'X25519', extractable: true });
    const key = (await exportJWK(publicKey)) as WrappingPublicKey;

    const made = await sealSecrets(jupyterProfile(), {}, key);
    const again = await sealSecrets(jupyterProfile(), {}, key);

    const [first] = made.tokens;
    expect(first).toEqual({
      ...{ endpoint: 'web', token: expect.stringMatching(/^[0-9a-f]{48}$/), url_query: 'token', bearer_path: null },
    });
    expect(again.tokens[0]?.token).not.toBe(first?.token);
    const opened = await compactDecrypt(made.sealedFiles['/run/secrets/web-token'] ?? '', privateKey);
    expect(new TextDecoder().decode(opened.plaintext)).toBe(first?.token);
    expect(JSON.stringify(made.sealedFiles)).not.toContain(first?.token);
  });

  it('makes none where the manifest says so', async () => {
    const profile = jupyterProfile({ '/network/endpoints/0/auth': { mode: 'none' } });
    const { publicKey } = await generateKeyPair('ECDH-ES', { crv: 'X25519', extractable: true });
    const key = (await exportJWK(publicKey)) as WrappingPublicKey;

    await expect(sealSecrets(profile, {}, key)).resolves.toEqual({ tokens: [], sealedFiles: {}, sealedEnv: {} });
  });
});
