/**
 * The console as the files that the control plane serves, made in memory: nothing of an older build can be left over.
 *
 * Scripts and styles carry a hash in their names, so that they may be kept for ever; the page that names them may not.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, extname, join, resolve } from 'node:path';
import { Ajv } from 'ajv';
import standaloneCode from 'ajv/dist/standalone/index.js';
import { build, type Metafile, type Plugin } from 'esbuild';
import { JobPlan } from '../../src/contract/job-plan.ts';
import { shareRepeated } from '../../src/contract/share-repeated.ts';
import { judging } from '../../src/contract/validate.ts';
import { JobDefinition } from '../../src/manifests/nosana/definition.ts';
import type { ConsoleFile, ConsoleFiles } from '../../src/server/http/console-files.ts';

const root = resolve(import.meta.dirname, '../..');
const source = join(root, 'src/console');

const contentTypes: Readonly<Record<string, string>> = {
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
};

/**
 * What `judge` finds in place of the compiler of schemas: its content security policy lets the page make no code, so the
 * schemas that documents are judged by there are compiled here, in the same way.
 */
const compiledSchemas: Plugin = {
  name: 'compiled-schemas',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^ajv$/ }, () => ({ path: 'ajv', namespace: 'compiled' }));
    onLoad({ filter: /./, namespace: 'compiled' }, () => ({ contents: compilerOfThePage(), resolveDir: root }));
  },
};

function compilerOfThePage(): string {
  const schemas = { definition: shareRepeated(JobDefinition), plan: shareRepeated(JobPlan) };
  const ajv = new Ajv({ ...judging, schemas, code: { source: true, esm: true } });
  return `
    ${standaloneCode.default(ajv, { definition: 'definition', plan: 'plan' })}
    import { JobPlan } from './src/contract/job-plan.ts';
    import { shareRepeated } from './src/contract/share-repeated.ts';
    import { JobDefinition } from './src/manifests/nosana/definition.ts';
    const compiled = new Map([[shareRepeated(JobDefinition), definition], [shareRepeated(JobPlan), plan]]);
    export class Ajv {
      compile(schema) {
        if (compiled.has(schema)) return compiled.get(schema);
        throw new Error('no document is judged by this schema in the page');
      }
    }`;
}

const options = {
  ...{ entryPoints: { main: join(source, 'main.tsx') }, outdir: '/assets', absWorkingDir: root, bundle: true },
  ...{ target: 'es2022', jsxImportSource: 'preact', entryNames: '[name]-[hash]', chunkNames: 'part-[hash]' },
  ...{ plugins: [compiledSchemas], minify: true, metafile: true as const, write: false as const },
  ...{
    format: 'esm' as const,
    jsx: 'automatic' as const,
    legalComments: 'none' as const,
    logLevel: 'warning' as const,
  },
};

export async function buildConsole(): Promise<ConsoleFiles> {
  return (await bundleConsole()).files;
}

async function bundleConsole() {
  // Styles come as one file at once: esbuild would not load those of a part that comes later.
  const whole = await build(options);
  const parts = await build({ ...options, splitting: true, loader: { '.css': 'empty' } });
  const styles = whole.outputFiles.filter(({ path }) => path.endsWith('.css'));
  const files = new Map<string, ConsoleFile>();
  for (const { path, contents } of [...parts.outputFiles, ...styles]) {
    const contentType = contentTypes[extname(path)] ?? '';
    files.set(`/assets/${basename(path)}`, { bytes: contents, contentType, immutable: true });
  }
  const bytes = readFileSync(join(source, 'icon.svg'));
  files.set('/assets/icon.svg', { bytes, contentType: 'image/svg+xml' });
  const page = pageWith(firstScripts(parts.metafile), basename(styles[0]?.path ?? ''));
  files.set('/', { bytes: Buffer.from(page), contentType: 'text/html; charset=utf-8' });
  return { files, sources: Object.keys(whole.metafile.inputs) };
}

/** The script of the page, and behind it all that it needs at once: named in the page, they come side by side. */
function firstScripts({ outputs }: Metafile): string[] {
  const [entry = ''] = Object.keys(outputs).filter((path) => outputs[path]?.entryPoint?.endsWith('main.tsx'));
  const needed = new Set([entry]);
  for (const path of needed) {
    for (const { path: other, kind } of outputs[path]?.imports ?? [])
      if (kind === 'import-statement') needed.add(other);
  }
  return [...needed].map((path) => basename(path));
}

function pageWith([script = '', ...others]: readonly string[], style: string): string {
  const ahead = others.map((name) => `<link rel="modulepreload" href="/assets/${name}">`);
  return readFileSync(join(source, 'index.html'), 'utf8')
    .replace('/assets/main.js', `/assets/${script}`)
    .replace('/assets/main.css', `/assets/${style}`)
    .replace('  </head>', `    ${ahead.join('\n    ')}\n  </head>`);
}

/** Writes it into a folder of its own, as a release has it beside its program; returns the files that it is made of. */
export async function writeConsole(folder: string): Promise<readonly string[]> {
  const { files, sources } = await bundleConsole();
  rmSync(folder, { recursive: true, force: true });
  for (const [path, { bytes }] of files) {
    const file = join(folder, path === '/' ? 'index.html' : path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, bytes);
  }
  return sources;
}
