import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { compactDecrypt, exportJWK, generateKeyPair } from 'jose';
import { describe, expect, it, vi } from 'vitest';
import { stringify } from 'yaml';
import type { WrappingPublicKey } from '../../../../src/contract/enrolment.ts';
import { taskSchemas } from '../../../../src/contract/tasks.ts';
import { judge } from '../../../../src/contract/validate.ts';
import type { WorkloadComposeLaunchParams } from '../../../../src/contract/workload-compose-launch.ts';
import type { WorkloadProfile } from '../../../../src/manifests/gpuaas/profile.ts';
import { rendererNames } from '../../../../src/manifests/gpuaas/profile-execution.ts';
import { checkStackParams } from '../../../../src/policy/check-stack.ts';
import { adapterOf } from '../../../../src/server/adapters/index.ts';
import { renderers } from '../../../../src/server/adapters/renderers/index.ts';
import { adapterInput } from '../../../../src/server/launch/adapter-input.ts';
import { checkLaunch } from '../../../../src/server/launch/checks.ts';
import type { LaunchRequest } from '../../../../src/server/launch/launch-request.ts';
import { sealSecrets } from '../../../../src/server/launch/seal-secrets.ts';
import { smokeFacts, vllmFacts } from '../../../support/launch-samples.ts';
import { type Changes, smokeProfile, vllmProfile } from '../../../support/profiles.ts';
import { hostPolicy } from '../../../support/task-bench.ts';

const fixtures = join(resolve(import.meta.dirname, '../../../..'), 'fixtures/manifests/gpuaas');
const jwe = `${'a'.repeat(20)}..b.c.d`;
const placed = {
  ...{ instanceId: 'instance-1', nodeId: 'node-1' },
  ...{ sealedFiles: { '/run/secrets/hub_token': jwe }, sealedEnv: { VLLM_API_KEY: jwe } },
};

function rendered(profile: WorkloadProfile, request: Partial<LaunchRequest> = {}): WorkloadComposeLaunchParams {
  const facts = profile.profile.slug === 'smoke-stack' ? smokeFacts(request) : vllmFacts(request);
  const result = checkLaunch({ ...facts, profile });
  if (!result.ok) throw new Error(JSON.stringify(result.refusals));
  const secrets = profile.profile.slug === 'smoke-stack' ? { ...placed, sealedFiles: {}, sealedEnv: {} } : placed;
  const { type, params } = adapterOf('docker_compose').launch(adapterInput(result.launch, secrets));
  expect(type).toBe('workload.compose_launch');
  return params as WorkloadComposeLaunchParams;
}

const vllm = (request: Partial<LaunchRequest> = {}, changes: Changes = {}) => {
  const params = rendered(vllmProfile(changes), request);
  return { params, service: Object.values(params.document.services)[0] };
};

/** What is in the file, which UPDATE_GOLDEN=1 writes anew. */
function golden(name: string, text: string): string {
  const file = join(fixtures, name);
  if (process.env['UPDATE_GOLDEN'] === '1') writeFileSync(file, text);
  return readFileSync(file, 'utf8');
}

const launches: readonly [string, () => WorkloadComposeLaunchParams][] = [
  ['vllm-openai', () => vllm().params],
  [
    'vllm-openai-two-cards',
    () => {
      const config = {
        ...{ model: 'Qwen/Qwen2.5-72B-Instruct', served_model_name: 'qwen', max_model_len: 32_768, max_num_seqs: 64 },
        ...{ dtype: 'bfloat16', quantization: 'fp8', gpu_memory_utilization: 0.95, shm_gib: 32, host_port: 9000 },
        ...{ start_timeout_seconds: 7200, workspace_mount: 'project_storage' },
      };
      return vllm({ config, resource_overrides: { gpu_count: 2, cpu_cores: 16, memory_gib: 256 } }).params;
    },
  ],
  ['vllm-openai-folder', () => vllm({ config: { model_path: 'models/mine-7b', tensor_parallel_size: 1 } }).params],
  ['smoke-stack', () => rendered(smokeProfile())],
];

