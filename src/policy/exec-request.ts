/**
 * What may be run inside a container of ours through the gate: an argument vector as the container's own user, with its
 * own environment and folder, without terminal and without input. Everything else the engine could do with an exec
 * (another user, privileges, variables, keys to detach) is refused because it is not in these schemas.
 */
import { type Static, Type } from 'typebox';
import { judge, type PathError } from '../contract/validate.ts';

const closed = { additionalProperties: false } as const;
const Argument = Type.String({ maxLength: 32768, pattern: '^[^\\u0000]*$' });
const off = (description: string) => Type.Optional(Type.Literal(false, { description }));

export const ExecCreateRequest = Type.Object(
  {
    Cmd: Type.Array(Argument, { minItems: 1, maxItems: 1024, description: 'Argument vector; no shell.' }),
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
  return judged.value.Cmd[0] === '' ? [{ path: '/Cmd/0', code: 'empty', message: 'must name a program' }] : [];
}

/** Every path at which the body is not a start this host allows. */
export function checkExecStart(body: unknown): PathError[] {
  const judged = judge(ExecStartRequest, body);
  return judged.ok ? [] : judged.errors;
}
