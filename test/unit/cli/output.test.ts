import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { exitCodes } from '../../../src/cli/exit-codes.ts';
import { reportError, table, tell } from '../../../src/cli/output.ts';
import { AgentError, type FailureCode } from '../../../src/contract/failures.ts';

let stdout: string;
let stderr: string;

beforeEach(() => {
  stdout = '';
  stderr = '';
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    stdout += String(text);
    return true;
  });
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    stderr += String(text);
    return true;
  });
});
afterEach(() => void vi.restoreAllMocks());

describe('table', () => {
  it('pads every column to its widest cell, and nothing behind the last', () => {
    expect(
      table([
        ['PATH', 'VALUE', 'FROM'],
        ['/node_id', '"vm"', 'default'],
        ['/x', '', ''],
      ]),
    ).toBe(['PATH      VALUE  FROM', '/node_id  "vm"   default', '/x'].join('\n'));
  });

  it('takes rows of different lengths, and none at all', () => {
    expect(table([['a'], ['bb', 'c']])).toBe('a\nbb  c');
    expect(table([])).toBe('');
  });
});

describe('an error at the end of a command', () => {
  const invalid = new AgentError('config.invalid', {
    reason: '/log_level must be one of …',
    errors: [
      { path: '/log_level', code: 'enum', message: 'must be one of ["debug"]' },
      { path: '', code: 'type', message: 'must be object' },
    ],
  });

  it('says what, where and what to do on stderr', () => {
    reportError(invalid, false);

    expect(stdout).toBe('');
    expect(stderr.split('\n')).toEqual([
      `error: ${invalid.message} [config.invalid]`,
      '  /log_level: must be one of ["debug"]',
      '  /: must be object',
      `hint: ${invalid.toFailure().hint}`,
      '',
    ]);
  });

  it('is one JSON line on stdout where JSON was asked for', () => {
    reportError(invalid, true);

    expect(JSON.parse(stdout)).toEqual({ failure: invalid.toFailure() });
    expect(stderr).toBe('');
  });

  it.each<[FailureCode, number]>([
    ['config.invalid', exitCodes.unusable],
    ['task.invalid', exitCodes.unusable],
    ['engine.unavailable', exitCodes.unusable],
    ['agent.busy', exitCodes.busy],
    ['task.cancelled', exitCodes.failed],
    ['internal', exitCodes.failed],
  ])('ends a command that failed with %s with status %i', (code, status) => {
    expect(reportError(new AgentError(code), false)).toBe(status);
  });

  it.each([new TypeError('a bug'), 'a text', undefined])('is internal where it is none of ours: %s', (error) => {
    expect(reportError(error, true)).toBe(exitCodes.failed);
    expect(JSON.parse(stdout)).toMatchObject({ failure: { code: 'internal' } });
  });
});

it('never lets the text of a task steer the terminal', () => {
  tell('\u001b[2J\u001b]0;owned\u0007 before\tand\nafter \u009b31m\u007f\r');

  expect(stderr).toBe('\ufffd[2J\ufffd]0;owned\ufffd before\tand\nafter \ufffd31m\ufffd\ufffd\n');
});
