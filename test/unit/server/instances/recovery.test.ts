import { describe, expect, it } from 'vitest';
import { failureCodes, failures } from '../../../../src/contract/failures.ts';
import { recoveries, recoveryOf } from '../../../../src/server/instances/recovery.ts';

describe('recoveryOf', () => {
  it.each(failureCodes)('puts %s into one class (X-12)', (code) => {
    expect(recoveries).toContain(recoveryOf(code));
  });

  it('calls retryable exactly what may succeed unchanged, but for what a launch anew puts right', () => {
    const retryable = failureCodes.filter((code) => recoveryOf(code) === 'retryable');

    expect(retryable).toEqual(failureCodes.filter((code) => failures[code].retryable && code !== 'gpu.unhealthy'));
  });

  it('tells the classes apart by what has to be done', () => {
    expect(recoveryOf('container.oom_killed')).toBe('drift');
    expect(recoveryOf('packages.failed')).toBe('repairable');
    expect(recoveryOf('image.unauthorized')).toBe('intervention');
    expect(recoveryOf('engine.unavailable')).toBe('retryable');
  });
});
