/** What a build is given: the files of a revision, behind its Dockerfile in the form that the gate takes. */
import type { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { AgentError } from '../contract/failures.ts';
import type { BuildImage } from '../contract/job-build.ts';
import type { PathError } from '../contract/validate.ts';
import { ignoredIn } from '../kit/tarball/ignored.ts';
import { openTarball } from '../kit/tarball/open-tarball.ts';
import { type Tarball, TarballRefused } from '../kit/tarball/tarball.ts';
import { contentOf, contextOf } from '../kit/tarball/write-tar.ts';
import { type Dockerfile, initLabel, readDockerfile, renderDockerfile, splitEntry } from '../policy/dockerfile.ts';
import { dockerfileEntry, isOneLine, maxDockerfileBytes } from '../policy/dockerfile-lines.ts';

export interface Context {
  readonly stream: Readable;
  /** Which init command an instruction is of, by how many come behind it. */
  readonly labelOf: (behind: number) => string | undefined;
}

/** What an image sets, by its digest reference, as `NAME=value`. */
type EnvOf = (base: string) => Promise<readonly string[]>;

/** `file` is the tar of the revision. `task.invalid` with what is wrong with its files, or with lines of its Dockerfile. */
export async function buildContext(file: string, source: BuildImage, envOf: EnvOf): Promise<Context> {
  const { bases, context, init, work_dir: workDir } = source;
  try {
    // What names a revision is a plain tar: nothing is unpacked.
    const tarball = await openTarball({ file, spool: `${file}.tar` });
    const leftOut = await ignoredIn(tarball, context, source.dockerfile);
    const dockerfile = await dockerfileOf(tarball, source);
    refuseAll(missingBases(dockerfile, source));
    const root = dockerfile.root === undefined ? undefined : bases[dockerfile.root];
    const isAsked = init.some(({ env: wanted }) => Object.keys(wanted).length > 0);
    const env = isAsked && root !== undefined ? await envOf(root) : [];
    refuseAll(takenNames(dockerfile, source, env));
    const content = Buffer.from(renderDockerfile(dockerfile, { bases, init, workDir, env }));
    const packed = await contextOf(tarball, context, leftOut, { name: dockerfileEntry, content });
    return { stream: packed.stream(), labelOf: (behind) => initLabel({ init, env }, behind) };
  } catch (error) {
    if (!(error instanceof TarballRefused)) throw error;
    throw invalid(
      error.troubles.map((trouble) => ({ ...trouble })),
      error,
    );
  }
}

async function dockerfileOf(tarball: Tarball, { dockerfile: path, args, target }: BuildImage): Promise<Dockerfile> {
  const packed = contentOf(tarball, path);
  if (packed.bytes > maxDockerfileBytes) {
    throw invalid([{ path, code: 'too_large', message: `is larger than ${maxDockerfileBytes} bytes` }]);
  }
  const read = readDockerfile((await buffer(packed.stream())).toString('utf8'), { args, target });
  if (read.ok) return read.dockerfile;
  throw invalid(read.errors.map(({ line, code, message }) => ({ path: `${path}:${line}`, code, message })));
}

function missingBases({ bases }: Dockerfile, source: BuildImage): PathError[] {
  return bases
    .filter((name) => !Object.hasOwn(source.bases, name))
    .map((name) => ({
      path: source.dockerfile,
      code: 'base',
      message: `names ${name}, which the plan has no digest of`,
    }));
}

/** Variables that are not to be set for one command alone: nobody knows how to set them back. */
function takenNames({ env, root }: Dockerfile, { init }: BuildImage, image: readonly string[]): PathError[] {
  const values = new Map(image.map(splitEntry));
  return init.flatMap(({ label, env: wanted }) =>
    Object.keys(wanted).flatMap((path) => {
      const told = (by: string) => [{ path, code: 'taken', message: `of the init command ${label} is set by ${by}` }];
      if (env.has(path)) return told('an ENV of the Dockerfile');
      return isOneLine(values.get(path) ?? '') ? [] : told(`${root} to what is no line of text`);
    }),
  );
}

function refuseAll(errors: readonly PathError[]): void {
  if (errors.length > 0) throw invalid(errors);
}

function invalid(errors: readonly PathError[], cause?: unknown): AgentError {
  const [first] = errors;
  const reason = first ? `${first.path} ${first.message}.` : undefined;
  return new AgentError(
    'task.invalid',
    { ...(reason && { reason }), errors: errors.map((each) => ({ ...each })) },
    { cause },
  );
}
