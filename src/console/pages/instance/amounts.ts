/** Amounts in words, short enough for a table and exact enough to compare. */

const sizes = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const;

export function bytesText(bytes: number): string {
  let value = Math.max(0, bytes);
  let at = 0;
  for (; value >= 1024 && at < sizes.length - 1; at += 1) value /= 1024;
  return `${shortNumber(value)} ${sizes[at]}`;
}

/** `0.42 s`, `12 s`, `3 min 5 s`, `2 h 10 min`. */
export function secondsText(seconds: number): string {
  if (seconds < 10) return `${Number(seconds.toFixed(seconds < 1 ? 2 : 1))} s`;
  if (seconds < 59.5) return `${Math.round(seconds)} s`;
  const whole = Math.round(seconds);
  if (whole < 3600) return joined(Math.floor(whole / 60), 'min', whole % 60, 's');
  if (whole < 86_400) return joined(Math.floor(whole / 3600), 'h', Math.floor((whole % 3600) / 60), 'min');
  return joined(Math.floor(whole / 86_400), 'd', Math.floor((whole % 86_400) / 3600), 'h');
}

/** Time of day, `09:05:01`; empty for what is no time. */
export function clockText(time: string): string {
  const date = new Date(time);
  if (Number.isNaN(date.getTime())) return '';
  return [date.getHours(), date.getMinutes(), date.getSeconds()].map((part) => String(part).padStart(2, '0')).join(':');
}

/** Three digits that count: `0`, `0.05`, `1.5`, `12.3`, `640`. */
export function shortNumber(value: number): string {
  if (value === 0) return '0';
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return String(Number(value.toFixed(digits)));
}

function joined(large: number, largeUnit: string, small: number, smallUnit: string): string {
  return small === 0 ? `${large} ${largeUnit}` : `${large} ${largeUnit} ${small} ${smallUnit}`;
}
