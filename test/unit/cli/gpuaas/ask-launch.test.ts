/** The launch form at a terminal, against a real control plane. Whoever answers here is scripted; the form is not. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';
import { askLaunch, type Given } from '../../../../src/cli/gpuaas/ask-launch.ts';
import { ControlPlaneClient } from '../../../../src/cli/gpuaas/client.ts';
import type { Choice, Questions } from '../../../../src/cli/gpuaas/questions.ts';
import { seedCatalog } from '../../../../src/server/catalog/seed.ts';
import { allocationId, aNode, anArtifact, aVersion, runtimeStatus } from '../../../support/launch-samples.ts';
import { anAllocation, anInstance } from '../../../support/store-samples.ts';
import { type TestServer, testServer } from '../../../support/test-server.ts';

let server: TestServer;
const { version } = aVersion();
const second = `sha256:${'b'.repeat(64)}`;

beforeAll(async () => {
  server = await testServer();
  await server.store.write(async (tx) => {
    await seedCatalog(tx, Date.parse('2026-11-25T10:00:00.000Z'));
    await tx.allocations.insert(anAllocation({ node_id: 'node-1' }));
    await tx.nodes.insert(aNode({ runtime: runtimeStatus({ gpus: [] }) }));
    await tx.artifacts.insert(anArtifact({ lifecycle: 'published' }));
    await tx.artifacts.insert(anArtifact({ id: 'artifact-new', digest: second }));
    const resources = { gpu_count: 0, cpu_cores: 1, memory_gib: 1 };
    await tx.app_instances.insert(anInstance({ id: 'i1', resources, host_ports: { web: 8888 } }));
  });
});

/** What is typed or chosen, by label; what is not named here is left as it stands. Keeps all that was said and asked. */
function somebody(answers: Readonly<Record<string, readonly string[]>>) {
  const said: string[] = [];
  const asked: string[] = [];
  const offered: Record<string, readonly Choice<unknown>[]> = {};
  const left = new Map(Object.entries(answers).map(([label, all]) => [label, [...all]]));
  const next = (label: string) => left.get(Object.keys(answers).find((each) => label.startsWith(each)) ?? '')?.shift();
  const type = (label: string, initial: string, wrongWith: (text: string) => string | undefined) => {
    asked.push(label);
    for (let text = next(label) ?? initial; ; text = next(label) ?? initial) {
      const wrong = wrongWith(text);
      if (wrong === undefined) return Promise.resolve(text);
      said.push(`${label}: ${wrong}`);
      if (text === initial) return Promise.reject(new Error(`${label}: what stands there is refused: ${wrong}`));
    }
  };
  const questions: Questions = {
    say: (text) => void said.push(text),
    text: type,
    secret: (label, wrongWith) => type(label, '', wrongWith),
    choose: async (label, choices, initial) => {
      asked.push(label);
      offered[label] = choices;
      const wanted = next(label);
      const free = choices.filter(({ unavailable }) => unavailable === undefined);
      const usual = free.find(({ value }) => value === initial) ?? free[0];
      const chosen = wanted === undefined ? usual : free.find(({ name }) => name.startsWith(wanted));
      if (!chosen) throw new Error(`${label} does not offer ${wanted}`);
      return chosen.value;
    },
  };
  return { questions, said, asked, offered };
}

function ask(person: ReturnType<typeof somebody>, given: Given = {}, as = 'member', slug = 'jupyterlab') {
  const client = new ControlPlaneClient({ url: server.url, token: server.tokens[as] ?? '' });
  return askLaunch(client, { slug, version, project: undefined }, given, person.questions);
}

