/** Manifests of Computalot projects, for tests. */

export const smallest = {
  version: 1,
  runtime: { kind: 'oci', sandbox: 'gvisor', workdir: '/workspace' },
  entrypoint: { command: ['python', 'job.py'] },
};

/** One with every field. */
export const whole = {
  ...smallest,
  build: { dockerfile: 'docker/Dockerfile', context: 'app', target: 'runtime', args: { PYTHON_VERSION: '3.11' } },
  runtime: {
    ...smallest.runtime,
    init: { commands: [{ label: 'sync deps', command: ['uv', 'sync'], cwd: '.', env: { UV_LINK_MODE: 'copy' } }] },
    services: [
      {
        ...{ name: 'Embed_der', command: ['python', '-m', 'embedder'], scope: 'task', restart: 'on_failure' },
        ...{ cwd: 'src', env: { PORT: '80' }, ready_timeout_s: 30, healthcheck: { command: ['python', '-c', 'x'] } },
      },
    ],
  },
  validation: {
    ...{ executables: ['python'], files: ['job.py', '/etc/passwd'] },
    commands: [{ label: 'numpy import', command: ['python', '-c', 'import numpy'] }],
  },
  requirements: {
    ...{ profile: 'gpu', gpu_count: 1, gpu_memory_mb: 24_576, cpu: 8, memory_mb: 16_384, storage_gb: 40 },
  },
  cache_mounts: [
    { name: 'hf-cache', scope: 'project_digest', path: '/cache/huggingface', class: 'model', max_bytes: 1024 },
    { name: 'pip-cache', scope: 'project_digest', path: '/cache/pip', class: 'pip', seed_from_image: true },
  ],
  data_sources: [
    {
      ...{ name: 'weights', source: 'huggingface', uri: 'hf://org/model-name', delivery: 'mount' },
      ...{ path: '/workspace/models/model-name', cache: 'hf-cache', required: true },
    },
  ],
  artifacts: {
    upload: [{ name: 'report', path: 'report.json', required: true }],
    outputs: [{ name: 'checkpoint', path: 'ckpt/latest.pt', type: 'checkpoint' }],
  },
};

/** A copy with a value at a JSON pointer of plain keys; undefined takes the key away. */
export function changed(document: object, pointer: string, value: unknown): Record<string, unknown> {
  const copy = structuredClone(document) as Record<string, unknown>;
  const keys = pointer.split('/').slice(1);
  const last = keys.pop() ?? '';
  const holder = keys.reduce<Record<string, unknown>>((at, key) => at[key] as Record<string, unknown>, copy);
  if (value === undefined) delete holder[last];
  else holder[last] = value;
  return copy;
}
