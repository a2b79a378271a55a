/** The example project by the very commands of docs/projects.md, with a real control plane, agent, gate and engine, under gVisor. */
import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ensureImage } from '../../bootstrap/dev/images.ts';
import { writeProject } from '../../bootstrap/dev/quickstart-project.ts';
import { ensureRegistry } from '../../bootstrap/dev/registry.ts';
import type { JobView } from '../../src/server/jobs/job-view.ts';
import { until } from '../support/daemon-ground.ts';
import { openProjectWire, type ProjectWire } from '../support/project-wire.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { ok } from '../support/wire-ground.ts';

const root = resolve(import.meta.dirname, '../..');
const page = readFileSync(join(root, 'docs/projects.md'), 'utf8');
/** Of each block of the page its commands. */
const blocks = [...page.matchAll(/```sh\n([\s\S]*?)```/g)].map(([, block = '']) => block.trim().split('\n'));
const folder = temporaryFolder('example-project');
const home = join(folder, 'home');
const project = join(folder, 'project');
let ground: ProjectWire;
let image: string;

beforeAll(async () => {
  ground = await openProjectWire(folder);
  const { socketPath } = ground.engine;
  ({ reference: image } = await ensureImage({ socketPath, host: (await ensureRegistry()).host }, 'python'));
  writeProject(project, image);
  mkdirSync(home);
  for (const line of blocks[0] ?? []) await typed(line);
}, 240_000);
afterAll(() => ground?.close());

/** As somebody types it whose home is another: the login and the folders of quickstart are those of the test. */
async function typed(line: string, job = ''): Promise<string> {
  const { wire, engine } = ground;
  const command = line
    .replace(/ +#.*/, '')
    .replace('npx ', '')
    .replace(/^\. \S+login$/, 'true')
    .replace('/var/lib/gpuaas-dev/quickstart/regression', project)
    .replace('/var/lib/gpuaas-dev/quickstart/agent.json', wire.configFile)
    .replace('JOB', job);
  const { exitCode, all } = await execa('sh', ['-eu', '-c', command], {
    ...{ cwd: folder, all: true, reject: false },
    env: {
      PATH: `${join(root, 'src/cli/bin')}:${process.env['PATH']}`,
      ...{ HOME: home, DOCKER_HOST: `unix://${engine.socketPath}` },
      ...{ GPUAAS_URL: wire.url, GPUAAS_TOKEN: wire.member.token },
    },
  });
  expect([command, exitCode, all]).toEqual([command, 0, expect.any(String)]);
  return all;
}

const call = (path: string) => ground.wire.member.call('GET', `/api/v1/jobs${path}`);

async function newest(): Promise<JobView> {
  return ok(await call('?limit=1')).items[0];
}

const resultOf = () => JSON.parse(readFileSync(join(home, 'result.json'), 'utf8'));

it('is pushed, built, run under gVisor and kept, by the commands of the page; the second time its cache has what it made (C-4, C-78 to C-80, X-15)', async () => {
  const [take = [], run = [], look = [], again = []] = blocks;
  // As somebody who goes through the page once more.
  for (const line of take) await typed(line);
  expect(readdirSync(join(home, 'regression'))).not.toContain('regression');

  const [valid, pushed, followed] = [await typed(run[0] ?? ''), await typed(run[1] ?? ''), await typed(run[2] ?? '')];

  expect(valid).toContain('valid');
  expect(followed).toContain(pushed.match(/sha256 [0-9a-f]{64}/)?.[0]);
  expect(followed).toMatch(/^task \| 5000 points, made now$/m);
  const first = await newest();
  const said = [];
  for (const line of look) said.push(await typed(line, first.id));
  expect(said.every((each) => each !== '')).toBe(true);
  expect(resultOf()).toMatchObject({ passes: 1500, begun_at: 0, was_cached: false, kernel: '4.4.0' });
  expect(resultOf().largest_error).toBeLessThan(0.1);
  expect(said.at(-1)).toContain('succeeded');

  const second = [];
  for (const line of again) second.push(await typed(line));
  expect(second[1]).toMatch(/^task \| 5000 points, from the cache$/m);
}, 300_000);

it('goes on from its checkpoint when it was killed (C-71, C-76)', async () => {
  const [payload = '', submit = '', artifacts = '', kill = '', logs = '', describe = ''] = blocks[4] ?? [];
  await typed(payload);
  await typed(submit);
  const { id } = await newest();
  const isThere = ({ name, state }: { name: string; state: string }) => name === 'checkpoint' && state === 'stored';
  // Asked without a process of its own each time: it is killed long before its end.
  await until(async () => ok(await call(`/${id}/artifacts`)).items.some(isThere), 'a checkpoint');

  await typed(kill, id);

  await typed(artifacts, id);
  await typed(logs, id);
  expect(await typed(describe, id)).toMatch(/^state +succeeded/m);
  rmSync(join(home, 'result.json'), { force: true });
  await typed('gpuaas jobs artifacts JOB result --output ~/result.json', id);
  expect(resultOf()).toMatchObject({ passes: 6000, was_cached: true });
  expect(resultOf().begun_at).toBeGreaterThan(0);
}, 300_000);

it('keeps its points also where another task, whose process has the same number, does so in between', async () => {
  const twice = `
import os, points
replace = os.replace
def after_another(draft, path):
    os.replace = replace
    points.load(8)
    replace(draft, path)
os.replace = after_another
points.load(8)
print(points.load(8)[1], os.listdir("/cache"), oct(os.stat("/cache/8.bin").st_mode))`;

  const said = await typed(
    `docker run --rm --network none --tmpfs /cache -e COMPUTALOT_CACHE_POINTS_DIR=/cache -v ${project}:/code:ro -w /code ${image} python -c '${twice}'`,
  );

  expect(said).toBe("True ['8.bin'] 0o100644");
});