describe('launching JupyterLab at a terminal', () => {
  it('asks what the pages of the wizard ask, in their order, and launches what was answered (G-57, G-59)', async () => {
    const person = somebody({ 'GPU count': ['0'], Name: ['Mine'] });

    const body = await ask(person);

    expect(person.asked).toEqual([
      ...['Name', 'Allocation', 'Image', 'Python packages', 'GPU count', 'CPU cores', 'Memory GiB', 'Workspace mount'],
      ...['Exposure mode', 'Host port', 'All this'],
    ]);
    expect(person.said).toContain('\nTarget\nChoose the active allocation that will host this workload.');
    expect(body).toMatchObject({
      ...{ app_slug: 'jupyterlab', app_version: version, display_name: 'Mine', artifact_id: 'artifact-new' },
      placement_intent: { target_allocation_id: allocationId },
      resource_overrides: { gpu_count: 0, cpu_cores: 2, memory_gib: 4 },
    });
    const checks = await server.call('POST', '/api/v1/app-instances/checks', { as: 'member', body });
    expect(checks.body).toMatchObject({ accepted: true });
  });

  it('begins with a port that is free (G-55)', async () => {
    const body = await ask(somebody({ 'GPU count': ['0'] }));

    expect(body).toMatchObject({ config: { host_port: 8889 } });
  });

  it('says at once what is wrong with an answer, and asks again (G-53, G-175)', async () => {
    const person = somebody({
      'GPU count': ['-1', '0'],
      'CPU cores': ['1', 'two', '3'],
      'Python packages': ['numpy==2.4.4 --index-url=x', 'numpy==2.4.4'],
    });

    const body = await ask(person);

    expect(body).toMatchObject({
      config: { python_packages: 'numpy==2.4.4' },
      resource_overrides: { gpu_count: 0, cpu_cores: 3 },
    });
    expect(person.said.filter((text) => /^(GPU|CPU|Python)/.test(text))).toHaveLength(4);
  });

  it('shows what cannot be chosen, and why (G-54)', async () => {
    const person = somebody({ 'GPU count': ['0'] });

    await ask(person);

    expect(person.offered['Workspace mount']).toEqual([
      { name: 'scratch', value: 'scratch' },
      { name: 'project_storage', value: 'project_storage', unavailable: expect.stringMatching(/storage/) },
    ]);
  });

  it('does not ask for what options have answered', async () => {
    const person = somebody({});

    await ask(person, {
      ...{ target_allocation_id: allocationId, display_name: 'Given', config: { host_port: 9000 } },
      resource_overrides: { gpu_count: 0, cpu_cores: 2, memory_gib: 4 },
    });

    expect(person.asked).toEqual([...['Image', 'Python packages', 'Workspace mount', 'Exposure mode', 'All this']]);
  });

  it('cannot be launched while the server would refuse it, and goes back to the page that is wrong (G-116)', async () => {
    const person = somebody({ 'GPU count': ['0'] });
    const { text } = person.questions;
    let isTaken = false;
    const questions: Questions = {
      ...person.questions,
      text: async (label, initial, wrongWith) => {
        const answer = await text(label, initial, wrongWith);
        if (label === 'Host port' && !isTaken) {
          // Somebody else takes it, after it was offered.
          isTaken = true;
          const resources = { gpu_count: 0, cpu_cores: 1, memory_gib: 1 };
          const other = anInstance({ id: 'i2', resources, host_ports: { web: 8889 } });
          await server.store.write((tx) => tx.app_instances.insert(other));
        }
        return answer;
      },
    };

    const body = await ask({ ...person, questions });

    expect(person.said.filter((text) => text.startsWith('refused: /config/host_port'))).toHaveLength(1);
    expect(person.asked.filter((label) => label === 'Host port')).toHaveLength(2);
    expect(body).toMatchObject({ config: { host_port: 8890 } });
  });

  it('asks those who belong to no project for whom they launch', async () => {
    const person = somebody({ 'GPU count': ['0'], Project: ['one'] });

    expect(await ask(person, {}, 'operator')).toMatchObject({ project_id: 'p1' });
  });
});

describe('the command in a real terminal', () => {
  const bin = resolve(import.meta.dirname, '../../../../src/cli/bin/gpuaas');

  /** Presses a key whenever a question is shown; what was on the screen, and the exit status. */
  async function pressing(key: string): Promise<{ screen: string; status: number }> {
    const command = `${bin} apps instances launch jupyterlab --no-wait`;
    const env = { ...process.env, GPUAAS_URL: server.url, GPUAAS_TOKEN: server.tokens['member'] };
    const child: ChildProcess = spawn('script', ['-qefc', command, '/dev/null'], {
      env,
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    let screen = '';
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      screen += text;
      if (/\? [A-Z]/.test(stripVTControlCharacters(text))) child.stdin?.write(key);
    });
    const [status] = (await once(child, 'close')) as [number];
    return { screen, status };
  }

  it('launches with Enter alone, and leaves with Ctrl-C', async () => {
    const count = () => server.store.read((tx) => tx.app_instances.count());
    const before = await count();

    const left = await pressing('\u0003');
    expect(left.screen).toContain('command.left');
    expect(left.status).toBe(1);
    expect(await count()).toBe(before);

    const launched = await pressing('\r');
    expect(launched.screen).toContain('Token of endpoint web, shown this once');
    expect(launched.status).toBe(0);
    expect(await count()).toBe(before + 1);
  });
});
