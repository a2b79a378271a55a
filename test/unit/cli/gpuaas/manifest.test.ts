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
