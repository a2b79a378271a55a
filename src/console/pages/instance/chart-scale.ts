/** Where the values of a chart stand in its drawing, and the numbers along its edges. */
import type { Line } from './chart-series.ts';

export interface Plot {
  readonly width: number;
  readonly height: number;
  /** Where the lines may be: the rest is for numbers. */
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
}

export interface Scale {
  readonly x: (time: number) => number;
  readonly y: (value: number) => number;
}

export function plotOf(width: number, height: number): Plot {
  return { width, height, left: 64, right: Math.max(80, width - 8), top: 8, bottom: height - 22 };
}

/** From nothing to a little over the highest value, or over `most` where that is higher. */
export function scaleOf(
  { left, right, top, bottom }: Plot,
  times: readonly number[],
  lines: readonly Line[],
  most: number | null,
): Scale & { readonly highest: number } {
  const first = times[0] ?? 0;
  const span = Math.max(1, (times.at(-1) ?? first) - first);
  const highest =
    Math.max(most ?? 0, smallest, ...lines.flatMap(({ values }) => values.map((value) => value ?? 0))) * 1.06;
  return {
    x: (time) => left + ((time - first) / span) * (right - left),
    y: (value) => bottom - (value / highest) * (bottom - top),
    highest,
  };
}

/** A scale of nothing would have no numbers. */
const smallest = 1e-3;

/** Round numbers from 0 to `highest`, about four of them; for bytes round as they are counted. */
export function valueTicks(highest: number, isBinary: boolean): number[] {
  const rough = highest / 4;
  const step = isBinary ? 2 ** Math.ceil(Math.log2(Math.max(1, rough))) : roundStep(rough);
  return Array.from({ length: Math.floor(highest / step) + 1 }, (_, at) => at * step);
}

function roundStep(rough: number): number {
  const power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].map((each) => each * power).find((each) => each >= rough) ?? rough;
}

const timeSteps = [5, 15, 30, 60, 120, 300, 600, 900, 1800, 3600] as const;

/** Round times of day within the times, far enough apart for their words. */
export function timeTicks(times: readonly number[], room: number): number[] {
  const [first, last] = [times[0], times.at(-1)];
  if (first === undefined || last === undefined) return [];
  const most = Math.max(1, Math.floor(room / 80));
  const step = timeSteps.find((each) => (last - first) / each <= most) ?? 3600;
  const begin = Math.ceil(first / step) * step;
  return Array.from({ length: Math.max(0, Math.floor((last - begin) / step) + 1) }, (_, at) => begin + at * step);
}

/** The path of a line, broken where it has no value; a value that stands alone is a dot. */
export function pathOf(times: readonly number[], { values }: Line, { x, y }: Scale): string {
  let path = '';
  let isOpen = false;
  for (const [index, value] of values.entries()) {
    if (value === null) {
      isOpen = false;
      continue;
    }
    const place = `${x(times[index] ?? 0).toFixed(1)} ${y(value).toFixed(1)}`;
    path += isOpen ? `L${place}` : `M${place}h.01`;
    isOpen = true;
  }
  return path;
}

/** The time that is nearest to a place. */
export function nearest(times: readonly number[], { x }: Scale, place: number): number | null {
  let found: number | null = null;
  let distance = Number.POSITIVE_INFINITY;
  for (const [index, time] of times.entries()) {
    const away = Math.abs(x(time) - place);
    if (away < distance) [found, distance] = [index, away];
  }
  return found;
}
