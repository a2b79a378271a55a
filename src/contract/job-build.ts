/** An image of a job that its host builds from the files of a revision, with the engine's own builder. */
import { type Static, Type } from 'typebox';
import { absolutePath, EnvName } from './workload-oci-launch.ts';

const closed = { additionalProperties: false } as const;
const plainText = '^[^\\u0000-\\u001f\\u007f]*$';
const sha256 = '^[0-9a-f]{64}$';
/** No segment of it is empty, `.` or `..`. */
const segment = '(?!\\.{1,2}(?:/|$))[^/\\u0000-\\u001f\\u007f]+';
const relativeFile = `^${segment}(?:/${segment})*$`;
const relativeFolder = `^(?:\\.|${segment}(?:/${segment})*)$`;

/** Most images that one Dockerfile is built on. */
export const maxBases = 64;

const InitCommand = Type.Object(
  {
    label: Type.String({ minLength: 1, maxLength: 128, pattern: plainText, description: 'What its author calls it.' }),
    command: Type.Array(
      Type.String({ maxLength: 32_768, pattern: '^[^\\u0000]*$', description: 'A word, without NUL.' }),
      { minItems: 1, maxItems: 1024, description: 'Argument vector; no shell.' },
    ),
    cwd: Type.String({ maxLength: 512, pattern: relativeFolder, description: 'Folder, relative to `work_dir`.' }),
    env: Type.Record(EnvName, Type.String({ maxLength: 32_768, pattern: plainText }), {
      maxProperties: 128,
      additionalProperties: false,
      description: 'Environment of this command alone.',
    }),
  },
  { ...closed, description: 'A command that is run once, when the image is built.' },
);

export const BuildImage = Type.Object(
  {
    kind: Type.Literal('build', { description: 'The host builds the image from a Dockerfile.' }),
    revision_sha256: Type.String({ pattern: sha256, description: 'sha256, in hex, of the tar of the revision.' }),
    revision_bytes: Type.Integer({ minimum: 1, maximum: 2 ** 40, description: 'Bytes of that tar.' }),
    dockerfile: Type.String({ maxLength: 512, pattern: relativeFile, description: 'Dockerfile, relative to the tar.' }),
    context: Type.String({
      maxLength: 512,
      pattern: relativeFolder,
      description: 'Folder of the tar that COPY is relative to; `.` for all of it.',
    }),
    target: Type.Optional(
      Type.String({
        pattern: '^[a-zA-Z0-9][a-zA-Z0-9._-]{0,127}$',
        description: 'Stage to build; the last if absent.',
      }),
    ),
    args: Type.Record(EnvName, Type.String({ maxLength: 4096, pattern: plainText }), {
      maxProperties: 128,
      additionalProperties: false,
      description: 'Values of ARG. They stay in the image: never for secrets.',
    }),
    bases: Type.Record(
      Type.String({ pattern: '^\\S{1,512}$' }),
      Type.String({ maxLength: 512, pattern: '@sha256:[0-9a-f]{64}$' }),
      {
        maxProperties: maxBases,
        additionalProperties: false,
        description: 'What each image that the Dockerfile names is, by digest. Named as it is after ARGs are put in.',
      },
    ),
    init: Type.Array(InitCommand, { maxItems: 32, description: 'Run in order, after the Dockerfile.' }),
    work_dir: Type.String({ maxLength: 512, pattern: absolutePath, description: 'Folder that `cwd` is relative to.' }),
    network: Type.Enum(['none', 'bridge'], { description: 'Whether what the build runs has a way out.' }),
    timeout_seconds: Type.Integer({
      minimum: 1,
      maximum: 86_400,
      description: 'Most seconds from the start of the build to its end.',
    }),
  },
  { ...closed, description: 'An image that is built on the host, once per revision.' },
);
export type BuildImage = Static<typeof BuildImage>;

/** How a receipt and people name what such an image is made of. */
export function revisionReference({ revision_sha256: sha }: BuildImage): string {
  return `revision@sha256:${sha}`;
}
