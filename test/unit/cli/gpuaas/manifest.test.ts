import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { gpuaas } from '../../../../src/cli/gpuaas-main.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';

const folder = join(resolve(import.meta.dirname, '../../../..'), 'fixtures/manifests/gpuaas');
const digest = `sha256:${'b'.repeat(64)}`;
const own = temporaryFolder('manifest');
let printed: string[];
let told: string[];

beforeEach(() => {
  printed = [];
  told = [];
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => printed.push(String(text)) > 0);
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => told.push(String(text)) > 0);
});
afterEach(() => {
  vi.restoreAllMocks();
});

function file(name: string, text: string): string {
  writeFileSync(join(own, name), text);
  return join(own, name);
}

it('renders a stack offline, with the image that a pin resolves', async () => {
  const values = file(
    'values.json',
    JSON.stringify({ config: { host_port: 9000 }, resource_overrides: { gpu_count: 2 } }),
  );
  const pin = `vllm-openai-cuda=registry.example.com/curated/vllm@${digest}`;

  const status = await gpuaas([
    'manifest',
    'render',
    join(folder, 'vllm-openai.yaml'),
    '--values',
    values,
    '--pin',
    pin,
  ]);

  const { tasks, unresolved } = JSON.parse(printed.join(''));
  expect({ status, unresolved }).toEqual({ status: 0, unresolved: [] });
  expect(tasks[0].type).toBe('workload.compose_launch');
  expect(tasks[0].params.document.services.vllm).toMatchObject({
    image: `registry.example.com/curated/vllm@${digest}`,
    ports: [{ published: 9000 }],
    deploy: { resources: { reservations: { devices: [{ count: 2 }] } } },
  });
});

it('lists an image that nothing resolves, of a stack and of a single container', async () => {
  for (const [name, reference] of [
    ['smoke-stack', 'runtime-cpu'],
    ['jupyterlab', 'runtime-cpu'],
  ]) {
    printed = [];
    expect(await gpuaas(['manifest', 'render', join(folder, `${name}.yaml`)])).toBe(0);
    expect(JSON.parse(printed.join('')).unresolved).toEqual([
      { path: '/artifacts/primary_image/artifact_name', reference },
    ]);
  }
});

it('refuses values that a launch would not take, and pins without a digest', async () => {
  const values = file('wrong.json', JSON.stringify({ config: { tensor_parallel_size: 4 } }));

  expect(await gpuaas(['manifest', 'render', join(folder, 'vllm-openai.yaml'), '--values', values])).toBe(1);
  expect(told.join('')).toContain('/config/tensor_parallel_size: must be from 1 to 1');
  expect(await gpuaas(['manifest', 'render', join(folder, 'vllm-openai.yaml'), '--pin', 'a=b:latest'])).toBe(2);
  const other = `other=registry.example.com/a@sha256:${'a'.repeat(64)}`;
  expect(await gpuaas(['manifest', 'render', join(folder, 'vllm-openai.yaml'), '--pin', other])).toBe(2);
  expect(told.join('')).toContain('and no other.');
});

it('says of each file whether it is valid, and all that is wrong', async () => {
  const broken = file('broken.yaml', 'profile: {kind: gpuaas.launchable_oci_workload, schema_version: v1}');

  expect(await gpuaas(['manifest', 'validate', join(folder, 'vllm-openai.yaml'), broken, '--json'])).toBe(1);

  const [good, bad] = printed
    .join('')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(good).toEqual({
    ...{ file: join(folder, 'vllm-openai.yaml'), dialect: 'gpuaas', valid: true },
    errors: [],
    warnings: [],
  });
  expect(bad.errors).toContainEqual(expect.objectContaining({ path: '/artifacts', code: 'required' }));
  expect(await gpuaas(['manifest', 'validate', join(own, 'nothing.yaml')])).toBe(2);
});

