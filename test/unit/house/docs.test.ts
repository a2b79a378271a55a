/** Runs what the docs show: configuration examples, commands, links, codes. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { AgentConfig, configVariables, loadConfig } from '../../../src/agent/config.ts';
import { exitCodes } from '../../../src/cli/exit-codes.ts';
import { main } from '../../../src/cli/main.ts';
import { failureCodes } from '../../../src/contract/failures.ts';
import { taskTypes } from '../../../src/contract/tasks.ts';
import { hostChecks } from '../../../src/host/doctor.ts';
import { readDefinitionText } from '../../../src/manifests/nosana/read-definition.ts';
import { hostPolicy } from '../../support/task-bench.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

const root = resolve(import.meta.dirname, '../../..');
const docs = [
  'README.md',
  'ARCHITECTURE.md',
  'CHANGELOG.md',
  ...readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
];
const text = (file: string) => readFileSync(join(root, file), 'utf8');
const blocks = (file: string, language: string) =>
  [...text(file).matchAll(new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``, 'g'))].map(([, block = '']) => block);

const every = hostChecks({ policy: hostPolicy, stateDir: '/', askEngine: () => Promise.reject(), path: '' });
/** The last one is made only for whoever asks for it. */
const checks = [...every.map(({ name }) => name), 'gpu.sample'];

describe.each(docs)('%s', (file) => {
  it('links to files that exist', () => {
    const links = [...text(file).matchAll(/\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)/g)].map(([, target = '']) => target);

    expect(links.filter((target) => !existsSync(join(root, dirname(file), target)))).toEqual([]);
  });

  it('names source files that exist', () => {
    const named = [...text(file).matchAll(/`((?:src|test|bootstrap|bench|fixtures|docs)\/[\w./-]+\.\w+)`/g)].map(
      ([, name = '']) => name,
    );

    expect(named.filter((name) => !existsSync(join(root, name)))).toEqual([]);
  });

  it('names failure codes that exist', () => {
    const families = new Set(failureCodes.map((code) => code.split('.')[0]));
    const named = [...text(file).matchAll(/`([a-z]+)\.([a-z_]+)`/g)].filter(([, family = '']) => families.has(family));
    const cards = ['gpu.vanished', 'gpu.recovered', 'gpu.xid'];
    const events = [
      'image.progress',
      'readiness.waiting',
      'node.events_dropped',
      'node.changes_held',
      'cache.removed',
      'image.removed',
      'layers.removed',
      'egress.refused',
      'egress.restarted',
      ...cards,
    ];
    const fields = ['output.cleanup', 'build.dockerfile', 'build.context'];
    const known = new Set<string>([...failureCodes, ...taskTypes, ...events, ...checks, ...fields]);

    expect(
      named
        .map(([, family, rest]) => `${family}.${rest}`)
        // A file is no code.
        .filter((code) => !known.has(code) && !code.startsWith('engine.') && !code.endsWith('.json')),
    ).toEqual([]);
  });

  it('shows scripts of npm that exist', () => {
    const { scripts } = JSON.parse(text('package.json')) as { scripts: Record<string, string> };
    const named = [...text(file).matchAll(/npm (?:run ([\w:]+)|(test))\b/g)].map(
      ([, script, test]) => script ?? test ?? '',
    );

    expect(named.filter((name) => !(name in scripts))).toEqual([]);
  });
});

it('docs/jobs.md shows a job definition that is valid', () => {
  const [, shown = ''] = /job\.json <<'END'\n([\s\S]*?)END\n/.exec(text('docs/jobs.md')) ?? [];

  expect(readDefinitionText(shown)).toMatchObject({ ok: true, warnings: [] });
});

