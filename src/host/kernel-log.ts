/** The kernel's own log, as far as this user may read it: what it killed, and what its drivers complain about. */
import { spawnSync } from 'node:child_process';
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

/** Where the kernel's log is read. */
export const kernelLogDevice = '/dev/kmsg';

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

  /** `device`: its path, or the file that somebody with the right to has opened for us. Undefined where this user may not read it. */
  static open(
    device: string | number = kernelLogDevice,
    bootedAtMs = Date.now() - uptime() * 1000,
  ): KernelLog | undefined {
    if (typeof device === 'number') {
      return waitsForNothing(device) ? new KernelLog(device, bootedAtMs) : undefined;
    }
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

/**
 * Makes reads of an open file return at once where there is nothing. Node cannot set that flag; but it belongs to what was opened, not
 * to a process, so a program that sets it on its own stdin sets it here as well. False where that is not to be had.
 */
function waitsForNothing(file: number): boolean {
  const args = ['iflag=nonblock', 'count=0', 'status=none'];
  return spawnSync('/usr/bin/dd', args, { stdio: [file, 'ignore', 'ignore'], env: {}, timeout: 5000 }).status === 0;
}

/** `priority,number,microseconds since boot,flags;text`; further facts stand on lines that begin with a blank. */
const record = /^\d+,(\d+),(\d+),[^;]*;(.*)$/;
