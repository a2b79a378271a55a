/**
 * Which rows of a screen the lines of a log take. Rows have one height and are counted from the first line ever on, so
 * the row of a line never changes while others come and go; only another width counts all anew.
 */
import type { LogBuffer } from './log-buffer.ts';

/** One row of the screen: a line, or a piece of one that is wrapped. */
export interface LogRow {
  readonly row: number;
  readonly line: number;
  /** Where the piece begins and ends in the text of the line. */
  readonly from: number;
  readonly to: number;
}

/** Rows that one line takes at most; the rest of a longer one is in the file. */
const mostRows = 200;

export class LogRows {
  readonly #buffer: LogBuffer;
  /** Row at which a line begins, in a ring beside that of the lines. */
  readonly #starts: number[] = [];
  #counted: number;
  #end = 0;
  #columns: number;

  /** `columns` of a row; infinite where lines are not wrapped. */
  constructor(buffer: LogBuffer, columns: number) {
    this.#buffer = buffer;
    this.#columns = Math.max(20, columns);
    this.#counted = buffer.first;
    this.count();
  }

  /** Takes in the lines that came since. */
  count(): void {
    const { capacity, end, first } = this.#buffer;
    for (let number = Math.max(this.#counted, first); number < end; number += 1) {
      this.#starts[number % capacity] = this.#end;
      this.#end += this.#rowsOf(this.#buffer.at(number)?.text ?? '');
    }
    this.#counted = end;
  }

  /** First row that is there. */
  get first(): number {
    return this.#buffer.size === 0 ? this.#end : this.#startOf(this.#buffer.first);
  }

  /** Row that the next line will begin at. */
  get end(): number {
    return this.#end;
  }

  rowOf(line: number): number {
    return this.#startOf(Math.min(Math.max(line, this.#buffer.first), this.#counted - 1));
  }

  /** The rows from `from` to before `to`, those that are there. */
  between(from: number, to: number): LogRow[] {
    const rows: LogRow[] = [];
    const last = Math.min(to, this.#end);
    let line = this.#lineAt(Math.max(from, this.first));
    for (; line < this.#counted; line += 1) {
      const start = this.#startOf(line);
      if (start >= last) break;
      const text = this.#buffer.at(line)?.text ?? '';
      let piece = 0;
      for (const [begin, stop] of this.#pieces(text)) {
        const row = start + piece;
        if (row >= from && row < last) rows.push({ row, line, from: begin, to: stop });
        piece += 1;
      }
    }
    return rows;
  }

  #startOf(line: number): number {
    return this.#starts[line % this.#buffer.capacity] ?? 0;
  }

  /** The line that has the row. */
  #lineAt(row: number): number {
    let low = this.#buffer.first;
    let high = this.#counted - 1;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (this.#startOf(middle) <= row) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  #rowsOf(text: string): number {
    if (text.length * 2 <= this.#columns || (text.length <= this.#columns && isNarrow(text))) return 1;
    return this.#columns === Number.POSITIVE_INFINITY ? 1 : [...this.#pieces(text)].length;
  }

  *#pieces(text: string): Generator<readonly [from: number, to: number]> {
    if (this.#columns === Number.POSITIVE_INFINITY || text === '') {
      yield [0, text.length];
      return;
    }
    const narrow = isNarrow(text);
    for (let from = 0, rows = 0; from < text.length && rows < mostRows; rows += 1) {
      const to = narrow ? Math.min(text.length, from + this.#columns) : endOfPiece(text, from, this.#columns);
      yield [from, to];
      from = to;
    }
  }
}

/** Columns that a text takes. */
export function columnsOf(text: string): number {
  if (isNarrow(text)) return text.length;
  let columns = 0;
  for (const character of text) columns += widthOf(character);
  return columns;
}

function endOfPiece(text: string, from: number, columns: number): number {
  let to = from;
  for (let used = 0; to < text.length; ) {
    const character = String.fromCodePoint(text.codePointAt(to) ?? 0);
    used += widthOf(character);
    if (used > columns && to > from) break;
    to += character.length;
  }
  return to;
}

/** Every character takes one column. */
function isNarrow(text: string): boolean {
  return !/[^\x20-\x7e\u00a0-\u02ff\u2500-\u259f]/.test(text);
}

/** Two columns for what East Asian scripts and pictures need. Others are shown in one, or a little less. */
function widthOf(character: string): number {
  return /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f000}-\u{1faff}\u{20000}-\u{3fffd}]/u.test(
    character,
  )
    ? 2
    : 1;
}
