import { expect, it } from 'vitest';
import { newId } from '../../../../src/server/db/new-id.ts';

it('makes UUIDs of version 7 whose time is that of the clock', () => {
  const now = Date.parse('2100-01-01T00:00:00Z');

  const id = newId(now);

  expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  expect(Number.parseInt(id.replace('-', '').slice(0, 12), 16)).toBe(now);
});

it('makes each larger than the one before, within a millisecond and when the clock steps back', () => {
  const now = Date.parse('2101-01-01T00:00:00Z');
  const times = [...Array.from({ length: 10_000 }, () => now), now - 86_400_000, now - 1, now + 1];

  const ids = times.map((time) => newId(time));

  expect(ids).toEqual([...ids].sort());
  expect(new Set(ids).size).toBe(ids.length);
});
