import { describe, expect, it } from 'vitest';
import { AgentError, failures } from '../../../src/contract/failures.ts';
import { describeFailure } from '../../../src/gate/answers.ts';
import { readComposeFailure, readStep } from '../../../src/runtime/compose/compose-words.ts';

describe('what Compose says of a container', () => {
  it.each([
    [' Container gpuaas-x.web  Started', { container: 'gpuaas-x.web', step: 'Started' }],
    [' Container gpuaas-x.web Creating ', { container: 'gpuaas-x.web', step: 'Creating' }],
  ])('%s is a step', (line, step) => {
    expect(readStep(line)).toEqual(step);
  });

  it.each([
    ' Network gpuaas-x  Created',
    ' Container gpuaas-x.web  Error response',
    'Error response from daemon: Container gpuaas-x.web is not running',
    '',
  ])('%s is none', (line) => {
    expect(readStep(line)).toBeUndefined();
  });
});

describe('why Compose failed', () => {
  const said = (...lines: string[]) => readComposeFailure(lines, 1);

  it.each([
    new AgentError('name.conflict', { container: 'gpuaas-x.web' }),
    new AgentError('policy.refused', { reason: '/User must be 1:1.' }),
    new AgentError('resources.exceeded', {
      errors: [{ path: '/HostConfig/Memory', code: 'limit', message: 'is too much' }],
    }),
    new AgentError('gpu.none_free', { reason: 'It is with other.' }),
    new AgentError('engine.unavailable', { state: 'not_running' }),
  ])('is the code of the gate, where the gate refused: $code', (refusal) => {
    const { message } = describeFailure(refusal).body;

    const failure = said('time="2026-11-26" level=warning msg="x"', `Error response from daemon: ${message}`);

    expect(failure.code).toBe(refusal.code);
    expect(failure.message).toContain(message);
  });

  it.each([
    ['Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?', 'engine.unavailable'],
    ['error during connect: Post "http://%2Fx/v1.41/containers/create": EOF', 'engine.unavailable'],
    [
      'Error response from daemon: driver failed: Bind for 127.0.0.1:80 failed: port is already allocated',
      'port.conflict',
    ],
    ['Error response from daemon: mkdir /x: no space left on device', 'disk.full'],
    ['dependency failed to start: container gpuaas-x.db is unhealthy', 'compose.failed'],
    ['Error response from daemon: runc: chdir to cwd ("/EOF") set in config.json failed', 'compose.failed'],
    ['Error response from daemon: mkdir /srv/error during connect: connection refused', 'compose.failed'],
    [`Error response from daemon: chdir to "/x: ${failures['gpu.none_free'].message}"`, 'compose.failed'],
    [
      `Error response from daemon: chdir to "Error response from daemon: ${failures['gpu.none_free'].message}"`,
      'compose.failed',
    ],
  ])('%s', (line, code) => {
    expect(said(line).code).toBe(code);
  });

  it('is told in its own words where nobody knows better, without credentials', () => {
    const failure = said('no such thing', 'at https://me:pass@x/y');

    expect(failure).toMatchObject({ code: 'compose.failed', detail: { exit_code: 1 } });
    expect(failure.message).toContain('no such thing at https://[redacted]@x/y');
  });

  it('is told also where it said nothing', () => {
    expect(readComposeFailure([], null).detail).toEqual({ reason: 'It said nothing.', exit_code: null });
  });
});
