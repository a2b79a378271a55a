/**
 * The lines of one log that was kept of a job, each when it is its turn: a reader of many logs holds the next line of each of them.
 * What of a log is held is bounded by the share that it is given; of a longer line only its place is, and it is read once more.
 * No file stays open in between.
 */
import type { FileHandle } from 'node:fs/promises';
import { Type } from 'typebox';
import { type OutputChannel, outputChannels } from '../../contract/log-cursor.ts';
import { StreamedEntry } from '../../contract/session-messages.ts';
import { judgeKnown } from '../../contract/validate.ts';
import { Slots } from '../../kit/slots.ts';
import { toItsEnd } from '../../kit/to-its-end.ts';

/** Longer than any that an agent writes. */
const longestLine = 2 * 2 ** 20;
/** Of all readers of this process, so many read a long line at once. */
const longLines = new Slots(4);
const newline = 0x0a;
const nothing = Buffer.alloc(0);

const Line = Type.Object({
  time: StreamedEntry.properties.time,
  channel: Type.Enum(outputChannels),
  text: Type.String(),
  parts: Type.Optional(Type.Array(Type.Integer({ minimum: 0 }), { minItems: 1, maxItems: 256 })),
});

/** A line, and how many characters each of the entries had that its host made it of. */
export interface KeptLine {
  readonly entry: StreamedEntry & { readonly channel: OutputChannel };
  readonly parts: readonly number[];
}

interface Place {
  readonly at: number;
  readonly bytes: number;
}

/** The next line, or where that is. */
export interface Head {
  readonly time: string;
  readonly line: KeptLine | Place;
}

/** Undefined where the file is not there any more. */
export type OpenLog = () => Promise<FileHandle | undefined>;

export class KeptLines {
  readonly #open: OpenLog;
  readonly #share: number;
  /** What was read and not given yet begins there in the file. */
  #at: number;
  #held: Buffer = nothing;
  #isOver = false;
  /** True once the file was not there any more, or not to be read to its end. */
  isLost = false;

  /**
   * `share`: bytes that are held between two lines; at most twice as many while one is looked for. `from`: the byte that it begins
   * at; what is there of a line that has begun before is left out.
   */
  constructor(open: OpenLog, share: number, from = 0) {
    this.#open = open;
    this.#share = share;
    this.#at = from;
  }

  /**
   * Undefined at the end. What is no line of a log is left out, and all that follows one that is too long to be held: it comes
   * from a host.
   */
  async next(): Promise<Head | undefined> {
    while (!this.#isOver) {
      const line = await this.#short();
      if (line) {
        const read = lineOf(line);
        if (read) return { time: read.entry.time, line: read };
      } else if (!this.#isOver) {
        const head = await longLines.run(toItsEnd(), () => this.#long());
        if (head) return head;
      }
    }
    return undefined;
  }

  /** Undefined where the file is not there any more. */
  async lineOf({ line }: Head): Promise<KeptLine | undefined> {
    if (!('bytes' in line)) return line;
    return await longLines.run(toItsEnd(), async () => lineOf(await this.#read(line.at, line.bytes)));
  }

  /** Undefined where the next line is longer than the share, and at the end. */
  async #short(): Promise<Buffer | undefined> {
    for (let from = 0; ; ) {
      const end = this.#held.indexOf(newline, from);
      if (end !== -1) {
        const line = this.#held.subarray(0, end);
        this.#held = this.#held.subarray(end + 1);
        this.#at += end + 1;
        return line;
      }
      if (this.#held.length >= this.#share) return undefined;
      from = this.#held.length;
      const more = await this.#read(this.#at + from, this.#share);
      if (more.length === 0) {
        this.#isOver = true;
        return from > 0 ? this.#held : undefined;
      }
      this.#held = Buffer.concat([this.#held, more]);
    }
  }

  async #long(): Promise<Head | undefined> {
    const at = this.#at;
    let line = this.#held;
    this.#held = nothing;
    for (let from = 0; ; ) {
      const end = line.indexOf(newline, from);
      if (end !== -1) {
        line = line.subarray(0, end);
        this.#at += end + 1;
        break;
      }
      if (line.length > longestLine) {
        this.#isOver = true;
        this.isLost = true;
        return undefined;
      }
      from = line.length;
      const more = await this.#read(at + from, from);
      if (more.length === 0) {
        this.#isOver = true;
        break;
      }
      line = Buffer.concat([line, more]);
    }
    const read = lineOf(line);
    return read && { time: read.entry.time, line: { at, bytes: line.length } };
  }

  async #read(at: number, bytes: number): Promise<Buffer> {
    const file = await this.#open();
    if (!file) {
      this.isLost = true;
      return nothing;
    }
    try {
      const buffer = Buffer.allocUnsafeSlow(bytes);
      const { bytesRead } = await file.read(buffer, 0, bytes, at);
      return buffer.subarray(0, bytesRead);
    } finally {
      await file.close();
    }
  }
}

function lineOf(bytes: Buffer): KeptLine | undefined {
  try {
    const judged = judgeKnown(Line, JSON.parse(bytes.toString()));
    if (!judged.ok) return undefined;
    const { parts, ...said } = judged.value;
    return { entry: { ...said, encoding: 'utf8', partial: false }, parts: parts ?? [said.text.length] };
  } catch {
    return undefined;
  }
}
