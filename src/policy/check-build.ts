/**
 * What hosts will say of a build, asked before any of them has it: the Dockerfile as they render it, with its init commands, held
 * against what the gate asks. Images and what they set are not known here, so that what is usual is left to them.
 */
import type { BuildImage } from '../contract/job-build.ts';
import { checkDockerfile, checkLabels, checkValues } from './check-dockerfile.ts';
import { type Dockerfile, type LineOrigin, renderLines } from './dockerfile.ts';
import { maxDockerfileBytes } from './dockerfile-lines.ts';
import { usualTogether } from './dockerfile-values.ts';

interface BuildError {
  /** Undefined for what is of no line in particular. */
  readonly from: LineOrigin | undefined;
  readonly code: string;
  /** A clause about what is there. */
  readonly message: string;
}

const host = 'registry.invalid';
/** Stands for any image: no reference is longer. */
const anyImage = `${host}/${'i'.repeat(254 - host.length)}@sha256:${'0'.repeat(64)}`;
const registries = [{ host, prefixes: [''] }];
/** Bytes of labels that an image has, as far as nobody has looked. */
const usualLabels = 4 * 1024;
/** Left to what hosts set back behind init commands. */
const mostBytes = maxDockerfileBytes - 4 * usualTogether;

/** None for what the gate takes on images that set no more than is usual. */
export function checkBuild(
  dockerfile: Dockerfile,
  { init, work_dir: workDir }: Pick<BuildImage, 'init' | 'work_dir'>,
): BuildError[] {
  const bases = Object.fromEntries(dockerfile.bases.map((name) => [name, anyImage]));
  // As on an image that sets all of them: there are more lines then.
  const env = init.flatMap((command) => Object.keys(command.env).map((name) => `${name}=`));
  const lines = renderLines(dockerfile, { bases, init, workDir, env });
  const text = `${lines.map((line) => line.text).join('\n')}\n`;
  const errors = [
    ...checkDockerfile(text, registries).errors,
    ...checkValues(text),
    ...checkLabels(text, undefined, usualLabels),
  ].map(({ path, code, message }) => ({ from: lines[Number(path.split('/')[2]) - 1]?.from, code, message }));
  let bytes = 0;
  const over = lines.find((line) => {
    bytes += Buffer.byteLength(line.text) + 1;
    return bytes > mostBytes;
  });
  if (!over) return errors;
  const message = `makes the Dockerfile, with what init commands become in it, larger than ${mostBytes} bytes`;
  return [...errors, { from: over.from, code: 'too_large', message }];
}
