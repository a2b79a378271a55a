/** Keeps the rooms of src/ apart: who may import whom, and which room owns which package. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';

const root = resolve(import.meta.dirname, '../../..');
const src = join(root, 'src');

const mayImport: Record<string, readonly string[]> = {
  contract: [],
  kit: [],
  policy: ['contract'],
  manifests: ['contract', 'policy'],
  host: ['contract', 'kit'],
  egress: ['contract', 'kit', 'policy'],
  gate: ['contract', 'kit', 'policy'],
  runtime: ['contract', 'kit', 'policy', 'host'],
  // What the host transfers for a job goes by the same guard as what the job sends itself.
  jobs: ['contract', 'kit', 'policy', 'egress', 'host', 'runtime'],
  tasks: ['contract', 'kit', 'policy', 'host', 'runtime', 'jobs'],
  agent: ['contract', 'kit', 'policy', 'host', 'gate', 'runtime', 'jobs', 'tasks'],
  server: ['contract', 'kit', 'policy', 'manifests'],
  console: ['contract'],
  cli: [
    'contract',
    'kit',
    'policy',
    'egress',
    'host',
    'gate',
    'runtime',
    'jobs',
    'tasks',
    'agent',
    'server',
    'manifests',
  ],
};

/** Packages that belong to certain folders only. */
const owners: Record<string, readonly string[]> = {
  dockerode: ['runtime/docker'],
  'docker-modem': ['runtime/docker'],
  // Not `host`: what each start of the agent runs must not load it, 3 MB that stay.
  execa: ['runtime/compose', 'agent/update'],
  'node:sqlite': ['agent/journal', 'server/db'],
  'node:child_process': ['host'],
  commander: ['cli'],
  pino: ['kit', 'agent'],
  ajv: ['contract'],
  re2js: ['manifests/nosana', 'policy', 'jobs'],
  'tar-stream': ['jobs'],
  yaml: ['manifests', 'server/adapters', 'host'],
  systeminformation: ['host'],
  '@huggingface/hub': ['jobs/inputs'],
  aws4fetch: ['jobs/inputs'],
  jose: ['agent', 'server'],
  ws: ['agent', 'server'],
  fastify: ['server/http'],
  preact: ['console'],
  'prom-client': ['agent', 'server'],
};

/**
 * The page also takes what forms are made of and documents are judged by, so that it gives the verdict of the server, and the
 * types of the server's answers, which are gone before it runs.
 */
function consoleMay({ file, specifier, typeOnly }: Import): boolean {
  const target = targetOf(file, specifier);
  return target.startsWith('manifests/') || (typeOnly && target.startsWith('server/'));
}

/** Belongs to no room: it says which version this is. */
const packageFile = '../package.json';

/** Nothing in here may touch the world. */
const pureRooms = ['contract', 'policy', 'manifests'];
const worldly = /^node:(fs|net|http|https|child_process|os|dgram|tls|worker_threads|cluster|dns)(\/|$)/;

