/**
 * What may be run inside a container of ours through the gate: an argument vector as the container's own user, in its
 * own folder, without terminal and without input, with its environment and variables that any workload may have. Everything
 * else the engine could do with an exec (another user, privileges, keys to detach) is refused because it is not in these
 * schemas.
 */
import { type Static, Type } from 'typebox';
import { judge, type PathError } from '../contract/validate.ts';
import { checkEnvironment, nameOf } from './environment.ts';

const closed = { additionalProperties: false } as const;
const Argument = Type.String({ maxLength: 32768, pattern: '^[^\\u0000]*$' });
const off = (description: string) => Type.Optional(Type.Literal(false, { description }));

export const ExecCreateRequest = Type.Object(
  {
    Cmd: Type.Array(Argument, { minItems: 1, maxItems: 1025, description: 'Argument vector; no shell.' }),
    Env: Type.Optional(
      Type.Array(Argument, {
        maxItems: 128,
        description: '`NAME=value` beside those of the container, or in their place.',
      }),
    ),
    AttachStdout: Type.Optional(Type.Boolean({ description: 'True to read its standard output.' })),
    AttachStderr: Type.Optional(Type.Boolean({ description: 'True to read its standard error.' })),
    AttachStdin: off('Nothing is ever written to it.'),
    Tty: off('Output stays split into its two channels.'),
  },
  { ...closed, description: 'Body of `POST /containers/{name}/exec`.' },
);
export type ExecCreateRequest = Static<typeof ExecCreateRequest>;

export const ExecStartRequest = Type.Object(
  {
    Detach: Type.Optional(Type.Boolean({ description: 'True to answer at once; false to stream the output.' })),
    Tty: off('As at its creation.'),
  },
  { ...closed, description: 'Body of `POST /exec/{id}/start`.' },
);
export type ExecStartRequest = Static<typeof ExecStartRequest>;

/** Every path at which the body is not an exec this host allows; empty if it may be created. */
export function checkExecCreate(body: unknown): PathError[] {
  const judged = judge(ExecCreateRequest, body);
  if (!judged.ok) {
    return judged.errors;
  }
  const { Cmd, Env = [] } = judged.value;
  return [
    ...(Cmd[0] === '' ? [{ path: '/Cmd/0', code: 'empty', message: 'must name a program' }] : []),
    ...Env.flatMap((entry, index) => checkVariable(entry, `/Env/${index}`, Env.slice(0, index))),
  ];
}

/** A name alone would take away what the container has, which may be there to keep devices from it. */
function checkVariable(entry: string, path: string, before: readonly string[]): PathError[] {
  const name = nameOf(entry);
  if (name === entry) return [{ path, code: 'variable', message: 'must be NAME=value' }];
  if (before.some((other) => nameOf(other) === name)) return [{ path, code: 'variable', message: 'is set twice' }];
  return checkEnvironment({ [name]: entry.slice(name.length + 1) }, '').map((error) => ({ ...error, path }));
}

/** Every path at which the body is not a start this host allows. */
export function checkExecStart(body: unknown): PathError[] {
  const judged = judge(ExecStartRequest, body);
  return judged.ok ? [] : judged.errors;
}
