/**
 * Ids of what the control plane makes: UUIDs of version 7 that grow with every call in this process, so that lists by id
 * are lists by age, also within a millisecond and when the clock steps back.
 */
import { randomBytes } from 'node:crypto';

/** Milliseconds of the last id, and how many ids were made of that millisecond. */
let last = 0;
let count = 0;

/** `now` in milliseconds since 1970. */
export function newId(now: number): string {
  if (now > last) {
    last = now;
    count = 0;
  } else if (count < 0xfff) {
    count += 1;
  } else {
    last += 1;
    count = 0;
  }
  const time = last.toString(16).padStart(12, '0');
  const order = count.toString(16).padStart(3, '0');
  const random = randomBytes(8);
  random[0] = ((random[0] ?? 0) & 0x3f) | 0x80;
  const tail = random.toString('hex');
  return `${time.slice(0, 8)}-${time.slice(8)}-7${order}-${tail.slice(0, 4)}-${tail.slice(4)}`;
}
