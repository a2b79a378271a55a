/** Reads results of a step out of its log, line by line. Expressions run in time linear to the length of a line. */
import { RE2JS } from 're2js';
import type { JobStep } from '../contract/job-plan.ts';

type Channel = 'stdout' | 'stderr';

/** Bounds of what a step can make the agent keep. */
const most = { matches: 1_000, bytes: 256 * 1024 } as const;

export class StepResults {
  readonly #wanted: readonly { readonly name: string; readonly channels: readonly Channel[]; readonly regex: RE2JS }[];
  readonly #found = new Map<string, string[]>();
  #bytes = 0;

  constructor(results: JobStep['results']) {
    this.#wanted = results.map(({ name, regex, channels }) => ({ name, channels, regex: RE2JS.compile(regex) }));
  }

  /** `text` without its line break. */
  line(channel: Channel, text: string): void {
    for (const { name, channels, regex } of this.#wanted) {
      if (!channels.includes(channel)) continue;
      const matcher = regex.matcher(text);
      while (matcher.find()) {
        const groups = matcher.groupCount();
        if (groups === 0) this.#keep(name, matcher.group());
        for (let group = 1; group <= groups; group += 1) this.#keep(name, matcher.group(group));
      }
    }
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
    if (value === null || values.length >= most.matches || this.#bytes + value.length > most.bytes) return;
    this.#bytes += value.length;
    values.push(value);
    this.#found.set(name, values);
  }
}
