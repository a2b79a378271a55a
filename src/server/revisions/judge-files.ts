/** What can be told of a project without asking anybody: its manifest, its files and its Dockerfile. */
import { buffer } from 'node:stream/consumers';
import { pointerToken } from '../../contract/pointer.ts';
import type { PathError } from '../../contract/validate.ts';
import { ignoredIn } from '../../kit/tarball/ignored.ts';
import { type Tarball, TarballRefused } from '../../kit/tarball/tarball.ts';
import { contentOf, contextOf as tarOfContext } from '../../kit/tarball/write-tar.ts';
import {
  type Built,
  checkAgainstFiles,
  contextOf,
  dockerfileOf,
} from '../../manifests/computalot/check-against-files.ts';
import type { ProjectManifest } from '../../manifests/computalot/manifest.ts';
import { readManifest } from '../../manifests/computalot/read-manifest.ts';
import { initOf } from '../../manifests/computalot/to-plan.ts';
import { each, ifSure, sure } from '../../manifests/sure-parts.ts';
import { checkBuild } from '../../policy/check-build.ts';
import { type Dockerfile, emptyDockerfile, readDockerfile } from '../../policy/dockerfile.ts';
import { maxDockerfileBytes } from '../../policy/dockerfile-lines.ts';

export interface JudgedFiles {
  /** By JSON pointers into the manifest; those of the Dockerfile are those of the field that names it. */
  readonly errors: readonly PathError[];
  readonly warnings: readonly PathError[];
  /** Images that the Dockerfile is built on, as it names them, as far as it can be read. */
  readonly bases: readonly string[];
}

/** Every error at once; but what the Dockerfile says, and the folder of the build, once the manifest says rightly which they are. */
export async function judgeFiles(tarball: Tarball, document: unknown): Promise<JudgedFiles> {
  // Its document, or what is sure of one that is wrong.
  let known: ProjectManifest | undefined;
  const also = (manifest: ProjectManifest) => {
    known = manifest;
    return checkAgainstFiles(manifest, tarball);
  };
  const read = readManifest(document, { also });
  const errors = read.ok ? [] : read.errors;
  const warnings = read.ok ? read.warnings : [];
  // What is not there is told already, and looked for again below.
  const isUnsure = ({ path, code }: PathError) =>
    path === '' || (`${path}/`.startsWith('/build/') && !code.startsWith('missing_'));
  if (errors.some(isUnsure)) return { errors, warnings, bases: [] };
  const built = document as Built;
  const dockerfile = await dockerfileIn(tarball, built);
  const taken = sure(() => takenNames(known, dockerfileOf(built), dockerfile.env));
  const refused = buildErrors(dockerfile.read, dockerfileOf(built), initIn(known, errors));
  return {
    errors: [...errors, ...(await contextErrors(tarball, built)), ...dockerfile.errors, ...taken, ...refused],
    ...{ warnings: [...warnings, ...dockerfile.warnings], bases: dockerfile.bases },
  };
}

/** What keeps the folder that a build sees from being packed: links that lead out of it, and a `.dockerignore` that cannot be read. */
async function contextErrors(tarball: Tarball, manifest: Built): Promise<PathError[]> {
  const context = contextOf(manifest);
  const folder = tarball.find(context);
  // What is not there is told by whoever looks for files.
  if (folder !== 'root' && folder?.type !== 'directory') return [];
  try {
    await tarOfContext(tarball, context, await ignoredIn(tarball, context, dockerfileOf(manifest)));
    return [];
  } catch (error) {
    if (!(error instanceof TarballRefused)) throw error;
    return error.troubles.map(({ code, path, message }) => ({
      path: '/build/context',
      code,
      message: `${path} ${message}`,
    }));
  }
}

/** A command of init has no variable that the Dockerfile sets: nobody knows what it would have to be set back to. */
function takenNames(manifest: ProjectManifest | undefined, path: string, env: ReadonlySet<string>) {
  const message = `is set by an ENV of ${path}, and init commands cannot have it otherwise: leave it out there or here`;
  return each(manifest?.runtime.init?.commands ?? [], ({ env: wanted = {} }, index) =>
    Object.keys(wanted)
      .filter((name) => env.has(name))
      .map((name) => ({
        path: `/runtime/init/commands/${index}/env/${pointerToken(name)}`,
        ...{ code: 'taken', message },
      })),
  );
}

type Init = ReturnType<typeof initOf>;
const noInit: Init = { init: [], work_dir: '/' };

/** None as long as something is wrong with it: that is told already. */
function initIn(manifest: ProjectManifest | undefined, errors: readonly PathError[]): Init {
  if (!manifest || errors.some(({ path }) => /^\/runtime(?:$|\/(?:init|workdir)(?:$|\/))/.test(path))) return noInit;
  return ifSure(() => initOf(manifest.runtime)) ?? noInit;
}

/** What hosts will refuse of what is right in itself. Of a Dockerfile that cannot be read, its init commands are judged by themselves. */
function buildErrors(dockerfile: Dockerfile | undefined, path: string, init: Init): PathError[] {
  return checkBuild(dockerfile ?? emptyDockerfile, init).map(({ from, code, message }) => {
    if (from && 'init' in from) return { path: `/runtime/init/commands/${from.init}${from.part}`, code, message };
    return { path: '/build/dockerfile', code, message: `${from ? `line ${from.line} of ` : ''}${path} ${message}` };
  });
}

interface JudgedDockerfile extends JudgedFiles {
  /** Undefined where it cannot be read. */
  readonly read?: Dockerfile;
  /** Names that it sets for the image that it makes. */
  readonly env: ReadonlySet<string>;
}

const nothing: JudgedDockerfile = { bases: [], env: new Set(), errors: [], warnings: [] };

async function dockerfileIn(tarball: Tarball, manifest: Built): Promise<JudgedDockerfile> {
  const at = '/build/dockerfile';
  const path = dockerfileOf(manifest);
  const found = tarball.find(path);
  // What is not there is told by whoever looks for files.
  if (typeof found !== 'object' || found.type !== 'file') return nothing;
  if (found.size > maxDockerfileBytes) {
    return {
      ...nothing,
      errors: [{ path: at, code: 'too_large', message: `is larger than ${maxDockerfileBytes} bytes` }],
    };
  }
  const text = (await buffer(contentOf(tarball, path).stream())).toString('utf8');
  const { args = {}, target } = manifest.build ?? {};
  const read = readDockerfile(text, { args, target });
  if (read.ok) {
    const { bases, args: known, env } = read.dockerfile;
    const unknown = Object.keys(args).filter((name) => !known.has(name));
    const message = `has no effect: no ARG of ${path} has that name`;
    const warnings = unknown.map((name) => ({ path: `/build/args/${pointerToken(name)}`, code: 'ignored', message }));
    return { read: read.dockerfile, bases, env, errors: [], warnings };
  }
  const errors = read.errors.map(({ line, code, message }) =>
    code === 'unknown_stage'
      ? { path: '/build/target', code, message: `is no stage of ${path}` }
      : { path: at, code, message: `line ${line} of ${path} ${message}` },
  );
  return { ...nothing, errors };
}
