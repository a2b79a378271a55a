/** The seeded `vllm-openai` over the wire, on the stand-in of the ground: its image, versions that it can be made to fail with, and launches. */
import { freePort } from '../../bootstrap/dev/free-port.ts';
import { ensureImage } from '../../bootstrap/dev/images.ts';
import { ensureRegistry } from '../../bootstrap/dev/registry.ts';
import { vllmOpenai } from '../../src/manifests/gpuaas/seeds/vllm-openai.ts';
import { type OpenAi, openAiAt } from './open-ai.ts';
import { ok, type Person, type Wire } from './wire-ground.ts';

const { slug } = vllmOpenai;
const versions = `/api/v1/catalog/apps/${slug}/versions`;
export const model = 'Qwen/Qwen2.5-7B-Instruct';

/** Puts an image of the ground into the catalog, under the name by which manifests want it. */
export async function offerImage(
  admin: Person,
  engineSocket: string,
  image: Parameters<typeof ensureImage>[1],
  name: string,
): Promise<void> {
  const ground = { socketPath: engineSocket, host: (await ensureRegistry()).host };
  const [repository, digest] = (await ensureImage(ground, image)).reference.split('@');
  const media_type = 'application/vnd.docker.distribution.manifest.v2+json';
  const { id } = ok(await admin.call('POST', '/api/v1/artifacts', { name, repository, digest, media_type }));
  ok(await admin.call('POST', `/api/v1/artifacts/${id}/verify`));
  ok(await admin.call('POST', `/api/v1/artifacts/${id}/promote`, { channel: 'test' }));
}

/** The seeded profile on less of a host than a model needs, and with these variables for the stand-in. */
export async function publishVllm(admin: Person, version: string, environment: Readonly<Record<string, string>> = {}) {
  const { manifest } = ok(await admin.call('GET', `${versions}/${vllmOpenai.version}`));
  const { execution, parameters, resources } = manifest;
  const small = { type: 'number', minimum: 0.05, default: 0.1 };
  const seconds = { ...parameters.schema.properties.start_timeout_seconds, minimum: 1 };
  const properties = {
    ...{ ...parameters.schema.properties, start_timeout_seconds: seconds },
    host_port: { ...parameters.schema.properties.host_port, default: await freePort() },
    ...{
      cpu_cores: small,
      memory_gib: { ...small, default: 0.2 },
      shm_gib: { ...small, minimum: 0.0625, default: 0.0625 },
    },
  };
  const source = JSON.stringify({
    ...manifest,
    execution: { ...execution, container_env: { ...execution.container_env, ...environment } },
    parameters: { ...parameters, schema: { ...parameters.schema, properties } },
    resources: { ...resources, cpu: { min_cores: 0.1 }, memory: { min_gib: 0.1 } },
  });
  ok(await admin.call('POST', versions, { version, source }));
  ok(await admin.call('POST', `${versions}/${version}/publish`));
}

export interface Served {
  readonly id: string;
  /** Shown in the answer to the launch alone. */
  readonly key: string;
  readonly port: number;
  /** With its key. */
  readonly api: OpenAi;
  /** Without. */
  readonly open: OpenAi;
}

/** Launches it; resolves when it is accepted, whatever becomes of it. */
export async function launchVllm(
  wire: Pick<Wire, 'member' | 'allocationId'>,
  version: string,
  { config = {}, ...more }: { readonly config?: object; readonly secrets?: object } = {},
): Promise<Served> {
  const port = await freePort();
  const { id, credentials } = ok(
    await wire.member.call('POST', '/api/v1/app-instances', {
      ...{ app_slug: slug, app_version: version, display_name: 'My model' },
      placement_intent: { target_allocation_id: wire.allocationId },
      ...{ config: { host_port: port, model, ...config }, ...more },
    }),
  );
  const key = credentials[0].token as string;
  const origin = `http://127.0.0.1:${port}`;
  return { id, key, port, api: openAiAt(origin, key), open: openAiAt(origin) };
}
