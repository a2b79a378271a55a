/** Finds the lines of a log that hold a text, piece by piece, so that a long log never stops the page. */
import type { LogBuffer } from './log-buffer.ts';

export interface Piece {
  readonly text: string;
  readonly isHit: boolean;
}

/** Hits of one line that are marked. */
const mostMarks = 200;

export class LogSearch {
  readonly #buffer: LogBuffer;
  readonly #needle: string;
  /** Lines with a hit, oldest first; those before `#gone` are not in the log any more. */
  #hits: number[] = [];
  #gone = 0;
  #next: number;

  /** Upper and lower case are the same. An empty text is found nowhere. */
  constructor(buffer: LogBuffer, text: string) {
    this.#buffer = buffer;
    this.#needle = text.toLowerCase();
    this.#next = buffer.first;
  }

  /** Looks at so many lines more; false where it has seen all that is there by now. */
  look(lines: number): boolean {
    const { first, end } = this.#buffer;
    this.#next = Math.max(this.#next, first);
    const until = this.#needle === '' ? end : Math.min(end, this.#next + lines);
    for (; this.#next < until; this.#next += 1) {
      const text = this.#buffer.at(this.#next)?.text ?? '';
      if (this.#needle !== '' && text.toLowerCase().includes(this.#needle)) this.#hits.push(this.#next);
    }
    this.#forget(first);
    return this.#next < end;
  }

  get count(): number {
    return this.#hits.length - this.#gone;
  }

  /** Which hit, counted from 1, the line is; 0 for none. */
  placeOf(line: number | undefined): number {
    const at = line === undefined ? -1 : this.#hits.indexOf(line, this.#gone);
    return at < 0 ? 0 : at - this.#gone + 1;
  }

  /** The hit behind a line, or the first one again. */
  after(line: number): number | undefined {
    const at = this.#firstFrom(line + 1);
    return this.#hits[at < this.#hits.length ? at : this.#gone];
  }

  /** The hit before a line, or the last one again. */
  before(line: number): number | undefined {
    const at = this.#firstFrom(line) - 1;
    return at >= this.#gone ? this.#hits[at] : this.#hits.at(-1);
  }

  #firstFrom(line: number): number {
    let [low, high] = [this.#gone, this.#hits.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#hits[middle] as number) < line) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #forget(first: number): void {
    while (this.#gone < this.#hits.length && (this.#hits[this.#gone] as number) < first) this.#gone += 1;
    if (this.#gone > 10_000) {
      this.#hits = this.#hits.slice(this.#gone);
      this.#gone = 0;
    }
  }
}

/** The part of a line from `from` to `to`, cut where a hit of it begins and ends; a hit may lie over the edge. */
export function piecesOf(line: string, query: string, from = 0, to = line.length): Piece[] {
  const lower = line.toLowerCase();
  // There are letters whose small form is longer: then only what is written alike is marked.
  const [where, needle] = lower.length === line.length ? [lower, query.toLowerCase()] : [line, query];
  const pieces: Piece[] = [];
  let done = from;
  const take = (until: number, isHit: boolean) => {
    if (until > done) pieces.push({ text: line.slice(done, until), isHit });
    done = Math.max(done, until);
  };
  if (needle !== '') {
    let at = where.indexOf(needle, Math.max(0, from - needle.length + 1));
    for (let marks = 0; at >= 0 && at < to && marks < mostMarks; marks += 1) {
      take(Math.max(from, at), false);
      take(Math.min(to, at + needle.length), true);
      at = where.indexOf(needle, at + needle.length);
    }
  }
  take(to, false);
  return pieces;
}
