/** When a host takes updates. Pure. */
import { type UpdateWindow, weekDays } from './update-config.ts';

const minuteMs = 60_000;
const dayMinutes = 24 * 60;

/** True within the window; it includes its first minute and not its last. */
export function isOpen({ days, from, to, utc }: UpdateWindow, nowMs: number): boolean {
  const now = new Date(nowMs);
  const day = utc ? now.getUTCDay() : now.getDay();
  const minute = utc ? now.getUTCHours() * 60 + now.getUTCMinutes() : now.getHours() * 60 + now.getMinutes();
  const opens = minutesOf(from);
  const closes = minutesOf(to) > opens ? minutesOf(to) : minutesOf(to) + dayMinutes;
  const openedOn = (back: number) => days.includes(weekDays[(day + 7 - back) % 7] ?? 'sun');
  return (
    (openedOn(0) && minute >= opens && minute < closes) ||
    (openedOn(1) && minute + dayMinutes >= opens && minute + dayMinutes < closes)
  );
}

/** RFC 3339 in UTC; undefined where it never opens, which a schema keeps from being. */
export function opensAt(window: UpdateWindow, nowMs: number): string | undefined {
  const first = Math.floor(nowMs / minuteMs) * minuteMs;
  for (let minutes = 0; minutes <= 8 * dayMinutes; minutes += 1) {
    const at = first + minutes * minuteMs;
    if (isOpen(window, at)) return new Date(at).toISOString();
  }
  return undefined;
}

function minutesOf(time: string): number {
  const [hours = 0, minutes = 0] = time.split(':').map(Number);
  return hours * 60 + minutes;
}
