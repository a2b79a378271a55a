/** Times, lengths of time and lines of services as people read them. */

/** How long ago, in the one unit that says enough: `12 s`, `5 min`, `3 h`, `9 d`. */
export function ago(time: string, now: number): string {
  return spanOf(Math.max(0, now - Date.parse(time)));
}

function spanOf(ms: number): string {
  const seconds = ms / 1000;
  const units: [number, string][] = [
    [60, 's'],
    [60, 'min'],
    [48, 'h'],
    [Number.POSITIVE_INFINITY, 'd'],
  ];
  let value = seconds;
  for (const [most, unit] of units) {
    if (value < most) {
      return `${Math.floor(value)} ${unit}`;
    }
    value /= unit === 'h' ? 24 : 60;
  }
  return '';
}

/** A length with as many digits as matter: `40 ms`, `3.2 s`, `75 s`, `12 min`. */
export function lengthOf(ms: number): string {
  if (ms < 1000) {
    return `${Math.round(ms)} ms`;
  }
  return ms < 10_000 ? `${(ms / 1000).toFixed(1)} s` : ms < 120_000 ? `${Math.round(ms / 1000)} s` : spanOf(ms);
}

/** `1 core`, `2 cores`. */
export function counted(count: number, one: string): string {
  return `${count} ${count === 1 ? one : `${one}s`}`;
}

/** A line as it is read beside those of other services. */
export function ofService(service: string | undefined, line: string): string {
  return service === undefined ? line : `${service} | ${line}`;
}
