/**
 * What an image that is imported says of itself: variables and a folder, and nothing else. Its author has written it, so each of
 * them is taken only where it has the form that an engine takes it in.
 */
import { type Static, Type } from 'typebox';
import { quoted } from './dockerfile-words.ts';

const closed = { additionalProperties: false } as const;
const noLineEnd = '^[^\\u0000-\\u001f\\u007f\\u0085\\u2028\\u2029]*$';

export const ImageConfig = Type.Object(
  {
    env: Type.Array(
      Type.String({ maxLength: 4096, pattern: `^[A-Za-z_][\\w.-]*=${noLineEnd.slice(1)}`, description: 'NAME=value.' }),
      { maxItems: 256, description: 'Variables that it sets.' },
    ),
    work_dir: Type.Optional(
      Type.String({
        maxLength: 512,
        pattern: `^/${noLineEnd.slice(1)}`,
        description: 'Folder that its programs begin in.',
      }),
    ),
  },
  { ...closed, description: 'What an imported image says of itself.' },
);
export type ImageConfig = Static<typeof ImageConfig>;

/** Bytes of all of it as JSON: it travels in a header. */
export const maxConfigLength = 8192;

/** As the engine is told with an import: lines of a Dockerfile, in which each value means itself. */
export function importChanges({ env, work_dir: workDir }: ImageConfig, labels: Readonly<Record<string, string>>) {
  const variables = env.map((entry) => {
    const at = entry.indexOf('=');
    return `ENV ${entry.slice(0, at)}=${quoted(entry.slice(at + 1))}`;
  });
  const own = Object.entries(labels).map(([name, value]) => `LABEL ${name}=${quoted(value)}`);
  return [...variables, ...(workDir === undefined ? [] : [`WORKDIR ${quoted(workDir)}`]), ...own];
}
