/**
 * `npm run build`: the agent as one file, `dist/node-agent.mjs`, and the control plane with its commands, `dist/gpuaas.mjs` and
 * `dist/console/`, each with its source map and the licences of what is in it beside it. They need the pinned Node and nothing else:
 * no node_modules, no native addon. `node --enable-source-maps` gives stack traces in terms of the sources.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { join, resolve } from 'node:path';
import { build, type Plugin, transform } from 'esbuild';
import { leftOutOfDockerode } from '../../src/runtime/docker/load-dockerode.ts';
import { writeConsole } from './build-console.ts';
import { licencesOf } from './licences.ts';

const root = resolve(import.meta.dirname, '../..');

/**
 * The same modules that `load-dockerode.ts` leaves out when the sources run unbuilt; and what Hugging Face's client cuts files into
 * pieces with where it uploads, which nobody here does.
 */
const leaveOut: Plugin = {
  name: 'left out of dockerode and of the client of Hugging Face',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^[^./]/ }, ({ path, importer }) => {
      const isLeftOut =
        (leftOutOfDockerode.has(path) && importer.includes('/dockerode/')) ||
        (path === '@huggingface/xetchunk-wasm' && importer.includes('/@huggingface/hub/'));
      return isLeftOut ? { path, namespace: 'left-out' } : undefined;
    });
    onLoad({ filter: /./, namespace: 'left-out' }, () => ({ contents: 'module.exports = {};' }));
  },
};

/**
 * Modules of Node by `require`: to import one, Node reads all its properties, `WebSocket` of `node:http` among them, and so
 * loads an HTTP client that nobody here uses. Measured: 7 MB of private memory, and 50 ms of processor time at each start.
 */
const nodeByRequire: Plugin = {
  name: 'Node by require',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^node:/ }, ({ path, kind }) =>
      kind === 'import-statement' ? { path, namespace: 'by-require', sideEffects: false } : undefined,
    );
    onLoad({ filter: /./, namespace: 'by-require' }, ({ path }) => ({
      contents: `module.exports = require('${path}');`,
    }));
  },
};

/** What packages take where somebody has installed it. */
const optional = /^(bufferutil|utf-8-validate|osx-temperature-sensor|macos-temperature-sensor)$/;

/**
 * What is not in the bundle is nowhere: else Node would look for it beside the program, in NODE_PATH and in the home of whoever
 * starts it, and run what it finds there.
 */
const nothingElse: Plugin = {
  name: 'nothing from elsewhere',
  setup({ onResolve, onLoad, onEnd }) {
    onResolve({ filter: optional }, ({ path }) => ({ path, namespace: 'nowhere' }));
    onLoad({ filter: /./, namespace: 'nowhere' }, () => ({
      contents: "throw new Error('It is not in this program.');",
    }));
    onEnd(({ metafile }) => {
      const imports = Object.values(metafile?.inputs ?? {}).flatMap((input) => input.imports);
      const missing = imports
        .filter(({ external, path }) => external && path !== '<runtime>' && !isBuiltin(path))
        .map(({ path }) => path);
      return { errors: missing.map((path) => ({ text: `${path} would be looked for where the program runs` })) };
    });
  },
};

/** Gives a module the `require` that it does not have. */
const banner = [
  '#!/usr/bin/env node',
  "import { createRequire as createRequireOfBundle } from 'node:module';",
  'const require = createRequireOfBundle(import.meta.url);',
].join('\n');

/** A program and all that it imports as the text of one file, and the paths of the files that it is made of. */
export interface Bundle {
  readonly text: string;
  /** Relative to the root of the repository. */
  readonly sources: readonly string[];
}

/** What a release says of itself; a build without it is of the version of the checkout. */
export interface ReleaseStamp {
  readonly version: string;
  readonly commit: string;
}

/** Bundles a program, given by its path in the repository. */
export async function bundle(program: string, stamp?: ReleaseStamp): Promise<Bundle> {
  const { outputFiles, metafile } = await build({
    ...{ entryPoints: [join(root, program)], outfile: 'bundle.mjs', absWorkingDir: root, write: false, metafile: true },
    ...{
      bundle: true,
      platform: 'node',
      format: 'esm',
      target: 'node26',
      plugins: [leaveOut, nothingElse, nodeByRequire],
    },
    ...{ banner: { js: banner }, logLevel: 'warning', sourcemap: 'inline', sourcesContent: false },
    // Texts alone: of an object esbuild makes a module, which every other one would load.
    define: stamp ? { releaseVersion: JSON.stringify(stamp.version), releaseCommit: JSON.stringify(stamp.commit) } : {},
  });
  const [output] = Object.values(metafile.outputs);
  return { text: outputFiles[0]?.text ?? '', sources: Object.keys(output?.inputs ?? {}) };
}

/** A program that was written, and the paths of the files that it is made of, relative to the root of the repository. */
export interface Written {
  readonly file: string;
  readonly sources: readonly string[];
}

/** Writes the agent into a folder and returns its path. */
export async function buildAgent(folder: string): Promise<string> {
  return (await writeAgent(folder)).file;
}

export async function writeAgent(folder: string, stamp?: ReleaseStamp): Promise<Written> {
  const written = await writeProgram(folder, 'node-agent.mjs', 'src/cli/node-agent.ts', stamp);
  writeFileSync(join(folder, 'THIRD-PARTY-LICENSES'), licencesOf(root, written.sources));
  return written;
}

/** Writes control plane and commands into a folder, with the console beside them, and returns their path. */
export async function buildGpuaas(folder: string): Promise<string> {
  return (await writeGpuaas(folder)).file;
}

export async function writeGpuaas(folder: string, stamp?: ReleaseStamp): Promise<Written> {
  const { file, sources } = await writeProgram(folder, 'gpuaas.mjs', 'src/cli/gpuaas.ts', stamp);
  const pages = await writeConsole(join(folder, 'console'));
  writeFileSync(join(folder, 'gpuaas.THIRD-PARTY-LICENSES'), licencesOf(root, [...sources, ...pages]));
  return { file, sources: [...sources, ...pages] };
}

/**
 * In two steps, because each saves memory, measured on the idle agent: half the text, which Node keeps, is 4 MB less; and
 * bundled and minified in one step, modules become arrow functions, which V8 compiles at once where it could wait: 6 MB more.
 * A single character beyond ASCII, and each takes two bytes instead of one. A release keeps the names of functions, for 1.4 MB:
 * nobody has its source map at hand, and what it logs of an error is to be read.
 */
async function writeProgram(folder: string, name: string, program: string, stamp?: ReleaseStamp): Promise<Written> {
  const file = join(folder, name);
  const { text, sources } = await bundle(program, stamp);
  const minify = { minifySyntax: true, minifyWhitespace: true, minifyIdentifiers: stamp === undefined };
  const { code, map } = await transform(inAscii(text), {
    ...{ ...minify, format: 'esm', target: 'node26', sourcemap: 'external', sourcesContent: false },
    sourcefile: file,
  });
  mkdirSync(folder, { recursive: true });
  writeFileSync(file, `${code}//# sourceMappingURL=${name}.map\n`, { mode: 0o755 });
  writeFileSync(`${file}.map`, map);
  return { file, sources };
}

/** esbuild escapes what is in strings and leaves patterns as they are, in which the same escapes mean the same. */
function inAscii(text: string): string {
  return text.replaceAll(/[\u0080-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

if (import.meta.main) {
  const folder = join(root, 'dist');
  console.log(await buildAgent(folder));
  console.log(await buildGpuaas(folder));
}
