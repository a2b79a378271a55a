import { describe, expect, it } from 'vitest';
import { AgentError, Failure, failureCodes, failureKinds, failures } from '../../../src/contract/failures.ts';
import { judge } from '../../../src/contract/validate.ts';

describe.each(failureCodes)('failure %s', (code) => {
  const { kind, message, hint, retryable } = failures[code];

  it('has a known kind, and a message and a hint that are sentences', () => {
    expect(failureKinds).toContain(kind);
    expect(message).toMatch(/^[A-Z].{10,}[.]$/);
    expect(hint).toMatch(/^[A-Z`].{10,}[.]$/);
    expect(hint).not.toBe(message);
  });

  it('has a code that is dotted and lower case, or `internal`', () => {
    expect(code).toMatch(/^([a-z_]+\.[a-z_]+|internal)$/);
  });

  it('is not worth trying again unchanged where the task itself is at fault', () => {
    expect(retryable && ['invalid', 'denied', 'cancelled'].includes(kind)).toBe(false);
  });

  it('becomes a failure that its own schema accepts', () => {
    const failure = new AgentError(code, { path: '/image', port: 8888, list: ['a'] }).toFailure();

    expect(judge(Failure, failure)).toEqual({ ok: true, value: failure });
    expect(failure).toMatchObject({ code, kind, hint, retryable, detail: { path: '/image', port: 8888, list: ['a'] } });
  });
});

it.each([
  ...(['launch.resources_exceed_allocation', 'launch.allocation_not_active', 'launch.artifact_retired'] as const),
  ...(['launch.artifact_untrusted', 'launch.host_port_taken', 'resources.exceeded'] as const),
])('%s has a way out for who starts what is there as well: what was chosen for it cannot be chosen then', (code) => {
  expect(failures[code].hint).not.toMatch(/^(Ask for|Choose)/);
});

it.each(['message', 'hint'])('takes no failure of a host whose %s is without bound', (field) => {
  const failure = { ...new AgentError('internal').toFailure(), [field]: 'x'.repeat(5000) };

  expect(judge(Failure, failure).ok).toBe(false);
});

it('knows the codes that the design names for this part', () => {
  const named = [
    ...['task.invalid', 'task.unsupported', 'task.untrusted', 'task.expired', 'task.stale', 'agent.draining'],
    ...['image.not_pinned', 'image.registry_denied', 'image.unauthorized', 'image.rate_limited', 'image.not_found'],
    ...['image.digest_mismatch', 'image.pull_failed', 'policy.refused', 'mount.refused', 'port.conflict'],
    ...['gpu.none_free', 'gpu.unhealthy', 'resources.exceeded', 'disk.full', 'packages.invalid', 'packages.failed'],
    ...['readiness.timed_out', 'container.exited', 'container.oom_killed', 'engine.unavailable', 'engine.timed_out'],
    ...['name.conflict', 'compose.refused', 'sandbox.unavailable', 'input.failed', 'step.failed', 'output.missing'],
    ...['job.cancelled', 'update.untrusted', 'update.rolled_back', 'internal'],
  ];

  expect(failureCodes).toEqual(expect.arrayContaining(named));
});

describe('AgentError', () => {
  it('keeps its cause', () => {
    const cause = new Error('ECONNREFUSED');

    expect(new AgentError('engine.unavailable', {}, { cause }).cause).toBe(cause);
  });

  it('shows the reason of this case behind the message of the table', () => {
    const error = new AgentError('port.conflict', { reason: 'Port 8888 is held by nginx.' });

    expect(error.message).toBe(`${failures['port.conflict'].message} Port 8888 is held by nginx.`);
    expect(error.toFailure().message).toBe(error.message);
  });

  it('says nothing of a reason that is none', () => {
    expect(new AgentError('port.conflict', { reason: 8888 }).message).toBe(failures['port.conflict'].message);
  });

  it('hands out its detail as a copy', () => {
    const error = new AgentError('internal', { count: 1 });

    error.toFailure().detail['count'] = 2;

    expect(error.toFailure().detail).toEqual({ count: 1 });
  });

  it('is an error like any other to whoever does not know it', () => {
    const error = new AgentError('internal');

    expect(error).toBeInstanceOf(Error);
    expect(error.name).toBe('AgentError');
    expect(error.stack).toContain('failures.test.ts');
  });
});
