/** The app `web` of the tests, in the catalog as an operator puts it there: a manifest, an image, everybody entitled. */

/** Small enough for many beside each other. What it does is in the image's recipe. */
export const webManifest = JSON.stringify({
  profile: {
    ...{ kind: 'gpuaas.launchable_oci_workload', schema_version: 'v1', slug: 'web', display_name: 'Web' },
    ...{ description: 'Serves a page and counts.', support_level: 'platform_curated' },
    launch_mode: 'existing_allocation',
  },
  artifacts: {
    primary_image: {
      ...{ source: 'platform_registry', artifact_name: 'web', digest_required: true },
      media_type: 'application/vnd.oci.image.manifest.v1+json',
    },
  },
  parameters: {
    schema: {
      type: 'object',
      properties: {
        data_mount: { type: 'string', enum: ['scratch'], default: 'scratch' },
        host_port: { type: 'integer', minimum: 1024, maximum: 65535, default: 8080 },
        gpu_count: { type: 'integer', minimum: 0, default: 0 },
        cpu_cores: { type: 'number', minimum: 0.1, default: 0.1 },
        memory_gib: { type: 'number', minimum: 0.0625, default: 0.0625 },
        wait_seconds: { type: 'integer', minimum: 0, maximum: 60, default: 0 },
        mode: { type: 'string', enum: ['serve', 'fail'], default: 'serve' },
      },
    },
  },
  resources: {
    gpu: { min_count: 0, default_count: 0, placement: 'allocation_local' },
    cpu: { min_cores: 0.1 },
    memory: { min_gib: 0.0625 },
  },
  storage: { mounts: [{ name: 'data', path: '/data', required: true, modes: ['scratch'] }] },
  network: {
    endpoints: [
      {
        ...{ name: 'web', port: 8080, protocol: 'http', exposure_modes: ['private'] },
        auth: { mode: 'generated_token', token_file_env: 'WEB_TOKEN_FILE', url_query: 'token' },
      },
    ],
  },
  execution: {
    default_engine: 'node_agent',
    container_env: {},
    supported_engines: [{ engine: 'node_agent', adapter: 'oci_container', status: 'active' }],
  },
  outputs: { endpoints: [{ name: 'web', source: 'network.endpoints.web' }] },
  validation: {
    readiness: [{ name: 'answers', type: 'http', endpoint: 'web', path: '/', timeout_seconds: 90 }],
    smoke: [{ name: 'container_running', type: 'adapter_status', status: 'running' }],
  },
});

const mediaType = 'application/vnd.docker.distribution.manifest.v2+json';

type Call = (method: string, path: string, body?: unknown) => Promise<{ readonly id: string }>;

/** Adds app, version and image. */
export async function addWebApp(call: Call, reference: string): Promise<void> {
  const [repository, digest] = reference.split('@');
  const artifact = await call('POST', '/api/v1/artifacts', { name: 'web', repository, digest, media_type: mediaType });
  await call('POST', `/api/v1/artifacts/${artifact.id}/verify`);
  await call('POST', `/api/v1/artifacts/${artifact.id}/promote`, { channel: 'test' });
  await call('POST', '/api/v1/catalog/apps', {
    ...{ slug: 'web', display_name: 'Web', summary: 'Serves a page.', category: 'test' },
  });
  await call('POST', '/api/v1/catalog/apps/web/versions', { version: '1.0', source: webManifest });
  await call('POST', '/api/v1/catalog/apps/web/versions/1.0/publish');
  await call('POST', '/api/v1/entitlements', { app_slug: 'web', project_id: null });
}