describe('docs/operators.md', () => {
  const folder = temporaryFolder('docs');

  it('shows configurations that load', async () => {
    const examples = blocks('docs/operators.md', 'json');

    expect(examples.length).toBeGreaterThan(0);
    for (const [index, example] of examples.entries()) {
      const file = join(folder, `${index}.json`);
      writeFileSync(file, example);
      await expect(loadConfig(file, {})).resolves.toMatchObject({ config: JSON.parse(example) });
    }
  });

  it('tells the defaults as they are', async () => {
    const file = join(folder, 'agent.json');
    writeFileSync(file, JSON.stringify({ allocation: { id: 'a', user: 'u' } }));
    const { config } = await loadConfig(file, {});
    const page = text('docs/operators.md');

    expect(page).toContain(`${config.limits.pids} processes, ${config.limits.open_files} open files`);
    expect(page).toContain(
      `${config.reserves.cpu_cores} cores, ${config.reserves.memory_gib} GiB memory, ${config.reserves.disk_gib} GiB disk`,
    );
    expect(page).toContain(`\`${config.network_pool}\``);
    expect(page).toContain(`${config.task_logs.max_size_mib} MiB, ${config.task_logs.max_tasks} tasks`);
  });

  it('names variables and exit statuses that exist', () => {
    const page = text('docs/operators.md');
    const known = new Set(['GPUAAS_AGENT_CONFIG', ...configVariables().map(({ name }) => name)]);
    const named = [...page.matchAll(/`(GPUAAS_AGENT_[A-Z_]*[A-Z])`/g)].map(([, name = '']) => name);
    const statuses = [...page.matchAll(/^\| (\d+) \|/gm)].map(([, status]) => Number(status));

    expect(named.filter((name) => !known.has(name))).toEqual([]);
    expect(statuses.sort((a, b) => a - b)).toEqual(Object.values(exitCodes).sort((a, b) => a - b));
    expect(Object.keys(AgentConfig.properties)).toContain('limits');
  });
});

describe('docs/tasks.md', () => {
  const commands = blocks('docs/tasks.md', 'sh')
    .flatMap((block) => block.split('\n'))
    .map((line) => line.replace(/#.*/, '').trim());
  const schemas = commands.filter((line) => line.startsWith('npx node-agent schema'));

  it.each(schemas)('shows a command that works: %s', async (command) => {
    const [, , ...args] = command.split(/\s+/);

    let said = '';
    vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
      said += String(text);
      return true;
    });

    const code = await main(args);
    vi.restoreAllMocks();

    expect(code).toBe(0);
    expect(said.length).toBeGreaterThan(100);
  });

  it('shows some', () => {
    expect(schemas.length).toBeGreaterThan(1);
  });
});

describe('docs/console.md', () => {
  const folder = join(root, 'src/console');
  const sources = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.tsx?$/.test(name))
    .map((name) => readFileSync(join(folder, name), 'utf8').replaceAll(/\s+/g, ' '))
    .join('\n');

  it('names what the console shows', () => {
    const page = text('docs/console.md').replaceAll(/\s+/g, ' ');
    const labels = [...page.matchAll(/\*\*([^*]+)\*\*/g)].map(([, label = '']) => label);

    expect(labels.length).toBeGreaterThan(20);
    expect(labels.filter((label) => !new RegExp(`['">] ?${label}[ ,'"<:]`).test(sources))).toEqual([]);
  });
});

describe('docs/decisions.md', () => {
  it('decides every question that the reference leaves open (G-238, G-241 to G-249)', () => {
    const records = text('docs/decisions.md').split(/^## /m).slice(1);
    const ids = records.map((record) => record.split(':')[0]);
    const parts = (record: string) => [...record.matchAll(/^- \*\*(.+?):\*\* \S/gm)].map(([, part]) => part);

    expect(ids).toEqual(['G-238', ...Array.from({ length: 9 }, (_, index) => `G-${241 + index}`)]);
    for (const record of records) {
      expect(parts(record)).toEqual(['Question', 'Decision', 'Why', 'What would change it']);
    }
  });
});
