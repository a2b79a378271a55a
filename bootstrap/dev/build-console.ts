/**
 * The console as the files that the control plane serves, made in memory: nothing of an older build can be left over.
 *
 * Scripts and styles carry a hash in their names, so that they may be kept for ever; the page that names them may not.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { build } from 'esbuild';
import type { ConsoleFile, ConsoleFiles } from '../../src/server/http/console-files.ts';

const root = resolve(import.meta.dirname, '../..');
const source = join(root, 'src/console');

const contentTypes: Readonly<Record<string, string>> = {
  js: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
};

export async function buildConsole(): Promise<ConsoleFiles> {
  return (await bundleConsole()).files;
}

async function bundleConsole() {
  const { outputFiles, metafile } = await build({
    ...{ entryPoints: [join(source, 'main.tsx')], outdir: '/assets', absWorkingDir: root, write: false },
    metafile: true,
    ...{ bundle: true, format: 'esm', target: ['es2022'], minify: true, entryNames: '[name]-[hash]' },
    ...{ jsx: 'automatic', jsxImportSource: 'preact', legalComments: 'none', logLevel: 'warning' },
  });
  const icon = { bytes: readFileSync(join(source, 'icon.svg')), contentType: 'image/svg+xml' };
  const files = new Map<string, ConsoleFile>([['/assets/icon.svg', icon]]);
  let page = readFileSync(join(source, 'index.html'), 'utf8');
  for (const { path, contents } of outputFiles) {
    const name = basename(path);
    const extension = name.slice(name.lastIndexOf('.') + 1);
    files.set(`/assets/${name}`, { bytes: contents, contentType: contentTypes[extension] ?? '', immutable: true });
    page = page.replace(`/assets/main.${extension}`, `/assets/${name}`);
  }
  files.set('/', { bytes: Buffer.from(page), contentType: 'text/html; charset=utf-8' });
  return { files, sources: Object.keys(metafile.inputs) };
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