const statement = /(?:^|\n)\s*(?:import|export)(\s+type)?\s[^;]*?from\s+'([^']+)'/g;
const call = /import\(\s*'([^']+)'\s*\)|(?:^|\n)import\s+'([^']+)'/g;

interface Import {
  readonly file: string;
  readonly specifier: string;
  /** Erased before the program runs. */
  readonly typeOnly: boolean;
}

const files = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter((name) => /\.tsx?$/.test(name));
const imports = files.flatMap((file) => importsOf(join(src, file)).map((found) => ({ file, ...found })));

describe('the rooms of src/', () => {
  it('are the ones that the table knows', () => {
    const rooms = new Set(files.map(roomOf));

    expect([...rooms].filter((room) => !(room in mayImport))).toEqual([]);
  });

  it('import only in the allowed direction', () => {
    const wrong = imports.filter((found) => {
      const { file, specifier } = found;
      const target = targetRoom(file, specifier);
      const isFree = target === undefined || target === roomOf(file) || mayImport[roomOf(file)]?.includes(target);
      return !isFree && !(roomOf(file) === 'console' && consoleMay(found));
    });

    expect(wrong).toEqual([]);
  });

  it('leave packages to their owners', () => {
    const wrong = imports.filter(({ file, specifier }) => {
      const folders = owners[packageOf(specifier)];
      return folders !== undefined && !folders.some((folder) => dirname(file).startsWith(folder));
    });

    expect(wrong).toEqual([]);
  });

  it('keep product and engines apart: who judges a launch knows no adapter, only what one is (G-14)', () => {
    const product = ['contract/', 'manifests/', 'server/launch/', 'server/catalog/', 'server/artifacts/'];
    const isEngine = (target: string) =>
      target.startsWith('server/adapters/') && target !== 'server/adapters/adapter.ts';
    const engines = imports
      .filter(({ specifier }) => specifier.startsWith('.'))
      .map(({ file, specifier }) => ({ file, target: relative(src, resolve(src, dirname(file), specifier)) }))
      .filter(({ target }) => isEngine(target));

    expect(engines.filter(({ file }) => product.some((folder) => file.startsWith(folder)))).toEqual([]);
    expect(engines.map(({ file }) => file)).toContain('server/instances/judge-launch.ts');
  });

  it('keep contract, policy and manifests free of input and output', () => {
    const wrong = imports.filter(({ file, specifier }) => pureRooms.includes(roomOf(file)) && worldly.test(specifier));

    expect(wrong).toEqual([]);
  });

  it('have no import cycles at run time', () => {
    const graph = new Map(files.map((file) => [file, new Set<string>()]));
    for (const { file, specifier, typeOnly } of imports) {
      if (specifier.startsWith('.') && !typeOnly) {
        graph.get(file)?.add(relative(src, resolve(src, dirname(file), specifier)));
      }
    }

    expect(findCycle(graph)).toEqual([]);
  });

  it('let a browser have the form of an app without the packages that schemas are made and judged with', () => {
    const reached = new Set(['manifests/gpuaas/form-answers.ts', 'manifests/gpuaas/field-text.ts']);
    const packages = new Set<string>();
    for (const file of reached) {
      for (const { specifier } of imports.filter((each) => each.file === file && !each.typeOnly)) {
        if (specifier.startsWith('.')) reached.add(relative(src, resolve(src, dirname(file), specifier)));
        else packages.add(specifier);
      }
    }

    expect([...packages]).toEqual([]);
    expect([...reached]).toContain('manifests/gpuaas/resolve-values.ts');
  });

  it('finds imports at all: a known one is seen', () => {
    expect(imports).toContainEqual({ file: 'agent/dispatch.ts', specifier: '../tasks/index.ts', typeOnly: false });
  });
});

function importsOf(file: string): Omit<Import, 'file'>[] {
  const source = readFileSync(file, 'utf8');
  return [
    ...[...source.matchAll(statement)].map(([, type, specifier = '']) => ({ specifier, typeOnly: type !== undefined })),
    ...[...source.matchAll(call)].map(([, dynamic, bare]) => ({ specifier: dynamic ?? bare ?? '', typeOnly: false })),
  ];
}

function roomOf(file: string): string {
  return file.split('/')[0] ?? '';
}

function targetRoom(file: string, specifier: string): string | undefined {
  const target = targetOf(file, specifier);
  return specifier.startsWith('.') && target !== packageFile ? roomOf(target) : undefined;
}

function targetOf(file: string, specifier: string): string {
  return relative(src, resolve(src, dirname(file), specifier));
}

function packageOf(specifier: string): string {
  const parts = specifier.split('/');
  return specifier.startsWith('@') ? parts.slice(0, 2).join('/') : (parts[0] ?? '');
}

function findCycle(graph: Map<string, Set<string>>): string[] {
  const done = new Set<string>();
  const visit = (node: string, trail: string[]): string[] => {
    if (trail.includes(node)) {
      return [...trail.slice(trail.indexOf(node)), node];
    }
    if (done.has(node)) {
      return [];
    }
    for (const next of graph.get(node) ?? []) {
      const cycle = visit(next, [...trail, node]);
      if (cycle.length > 0) {
        return cycle;
      }
    }
    done.add(node);
    return [];
  };
  for (const node of graph.keys()) {
    const cycle = visit(node, []);
    if (cycle.length > 0) {
      return cycle;
    }
  }
  return [];
}
