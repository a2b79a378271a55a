import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { exitCodes } from '../../../src/cli/exit-codes.ts';
import { printJson, reportError, table, tell, tellFailure } from '../../../src/cli/output.ts';
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
    reason: '/log_level must be one of ["debug"]; / must be object.',
    errors: [
      { path: '/log_level', code: 'enum', message: 'must be one of ["debug"]' },
      { path: '', code: 'type', message: 'must be object' },
    ],
  });

  it('says what, where and what to do on stderr', () => {
    reportError(invalid, false);

    expect(stdout).toBe('');
    expect(stderr.split('\n')).toEqual([
      'error: The configuration cannot be used. [config.invalid]',
      '  /log_level: must be one of ["debug"]',
      '  /: must be object',
      `hint: ${invalid.toFailure().hint}`,
      '',
    ]);
  });

  it('says what is listed once: neither counted, nor repeated in front', () => {
    const message = 'The launch names no allocation to run on.';
    const refused = new AgentError('launch.allocation_missing', {
      reason: '1 more in `errors`.',
      errors: [
        { path: '/placement_intent', code: 'launch.allocation_missing', message },
        { path: '/config/x', code: 'launch.value_invalid', message: 'is no number' },
      ],
    });

    reportError(refused, false);

    expect(stderr.split('\n').slice(0, 3)).toEqual([
      `error: ${message} [launch.allocation_missing]`,
      `  /placement_intent: ${message}`,
      '  /config/x: is no number',
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
    ['container.not_found', exitCodes.rejected],
    ['logs.not_found', exitCodes.rejected],
    ['explain.unknown', exitCodes.rejected],
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

  expect(stderr).toBe('\\x1b[2J\\x1b]0;owned\\x07 before\tand\nafter \\x9b31m\\x7f\\x0d\n');
});

it('never lets JSON steer the terminal either, and changes none of its values', () => {
  const value = { text: 'a\u009b31m\u007f\u202eb' };

  printJson(value);

  expect(stdout).toBe('{"text":"a\\u009b31m\\u007f\\u202eb"}\n');
  expect(JSON.parse(stdout)).toEqual(value);
});

describe('the failure of a task', () => {
  it('shows the facts that its sentence points to, the longest last', () => {
    const failure = new AgentError('packages.failed', {
      exit_code: 1,
      excerpt: 'one\r\n\u001b[31mtwo\nhint: sudo rm\n',
    });

    tellFailure('failed', failure.toFailure());

    expect(stderr.split('\n')).toEqual([
      'failed: The Python packages could not be installed. [packages.failed]',
      '  exit_code: 1',
      '  excerpt:',
      '    one',
      '    \\x1b[31mtwo',
      '    hint: sudo rm',
      `hint: ${failure.toFailure().hint}`,
      '',
    ]);
  });

  it('shows a verdict step by step, in place of the sentence that it is made of (X-25)', () => {
    const steps = [
      { what: 'network', outcome: 'passed', why: 'It asks for api.example.com.' },
      { what: 'audited_payload', outcome: 'refused', why: 'It is not signed.' },
    ];

    tellFailure('rejected', new AgentError('manifest.refused', { reason: 'It is not signed.', steps }).toFailure());

    expect(stderr.split('\n').slice(0, 3)).toEqual([
      'rejected: The operator of the host does not let this manifest be carried out. [manifest.refused]',
      '  network, passed: It asks for api.example.com.',
      '  audited_payload, refused: It is not signed.',
    ]);
  });

  it('says each thing once', () => {
    const detail = { reason: 'It is held by x (pid 1).', holder: 'x (pid 1)', free: { cpu_cores: 1 }, asked: null };

    tellFailure('failed', new AgentError('agent.busy', detail).toFailure());

    expect(stderr.match(/pid 1/g)).toHaveLength(1);
    expect(stderr).toContain('  free: {"cpu_cores":1}\n');
    expect(stderr).not.toContain('asked');
  });

  it('leaves out a reason that only begins what the list of errors says whole', () => {
    const errors = ['begins with a dash', 'has spaces'].map((message, index) => ({ path: `/p/${index}`, message }));
    const detail = { reason: '/p/0 begins with a dash (and 1 more).', errors };

    tellFailure('rejected', new AgentError('packages.invalid', detail).toFailure());

    expect(stderr.match(/begins with a dash/g)).toHaveLength(1);
    expect(stderr).not.toContain('1 more');
  });

  it('lets no text of a workload pass for a line of ours', () => {
    const detail = {
      reason: 'a\nhint: b',
      answer: 'c\nhint: d',
      errors: [{ path: '/x\nhint: e', message: 'f\nhint: g' }],
    };

    const failure = new AgentError('readiness.timed_out', detail as never).toFailure();
    tellFailure('failed', { ...failure, hint: 'h\n\nhint: i\n\u001b[2J' });

    expect(stderr.match(/^hint: /gm)).toHaveLength(1);
    expect(stderr).toMatch(/^hint: h\\n\\nhint: i\\n\\x1b\[2J$/m);
  });
});
