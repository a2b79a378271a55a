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
import { type Dockerfile, readDockerfile, renderDockerfile } from '../policy/dockerfile.ts';
import { dockerfileEntry, maxDockerfileBytes } from '../policy/dockerfile-lines.ts';

/** `file` is the tar of the revision. `task.invalid` with what is wrong with its files, or with lines of its Dockerfile. */
export async function buildContext(file: string, source: BuildImage): Promise<Readable> {
  const { bases, context, init, work_dir: workDir } = source;
  try {
    // What names a revision is a plain tar: nothing is unpacked.
    const tarball = await openTarball({ file, spool: `${file}.tar` });
    const leftOut = await ignoredIn(tarball, context, source.dockerfile);
    const dockerfile = await dockerfileOf(tarball, source);
    refuseAll([...missingBases(dockerfile, source), ...takenNames(dockerfile, source)]);
    const content = Buffer.from(renderDockerfile(dockerfile, { bases, init, workDir }));
    const packed = await contextOf(tarball, context, leftOut, { name: dockerfileEntry, content });
    return packed.stream();
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

/** An ARG, which is all that such a command gets, does not win over an ENV. */
function takenNames({ env }: Dockerfile, { init }: BuildImage): PathError[] {
  return init.flatMap(({ label, env: wanted }) =>
    Object.keys(wanted)
      .filter((name) => env.has(name))
      .map((name) => {
        const message = `of the init command ${label} is set by an ENV of the Dockerfile`;
        return { path: name, code: 'taken', message };
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
