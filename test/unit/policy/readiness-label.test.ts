import { expect, it } from 'vitest';
import type { ReadinessCheck } from '../../../src/contract/workload-oci-launch.ts';
import { isReadinessLabel, readinessLabel, readReadinessLabel } from '../../../src/policy/readiness-label.ts';

const http: ReadinessCheck = { type: 'http', endpoint: 'web', path: '/api?x="1"', timeout_seconds: 60 };

it.each<[ReadinessCheck[]]>([
  [[]],
  [[http]],
  [[http, { type: 'exec', command: ['sh', '-c', 'true'], timeout_seconds: 5 }]],
])('says again what was written: %j', (checks) => {
  expect(readReadinessLabel(readinessLabel(checks))).toEqual(checks);
  expect(isReadinessLabel(readinessLabel(checks))).toBe(true);
});

it('is one word where the checks are too long, and says nothing then', () => {
  const label = readinessLabel([{ type: 'exec', command: ['x'.repeat(9000)], timeout_seconds: 5 }]);

  expect(label).toBe('unnoted');
  expect(isReadinessLabel(label)).toBe(true);
  expect(readReadinessLabel(label)).toBeUndefined();
});

it('of a container that has none says nothing', () => {
  expect(readReadinessLabel(undefined)).toBeUndefined();
});