it('says in which line a fault stands, in YAML and in JSON, and of what is missing where it is missing from', async () => {
  const yaml = readFileSync(join(folder, 'jupyterlab.yaml'), 'utf8')
    .replace('support_level: platform_curated', 'support_level: gold')
    .replace('      port: 8888\n', '')
    .replace('  placement: allocation_local', '  placement: allocation_local\n    extra: 1');
  const json = '{\n  "profile": {\n    "kind": "gpuaas.launchable_oci_workload",\n    "slug": 7\n  }\n}';

  expect(await gpuaas(['manifest', 'validate', file('lines.yaml', yaml), '--json'])).toBe(1);
  expect(await gpuaas(['manifest', 'validate', file('lines.json', json), '--json'])).toBe(1);
  expect(await gpuaas(['manifest', 'validate', file('lines.yaml', yaml)])).toBe(1);

  const [first = '', second = '', ...spoken] = printed;
  const places = (verdict: string) =>
    JSON.parse(verdict).errors.map(({ path, line, column }: Record<string, unknown>) => `${path} ${line}:${column}`);
  const lineOf = (part: string) => yaml.split('\n').findIndex((line) => line.includes(part)) + 1;
  expect(places(first)).toEqual(
    expect.arrayContaining([
      `/profile/support_level ${lineOf('support_level')}:3`,
      `/resources/gpu/extra ${lineOf('extra')}:5`,
    ]),
  );
  expect(places(second)).toEqual(expect.arrayContaining(['/profile/slug 4:5', '/profile/schema_version 2:3']));
  expect(spoken.join('')).toContain(`${lineOf('support_level')}:3 /profile/support_level must be one of`);
});

it('looks at every file, also behind one that cannot be read', async () => {
  const good = join(folder, 'jupyterlab.yaml');

  expect(await gpuaas(['manifest', 'validate', join(own, 'nothing.yaml'), good])).toBe(2);

  expect(printed.join('')).toContain(`${good}: valid`);
  expect(told.join('')).toContain('nothing.yaml cannot be read (ENOENT)');
});

it('prints the schema of profiles as it is published, and knows no other dialect (G-21)', async () => {
  const published = join(folder, '../../../docs/schemas/launchable_oci_workload_profile.v1.schema.json');

  expect(await gpuaas(['manifest', 'schema', 'gpuaas'])).toBe(0);
  expect(printed.join('')).toBe(readFileSync(published, 'utf8'));
  expect(await gpuaas(['manifest', 'schema', 'helm'])).toBe(2);
});

const jobs = join(folder, '../nosana');

it('knows by itself of which kind a manifest is, unless it is told', async () => {
  const job = join(jobs, 'groups.in.json');
  const neither = file('neither.json', '{"apiVersion": "v1"}');

  expect(await gpuaas(['manifest', 'validate', '--json', join(folder, 'jupyterlab.yaml'), job, neither])).toBe(1);
  expect(await gpuaas(['manifest', 'validate', '--json', '--dialect', 'gpuaas', job])).toBe(1);

  const [profile, definition, foreign, forced] = printed.map((line) => JSON.parse(line));
  expect([profile.dialect, definition.dialect, definition.valid]).toEqual(['gpuaas', 'nosana', true]);
  expect(foreign).toMatchObject({ dialect: null, errors: [{ path: '', code: 'unknown_dialect' }] });
  expect(forced).toMatchObject({ dialect: 'gpuaas', valid: false });
  expect(await gpuaas(['manifest', 'validate', '--dialect', 'helm', job])).toBe(2);
});

it('says in which line of a job definition a fault stands', async () => {
  const text =
    '{\n  "version": "0.1",\n  "type": "container",\n  "ops": [\n    {"type": "container/run", "id": "a", "args": {}}\n  ]\n}';

  expect(await gpuaas(['manifest', 'validate', '--json', file('job.json', text)])).toBe(1);

  expect(JSON.parse(printed.join('')).errors).toEqual([
    { path: '/ops/0/args/image', code: 'required', message: expect.any(String), line: 5, column: 42 },
  ]);
});

