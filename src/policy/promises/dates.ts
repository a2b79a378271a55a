/** From when until when a manifest holds. */
import type { PayloadManifest } from '../../contract/payload-manifest.ts';
import type { PathError } from '../../contract/validate.ts';

type Dated = Pick<PayloadManifest, 'createdAt' | 'expiresAt'>;

/** How far a clock that made a manifest may be ahead of the one that judges it. */
const maxAheadMs = 5 * 60_000;
const datePattern = /^(\d{4})-(\d{2})-(\d{2})[Tt](\d{2}):(\d{2}):(\d{2})(?:\.(\d+))?(?:[Zz]|([+-])(\d{2}):(\d{2}))$/;

/** Milliseconds since 1970 of an RFC 3339 date; undefined for a day or a time that there is not. */
export function timeOf(date: string): number | undefined {
  const [, year, month, day, hour, minute, second, fraction = '', sign, zoneHour, zoneMinute] =
    datePattern.exec(date) ?? [];
  const [y, mo, d, h, mi, s] = [year, month, day, hour, minute, second].map(Number) as [
    ...[number, number, number],
    ...[number, number, number],
  ];
  const [zh, zm] = [Number(zoneHour ?? 0), Number(zoneMinute ?? 0)];
  if (year === undefined || mo < 1 || mo > 12 || d < 1 || d > daysIn(y, mo)) return undefined;
  if (h > 23 || mi > 59 || s > 59 || zh > 23 || zm > 59) return undefined;
  const milliseconds = Number(fraction.padEnd(3, '0').slice(0, 3));
  const local = new Date(0).setUTCFullYear(y, mo - 1, d) + ((h * 60 + mi) * 60 + s) * 1000 + milliseconds;
  return local - (sign === '-' ? -1 : 1) * (zh * 60 + zm) * 60_000;
}

function daysIn(year: number, month: number): number {
  return new Date(new Date(0).setUTCFullYear(year, month, 0)).getUTCDate();
}

/** What is wrong with them whenever that is. */
export function checkDates({ createdAt, expiresAt }: Dated): readonly PathError[] {
  const unreal = Object.entries({ createdAt, expiresAt }).flatMap(([key, date]) =>
    date === undefined || timeOf(date) !== undefined
      ? []
      : [{ path: `/${key}`, code: 'date', message: 'is a day or a time that there is not' }],
  );
  const [from, until] = [createdAt, expiresAt].map((date) => (date === undefined ? undefined : timeOf(date)));
  const isTurned = from !== undefined && until !== undefined && until <= from;
  return isTurned ? [{ path: '/expiresAt', code: 'date', message: 'must be after createdAt' }] : unreal;
}

/** Milliseconds since 1970 from which on the manifest holds no more; undefined where it does not say. */
export function expiryOf({ expiresAt }: Dated): number | undefined {
  return expiresAt === undefined ? undefined : timeOf(expiresAt);
}

/** Why it does not hold at `now`, in milliseconds since 1970: it has expired, or is made later than that. */
export function checkTime(manifest: Dated, now: number): readonly PathError[] {
  const expiry = expiryOf(manifest);
  const made = manifest.createdAt === undefined ? undefined : timeOf(manifest.createdAt);
  return [
    ...(expiry !== undefined && expiry <= now
      ? [{ path: '/expiresAt', code: 'expired', message: `has passed: it is ${new Date(now).toISOString()}` }]
      : []),
    ...(made !== undefined && made > now + maxAheadMs
      ? [
          {
            path: '/createdAt',
            code: 'future',
            message: `is more than 5 minutes ahead: it is ${new Date(now).toISOString()}`,
          },
        ]
      : []),
  ];
}
