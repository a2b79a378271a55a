/** The kernel's own log, as far as this user may read it: what it killed, and what its drivers complain about. */
import { closeSync, constants, openSync, readSync } from 'node:fs';
import { uptime } from 'node:os';

export interface KernelLine {
  /** RFC 3339 in UTC. */
  readonly time: string;
  readonly text: string;
}

export interface NumberedLine extends KernelLine {
  /** Goes up with each record since the boot. */
  readonly number: number;
}

const recordBytes = 8192;
/** Far more than the kernel's ring holds. */
const maxRecords = 100_000;

/** Everything the kernel still remembers, oldest first; undefined where this user may not read it. */
export function readKernelLog(device?: string, bootedAtMs?: number): KernelLine[] | undefined {
  using log = KernelLog.open(device, bootedAtMs);
  return log?.read().map(({ time, text }) => ({ time, text }));
}

/** The log, open for whoever wants to know what is new again and again. */
export class KernelLog implements Disposable {
  readonly #file: number;
  readonly #bootedAtMs: number;
  readonly #buffer = Buffer.alloc(recordBytes);
  /** Begin of a line whose end was not there yet. The device gives whole records; a file may be written in pieces. */
  #begun = '';

  private constructor(file: number, bootedAtMs: number) {
    this.#file = file;
    this.#bootedAtMs = bootedAtMs;
  }

  /** Undefined where this user may not read it. */
  static open(device = '/dev/kmsg', bootedAtMs = Date.now() - uptime() * 1000): KernelLog | undefined {
    try {
      return new KernelLog(openSync(device, constants.O_RDONLY | constants.O_NONBLOCK), bootedAtMs);
    } catch (error) {
      if (['EACCES', 'EPERM', 'ENOENT', 'ENODEV'].includes(String((error as NodeJS.ErrnoException).code))) {
        return undefined;
      }
      throw error;
    }
  }

  /** What has come since the last time; at first everything the kernel remembers. Waits for nothing. */
  read(): NumberedLine[] {
    const lines: NumberedLine[] = [];
    for (const piece of this.#pieces()) {
      const [begun = '', ...before] = `${this.#begun}${piece}`.split('\n').reverse();
      this.#begun = begun.slice(0, recordBytes);
      lines.push(...before.reverse().flatMap((line) => this.#lineOf(line)));
    }
    return lines;
  }

  /** The device gives one record a read. */
  *#pieces(): Generator<string, void, undefined> {
    for (let count = 0; count < maxRecords; count += 1) {
      try {
        const length = readSync(this.#file, this.#buffer, 0, recordBytes, null);
        if (length === 0) {
          return;
        }
        yield this.#buffer.toString('utf8', 0, length);
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        if (code === 'EAGAIN') {
          return;
        }
        // EPIPE: older records were overwritten while we read; the next read goes on behind them.
        if (code !== 'EPIPE') {
          throw error;
        }
      }
    }
  }

  #lineOf(line: string): NumberedLine[] {
    const [, number, micros, text] = record.exec(line) ?? [];
    return micros === undefined || text === undefined
      ? []
      : [{ time: new Date(this.#bootedAtMs + Number(micros) / 1000).toISOString(), text, number: Number(number) }];
  }

  [Symbol.dispose](): void {
    closeSync(this.#file);
  }
}

/** `priority,number,microseconds since boot,flags;text`; further facts stand on lines that begin with a blank. */
const record = /^\d+,(\d+),(\d+),[^;]*;(.*)$/;
