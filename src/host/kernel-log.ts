/** The kernel's own log, as far as this user may read it: what it killed, and what its drivers complain about. */
import { closeSync, constants, openSync, readSync } from 'node:fs';
import { uptime } from 'node:os';

export interface KernelLine {
  /** RFC 3339 in UTC. */
  readonly time: string;
  readonly text: string;
}

const recordBytes = 8192;
/** Far more than the kernel's ring holds. */
const maxRecords = 100_000;

/** Everything the kernel still remembers, oldest first; undefined where this user may not read it. */
export function readKernelLog(
  device = '/dev/kmsg',
  bootedAtMs = Date.now() - uptime() * 1000,
): KernelLine[] | undefined {
  let file: number;
  try {
    file = openSync(device, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    if (['EACCES', 'EPERM', 'ENOENT', 'ENODEV'].includes(String((error as NodeJS.ErrnoException).code))) {
      return undefined;
    }
    throw error;
  }
  try {
    return [...records(file)].flatMap((record) => linesOf(record, bootedAtMs));
  } finally {
    closeSync(file);
  }
}

/** The device gives one record a read. */
function* records(file: number): Generator<string, void, undefined> {
  const buffer = Buffer.alloc(recordBytes);
  for (let count = 0; count < maxRecords; count += 1) {
    try {
      const length = readSync(file, buffer, 0, recordBytes, null);
      if (length === 0) {
        return;
      }
      yield buffer.toString('utf8', 0, length);
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

/** `priority,number,microseconds since boot,flags;text`; further facts stand on lines that begin with a blank. */
const record = /^\d+,\d+,(\d+),[^;]*;(.*)$/;

function linesOf(text: string, bootedAtMs: number): KernelLine[] {
  return text.split('\n').flatMap((line) => {
    const [, micros, words] = record.exec(line) ?? [];
    return micros === undefined || words === undefined
      ? []
      : [{ time: new Date(bootedAtMs + Number(micros) / 1000).toISOString(), text: words }];
  });
}
