/** Reads results of a step out of its log, line by line, on an engine that never backtracks. */
import { RE2JS } from 're2js';
import type { JobStep } from '../contract/job-plan.ts';

type Channel = 'stdout' | 'stderr';

/** Bounds of what a step can make the agent keep. */
const most = { matches: 1_000, bytes: 256 * 1024 } as const;
/** One search is linear, and each match begins another one: those of a hostile line would take minutes together. */
const msPerLine = 100;
/** Lines that take longer than that before an expression is not looked for any more. */
const mostSlowLines = 20;

interface Wanted {
  readonly name: string;
  readonly channels: readonly Channel[];
  readonly regex: RE2JS;
  slowLines: number;
}

export class StepResults {
  readonly #wanted: readonly Wanted[];
  readonly #found = new Map<string, string[]>();
  #bytes = 0;

  constructor(results: JobStep['results']) {
    this.#wanted = results.map(({ name, regex, channels }) => ({
      ...{ name, channels, regex: RE2JS.compile(regex), slowLines: 0 },
    }));
  }

  /** `text` without its line break. */
  line(channel: Channel, text: string): void {
    for (const wanted of this.#wanted) {
      const { name, channels, regex, slowLines } = wanted;
      if (!channels.includes(channel) || slowLines >= mostSlowLines) continue;
      const until = performance.now() + msPerLine;
      const matcher = regex.matcher(text);
      while (!this.#isFull(name) && performance.now() < until && matcher.find()) {
        const groups = matcher.groupCount();
        if (groups === 0) this.#keep(name, matcher.group());
        for (let group = 1; group <= groups; group += 1) this.#keep(name, matcher.group(group));
      }
      if (performance.now() >= until) wanted.slowLines += 1;
    }
  }

  #isFull(name: string): boolean {
    return (this.#found.get(name)?.length ?? 0) >= most.matches;
  }

  /** Groups of all matches in their order; undefined where nothing matched. */
  get(name: string): readonly string[] | undefined {
    return this.#found.get(name);
  }

  all(): Record<string, string[]> {
    return Object.fromEntries([...this.#found].map(([name, values]) => [name, [...values]]));
  }

  #keep(name: string, value: string | null): void {
    const values = this.#found.get(name) ?? [];
    if (value === null || this.#isFull(name) || this.#bytes + value.length > most.bytes) return;
    this.#bytes += value.length;
    values.push(value);
    this.#found.set(name, values);
  }
}
