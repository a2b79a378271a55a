/**
 * Moments with nanoseconds, which a JavaScript Date cannot hold: as RFC 3339 text in UTC, and as the decimal seconds
 * that Unix programs pass around (`1767225600.000000001`).
 */

const rfc3339 = /^(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?Z$/;

/** Nanoseconds since 1970; undefined if the text is not a moment in UTC. */
export function toUnixNanos(time: string): bigint | undefined {
  const [, whole, fraction = ''] = rfc3339.exec(time) ?? [];
  const ms = whole === undefined ? Number.NaN : Date.parse(`${whole}Z`);
  return Number.isNaN(ms) ? undefined : BigInt(ms) * million + BigInt(fraction.padEnd(9, '0'));
}

/** Seconds with nine decimals. */
export function formatSeconds(nanos: bigint): string {
  return `${nanos / billion}.${(nanos % billion).toString().padStart(9, '0')}`;
}

/** RFC 3339 in UTC with nine decimals, so that texts sort like the moments they stand for. */
export function formatNanos(nanos: bigint): string {
  const seconds = new Date(Number(nanos / million)).toISOString().slice(0, 19);
  return `${seconds}.${(nanos % billion).toString().padStart(9, '0')}Z`;
}

const million = 1_000_000n;
const billion = 1_000_000_000n;
