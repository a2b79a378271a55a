import { describe, expect, it } from 'vitest';
import { checkExecCreate, checkExecStart } from '../../../src/policy/exec-request.ts';

const create = { Cmd: ['python', '-m', 'pip'], AttachStdout: true, AttachStderr: true };

describe('checkExecCreate', () => {
  it.each([
    create,
    { ...create, Tty: false, AttachStdin: false },
    { Cmd: ['true'] },
    { Cmd: ['a', ''] },
    { Cmd: ['true'], Env: [] },
    { Cmd: ['true'], Env: ['MYVAR=42', 'EMPTY=', 'EQ=a=b'] },
  ])('accepts %j', (body) => {
    expect(checkExecCreate(body)).toEqual([]);
  });

  it.each<[path: string, changes: object]>([
    ['/Env/0', { Env: ['LD_PRELOAD=/x'] }],
    ['/Env/1', { Env: ['A=1', 'NVIDIA_VISIBLE_DEVICES=all'] }],
    ['/Env/0', { Env: ['PATH'] }],
    ['/Env/0', { Env: ['=x'] }],
    ['/Env/1', { Env: ['A=1', 'A=2'] }],
    ['/Env/0', { Env: ['A=\0'] }],
    ['/Env', { Env: 'A=1' }],
    ['/User', { User: '0' }],
    ['/User', { User: '' }],
    ['/Privileged', { Privileged: true }],
    ['/Privileged', { Privileged: false }],
    ['/DetachKeys', { DetachKeys: 'ctrl-a' }],
    ['/WorkingDir', { WorkingDir: '/' }],
    ['/ConsoleSize', { ConsoleSize: [1, 1] }],
    ['/Tty', { Tty: true }],
    ['/AttachStdin', { AttachStdin: true }],
    ['/AttachStdout', { AttachStdout: 'yes' }],
    ['/privileged', { privileged: true }],
    ['/Cmd', { Cmd: [] }],
    ['/Cmd', { Cmd: 'sh -c id' }],
    ['/Cmd', { Cmd: Array.from({ length: 1026 }, () => 'a') }],
    ['/Cmd/0', { Cmd: [''] }],
    ['/Cmd/1', { Cmd: ['a', 'b\0c'] }],
    ['/Cmd/1', { Cmd: ['a', 1] }],
  ])('refuses a wrong %s', (path, changes) => {
    expect(checkExecCreate({ ...create, ...changes }).map((error) => error.path)).toEqual([path]);
  });

  it.each([null, [], 'x', {}, 1])('refuses %j', (body) => {
    expect(checkExecCreate(body)).not.toEqual([]);
  });

  it('refuses a key that would change the object it is parsed into', () => {
    const body = JSON.parse('{"Cmd":["true"],"__proto__":{"Privileged":true}}');

    expect(checkExecCreate(body).map((error) => error.path)).toEqual(['/__proto__']);
  });
});

describe('checkExecStart', () => {
  it.each([{}, { Detach: true }, { Detach: false, Tty: false }])('accepts %j', (body) => {
    expect(checkExecStart(body)).toEqual([]);
  });

  it.each([{ Tty: true }, { Detach: 1 }, { ConsoleSize: [1, 1] }, { detach: true }, null, []])('refuses %j', (body) => {
    expect(checkExecStart(body)).toHaveLength(1);
  });
});