describe.each(launches)('the launch %s', (name, render) => {
  it('is rendered as the golden files show; UPDATE_GOLDEN=1 writes them anew (G-95, G-183)', () => {
    const params = render();
    const task = `${JSON.stringify(params, null, 2)}\n`;
    const document = stringify(params.document, { lineWidth: 0 });

    expect(params).toEqual(JSON.parse(golden(`${name}.out.json`, task)));
    expect(golden(`${name}.compose.yaml`, document)).toBe(document);
  });

  it('is accepted by the schema, with every image pinned (G-95)', () => {
    const params = render();

    expect(judge(taskSchemas['workload.compose_launch'].params, params)).toMatchObject({ ok: true });
    for (const { image } of Object.values(params.document.services)) {
      expect(image).toMatch(/^[^@\s]+@sha256:[0-9a-f]{64}$/);
    }
  });

  it('is accepted by the policy of a host', () => {
    const params = render();
    const allocation = { ...hostPolicy.allocation, id: params.identity.allocation_id };

    expect(() => checkStackParams(params, { ...hostPolicy, allocation, project_storage: true })).not.toThrow();
  });

  it('is the same each time, and says nothing that is secret', () => {
    expect(render()).toEqual(render());
    expect(JSON.stringify(render().document)).not.toContain(jwe);
  });
});

describe('the renderer of vLLM', () => {
  it('starts the server itself, and lets nobody say an argument (G-144)', () => {
    const { service } = vllm();

    expect(service?.entrypoint).toEqual(['vllm', 'serve']);
    expect(service?.command).toEqual([
      'mistralai/Mistral-Small-3.2-24B-Instruct-2506',
      ...['--host=0.0.0.0', '--port=8000', '--served-model-name=mistralai/Mistral-Small-3.2-24B-Instruct-2506'],
      ...['--tensor-parallel-size=1', '--gpu-memory-utilization=0.9', '--dtype=auto', '--max-num-seqs=256'],
      ...['--tokenizer-mode=mistral', '--config-format=mistral', '--load-format=mistral'],
    ]);
    const text = JSON.stringify(launches.map(([, render]) => render().document));
    expect(text).not.toMatch(/trust.remote.code|VLLM_SERVER_DEV_MODE|VLLM_API_KEY|--api-key/);
  });

  it('splits the model over all cards of the launch, or over fewer where that is said', () => {
    const two = { resource_overrides: { gpu_count: 2 } };

    expect(vllm(two).service?.command).toContain('--tensor-parallel-size=2');
    expect(vllm(two).service?.deploy?.resources.reservations.devices).toEqual([{ capabilities: ['gpu'], count: 2 }]);
    expect(vllm({ ...two, config: { tensor_parallel_size: 1 } }).service?.command).toContain(
      '--tensor-parallel-size=1',
    );
  });

  it('keeps models and caches in the workspace, and says how much memory cards share', () => {
    const { params, service } = vllm({ config: { shm_gib: 8 } });

    expect(service?.environment).toMatchObject({
      HF_HOME: '/workspace/huggingface',
      VLLM_CACHE_ROOT: '/workspace/vllm',
    });
    expect(service?.volumes).toEqual([{ type: 'volume', source: 'workspace', target: '/workspace', read_only: false }]);
    expect(params.document.volumes).toEqual({ workspace: { 'x-gpuaas': { mode: 'scratch' } } });
    expect(service?.shm_size).toBe(8 * 2 ** 30);
  });

  it('gives the key to the service that serves the endpoint, and its path to what reads a file (G-210)', () => {
    const { params, service } = vllm();

    expect(params.sealed_env).toEqual({ vllm: { VLLM_API_KEY: jwe } });
    expect(params.sealed_files).toEqual({ vllm: { '/run/secrets/hub_token': jwe } });
    expect(service?.environment).toMatchObject({ HF_TOKEN_PATH: '/run/secrets/hub_token' });
  });

  it('is ready when the engine lives and the model is listed, within the time that was given', () => {
    const { params, service } = vllm({ config: { start_timeout_seconds: 600 } });

    expect(params.readiness).toEqual([
      { type: 'http', endpoint: 'openai', path: '/health', timeout_seconds: 600 },
      { type: 'http', endpoint: 'openai', path: '/v1/models', timeout_seconds: 600, bearer_env: 'VLLM_API_KEY' },
    ]);
    expect(service?.healthcheck).toMatchObject({ start_period: '600s' });
  });

  it('serves a folder of the workspace in place of a model of the hub', () => {
    const { service } = vllm({ config: { model_path: 'models/mine-7b' } });

    expect(service?.command?.[0]).toBe('/workspace/models/mine-7b');
    expect(service?.command).toContain('--served-model-name=mine-7b');
  });

  it('says nothing of lengths and formats that the model itself knows', () => {
    const text = vllm().service?.command?.join(' ');

    expect(text).not.toMatch(/max-model-len|quantization/);
  });

  it('publishes on the loopback address, at the chosen port (G-123)', () => {
    const { service } = vllm({ config: { host_port: 9001 } });

    expect(service?.ports).toMatchObject([{ target: 8000, published: 9001, host_ip: '127.0.0.1' }]);
  });
});

