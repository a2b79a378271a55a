import { expect, it } from 'vitest';
import { endTime } from '../../../src/jobs/step-end.ts';

it.each([
  ['its end', '2026-11-26T22:50:36.31Z', '2026-11-26T22:50:36.314482663Z', '2026-11-26T22:50:36.314482663Z'],
  [
    'its start, noted after it',
    '2026-11-26T22:50:36.314482663Z',
    '2026-11-26T22:50:36.31Z',
    '2026-11-26T22:50:36.314482663Z',
  ],
  ['its end, where it was never started', null, '2026-11-26T22:50:36.31Z', '2026-11-26T22:50:36.31Z'],
])('the end of a container that was over at once is %s', (_what, started_at, finished, expected) => {
  expect(endTime({ started_at }, finished)).toBe(expected);
});