it('renders a job definition as a plan, with the images that pins resolve', async () => {
  const definition = join(jobs, 'image-names.in.json');

  const pins = [`ubuntu=${digest}`, `owner/name:1.2=mirror.example.com/name@${digest}`].flatMap((pin) => [
    '--pin',
    pin,
  ]);
  expect(await gpuaas(['manifest', 'render', definition, ...pins])).toBe(0);

  const { plan, unresolved } = JSON.parse(printed.join(''));
  expect(unresolved).toEqual([{ path: '/ops/2/args/image', reference: 'registry.example.com:5000/team/app:latest' }]);
  expect(plan.images.map(({ source }: { source: { reference: string } }) => source.reference).slice(0, 2)).toEqual([
    `docker.io/library/ubuntu@${digest}`,
    `mirror.example.com/name@${digest}`,
  ]);
  expect(plan.identity).toMatchObject({ dialect: 'nosana', document_sha256: expect.stringMatching(/^[0-9a-f]{64}$/) });
  expect(await gpuaas(['manifest', 'render', definition, '--pin', `debian=${digest}`])).toBe(2);
  expect(await gpuaas(['manifest', 'render', definition, '--values', definition])).toBe(2);
  expect(await gpuaas(['manifest', 'render', join(folder, 'jupyterlab.yaml'), '--pin', `runtime-cpu=${digest}`])).toBe(
    2,
  );
});

it('renders a job definition with what a submission takes where nobody says otherwise, and says what its host decides', async () => {
  const definition = join(jobs, 'groups.in.json');

  expect(await gpuaas(['manifest', 'render', definition])).toBe(0);

  const { plan, decided_later } = JSON.parse(printed.join(''));
  expect(plan).toMatchObject({ sandbox: 'runc', on_failure: 'stop', deadline_seconds: 86_400, keep: false });
  expect(decided_later.slice(0, 2)).toEqual(
    ['cpu_cores', 'memory_gib'].map((name) => ({
      path: `/plan/resources/${name}`,
      reason: expect.stringContaining('a share of the host'),
    })),
  );
  expect(decided_later).toHaveLength(2 * (1 + plan.steps.length));
});

it('renders a project with what it asks for itself, and says only of the rest that its host decides', async () => {
  const file = join(temporaryFolder('render-project'), 'computalot.project.json');
  const project = (requirements: object) => ({
    ...{ version: 1, runtime: { kind: 'oci', sandbox: 'gvisor', workdir: '/workspace' } },
    ...{ entrypoint: { command: ['python', 'job.py'] }, requirements },
  });
  const rendered = async (requirements: object) => {
    writeFileSync(file, JSON.stringify(project(requirements)));
    printed.length = 0;
    expect(await gpuaas(['manifest', 'render', file])).toBe(0);
    const { plan, decided_later } = JSON.parse(printed.join(''));
    return {
      resources: plan.resources,
      sandbox: plan.sandbox,
      later: decided_later.map(({ path }: { path: string }) => path),
    };
  };

  const whole = await rendered({ cpu: 2, memory_mb: 512 });
  const some = await rendered({ gpu_count: 1, gpu_memory_mb: 24_576, cpu: 2 });

  expect(whole).toEqual({
    ...{ resources: { gpu_count: 0, cpu_cores: 2, memory_gib: 0.5 }, sandbox: 'gvisor', later: [] },
  });
  expect(some.resources).toEqual({ gpu_count: 1, cpu_cores: 2, memory_gib: 1 });
  expect(some.later).toEqual(['/plan/resources/memory_gib', '/plan/steps/0/resources/memory_gib']);
});

it('prints no secret of a job definition', async () => {
  for (const name of ['hf-private', 's3-key', 'registry-account']) {
    expect(await gpuaas(['manifest', 'render', join(jobs, `${name}.in.json`)])).toBe(0);
  }
  expect(printed.join('')).not.toMatch(/hf_secret|"secret"|"p"/);
});

it('prints the schema of job definitions as it is published', async () => {
  const published = join(folder, '../../../docs/schemas/nosana_job_definition.v0.1.schema.json');

  expect(await gpuaas(['manifest', 'schema', 'nosana'])).toBe(0);
  expect(printed.join('')).toBe(readFileSync(published, 'utf8'));
});