describe('the docker_compose adapter', () => {
  it('has a renderer for every name that a manifest may use', () => {
    expect(Object.keys(renderers)).toEqual([...rendererNames]);
  });

  it.each([
    ['vLLM', vllmProfile()],
    ['the smoke test', smokeProfile()],
  ])('takes the renderer that the manifest names, and no other: %s (G-182)', (_app, profile) => {
    const asked = rendererNames.map((name) => ({ name, render: vi.spyOn(renderers[name], 'render') }));

    rendered(profile);

    const taken = asked.filter(({ render }) => render.mock.calls.length > 0).map(({ name }) => name);
    vi.restoreAllMocks();
    expect(taken).toEqual([profile.execution.compose?.renderer]);
  });

  it("carries the manifest's own topology, without what is secret of it (G-183)", () => {
    const { topology } = vllm().params;

    expect(topology).toEqual({
      description: 'Single-node OpenAI-compatible inference endpoint.',
      services: [{ name: 'vllm', role: 'openai_server', endpoints: ['openai'], mounts: ['workspace'] }],
    });
  });

  it('gives two services no more than was asked for, in the order that they depend on each other (G-132)', () => {
    const { document } = rendered(smokeProfile());
    const { web, watch } = document.services;

    expect((web?.cpus ?? 0) + (watch?.cpus ?? 0)).toBeLessThanOrEqual(0.5);
    expect((web?.mem_limit ?? 0) + (watch?.mem_limit ?? 0)).toBeLessThanOrEqual(0.5 * 2 ** 30);
    expect(watch?.depends_on).toEqual({ web: { condition: 'service_healthy' } });
    expect(web?.deploy ?? watch?.deploy).toBeUndefined();
  });

  it('hands a parameter without a meaning to every service, and one of the renderer to none', () => {
    const theme = { '/parameters/schema/properties/theme': { type: 'string', default: 'dark' } };
    const { watch } = rendered(smokeProfile(theme)).document.services;

    expect(watch?.environment).toEqual({ GPUAAS_PARAM_THEME: 'dark' });
    expect(JSON.stringify(vllm().service?.environment)).not.toContain('GPUAAS_PARAM');
  });

  it('renders control and removal that the contract accepts (G-154, G-155)', () => {
    const { identity } = rendered(smokeProfile());
    const adapter = adapterOf('docker_compose');

    for (const task of [adapter.control(identity, 'stop', {}), adapter.remove(identity, true)]) {
      expect(task.type).toMatch(/^workload\.compose_/);
      expect(judge(taskSchemas[task.type].params, task.params).ok).toBe(true);
    }
  });
});

it.each(['node_agent', 'docker_compose'])('%s gives a start as long as the launch had to get ready', (engine) => {
  const { identity } = rendered(smokeProfile());
  const deadline = (parameters: Record<string, unknown>) =>
    adapterOf(engine).control(identity, 'restart', parameters).deadline_seconds;

  expect(deadline({ start_timeout_seconds: 7200 }) - deadline({})).toBe(7200);
});

it('seals the key and the token of the hub for the node alone; only the key is told (G-210)', async () => {
  const { publicKey, privateKey } = await generateKeyPair('ECDH-ES', { crv: 'X25519', extractable: true });
  const key = (await exportJWK(publicKey)) as WrappingPublicKey;
  const open = async (sealed = '') => new TextDecoder().decode((await compactDecrypt(sealed, privateKey)).plaintext);

  const sealed = await sealSecrets(vllmProfile(), { hub_token: 'hf_canary' }, key);

  expect(sealed.tokens).toEqual([
    { endpoint: 'openai', token: expect.stringMatching(/^[0-9a-f]{48}$/), bearer_path: '/v1/models', url_query: null },
  ]);
  expect(await open(sealed.sealedEnv['VLLM_API_KEY'])).toBe(sealed.tokens[0]?.token);
  expect(await open(sealed.sealedFiles['/run/secrets/hub_token'])).toBe('hf_canary');
  expect(JSON.stringify([sealed.sealedEnv, sealed.sealedFiles])).not.toContain('canary');
});
