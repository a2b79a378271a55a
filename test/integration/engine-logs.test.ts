/** Logs of real containers through the real gate: exact positions, bytes as they are, bounded memory (FAULTS 21, 22). */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LogEntry, LogOptions } from '../../src/runtime/engine.ts';
import { heldBytes } from '../support/held-memory.ts';
import { openTestHost, type TestHost } from '../support/test-host.ts';
import { runWorkload, soon } from './engine-workload.ts';

let host: TestHost;

beforeAll(async () => {
  host = await openTestHost();
});

afterAll(async () => {
  await host.close();
});

const log_limits = { max_size_mib: 64, max_files: 2 };
const MiB = 2 ** 20;

async function readAll(name: string, options: Partial<LogOptions> = {}): Promise<LogEntry[]> {
  const entries: LogEntry[] = [];
  for await (const entry of host.engine.logs(name, { signal: soon(), follow: false, ...options })) {
    entries.push(entry);
  }
  return entries;
}

async function ended(script: string): Promise<string> {
  const name = await runWorkload(host, script, { log_limits });
  await host.engine.wait(name, soon());
  return name;
}

const texts = (entries: readonly LogEntry[]) => entries.map(({ channel, data }) => `${channel} ${data.toString()}`);

async function countEntries(entries: AsyncIterable<LogEntry>): Promise<number> {
  let count = 0;
  for await (const _entry of entries) {
    count += 1;
  }
  return count;
}

describe('the log of a container', () => {
  it('comes by channel, with the time of the engine, and says which lines go on', async () => {
    const before = Date.now();
    const name = await ended('echo one; echo two >&2; echo; printf unfinished');

    const entries = await readAll(name);

    // The engine reads the channels side by side: which of two lines comes first is known within one channel only.
    const stdout = entries.filter(({ channel }) => channel === 'stdout');
    expect(texts(stdout)).toEqual(['stdout one', 'stdout ', 'stdout unfinished']);
    expect(stdout.map(({ partial }) => partial)).toEqual([false, false, true]);
    expect(entries.filter((entry) => !stdout.includes(entry))).toMatchObject([{ channel: 'stderr', partial: false }]);
    expect(texts(entries)).toContain('stderr two');
    for (const { time } of entries) {
      expect(time).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$/);
      expect(Date.parse(time)).toBeGreaterThanOrEqual(before - 1000);
    }
  });

  it('goes on exactly behind each of its cursors, whatever the two channels wrote at the same time', async () => {
    const name = await ended(
      `(i=0; while [ $i -lt 300 ]; do echo out-$i; i=$((i+1)); done) &
       (i=0; while [ $i -lt 300 ]; do echo err-$i >&2; i=$((i+1)); done) &
       head -c 100000 /dev/zero | tr '\\0' x; echo; wait`,
    );
    const all = await readAll(name);

    const whole = texts(all).join('\n');
    expect(all.length).toBeGreaterThan(600);
    for (let index = 0; index < all.length; index += 7) {
      const rest = await readAll(name, { cursor: all[index]?.cursor });
      const stitched = [...texts(all.slice(0, index + 1)), ...texts(rest)].join('\n');
      expect(stitched === whole, `cursor ${all[index]?.cursor} of entry ${index}`).toBe(true);
    }
    expect(await readAll(name, { cursor: all.at(-1)?.cursor })).toEqual([]);
  });

  it('begins where the tail says', async () => {
    const name = await ended('for i in 1 2 3 4 5; do echo $i; done');

    expect(texts(await readAll(name, { tail: 2 }))).toEqual(['stdout 4', 'stdout 5']);
    expect(await readAll(name, { tail: 0 })).toEqual([]);
  });

  it('is followed until the container ends', async () => {
    const name = await runWorkload(host, 'for i in 1 2 3; do echo $i; sleep 0.3; done; exit 4');

    const entries = await readAll(name, { follow: true });

    expect(texts(entries)).toEqual(['stdout 1', 'stdout 2', 'stdout 3']);
    expect(await host.engine.inspect(name, soon())).toMatchObject({ status: 'exited', exitCode: 4 });
  });

  it('is followed from a cursor on', async () => {
    const name = await runWorkload(host, 'for i in 1 2 3 4 5 6; do echo $i; sleep 0.2; done');
    const seen: LogEntry[] = [];
    for await (const entry of host.engine.logs(name, { signal: soon(), follow: true })) {
      seen.push(entry);
      if (seen.length === 2) {
        break;
      }
    }

    const rest = await readAll(name, { follow: true, cursor: seen.at(-1)?.cursor });

    expect(texts([...seen, ...rest])).toEqual([1, 2, 3, 4, 5, 6].map((number) => `stdout ${number}`));
  });

  it('is neither lost nor repeated when the gate goes away in the middle', async () => {
    // It goes on only when it is told to, so that it never ends before the stream that is to be cut.
    const lines = 'i=$((part*20)); while [ $i -lt $((part*20+20)) ]; do echo $i; i=$((i+1)); done';
    const script = `for part in 0 1 2; do ${lines}; until [ -e /tmp/after-$part ]; do sleep 0.05; done; done`;
    const name = await runWorkload(host, script);
    const entries: LogEntry[] = [];
    const outages: unknown[] = [];

    for (let done = false; !done; ) {
      try {
        const cursor = entries.at(-1)?.cursor;
        for await (const entry of host.engine.logs(name, { signal: soon(), follow: true, cursor })) {
          entries.push(entry);
          if (entries.length % 20 === 10) {
            await host.restartGate();
          }
          if (entries.length % 20 === 0) {
            await host.engine.exec(name, ['touch', `/tmp/after-${entries.length / 20 - 1}`], { signal: soon() });
          }
        }
        done = true;
      } catch (error) {
        outages.push(error);
        await sleep(20);
      }
    }

    expect(texts(entries)).toEqual(Array.from({ length: 60 }, (_, number) => `stdout ${number}`));
    expect(outages).toHaveLength(3);
    for (const outage of outages) {
      expect(outage).toMatchObject({ code: 'engine.unavailable' });
    }
  });

  it('rejects with the reason of the signal while nothing is written', async () => {
    const name = await runWorkload(host, 'sleep 300');
    const reason = new Error('closed by the reader');
    const abort = new AbortController();

    const reading = readAll(name, { follow: true, signal: abort.signal });
    setTimeout(() => abort.abort(reason), 200);

    await expect(reading).rejects.toBe(reason);
  });

  it('refuses a cursor that nobody gave', async () => {
    const name = await ended('true');

    for (const cursor of ['', 'x', 'stdout=2026-99-99T00:00:00Z/0', 'stdout=2026-01-01T00:00:00Z/0;x']) {
      await expect(readAll(name, { cursor }), cursor).rejects.toMatchObject({ code: 'task.invalid' });
    }
  });
});

describe('an unfriendly log', () => {
  it('keeps a 10 MB line without newline in pieces of at most 16 KiB and little memory', async () => {
    const name = await ended(`head -c ${10 * MiB} /dev/zero | tr '\\0' y; echo; echo after`);
    let bytes = 0;
    const held: number[] = [];
    const lines: boolean[] = [];

    for await (const { data, partial } of host.engine.logs(name, { signal: soon(), follow: false })) {
      expect(data.length).toBeLessThanOrEqual(16 * 1024);
      bytes += data.length;
      lines.push(partial);
      if (bytes > (held.length + 1) * MiB) {
        held.push(await heldBytes());
      }
    }

    expect(bytes).toBe(10 * MiB + 'after'.length);
    expect(lines.filter((partial) => !partial)).toHaveLength(2);
    // Gate and reader share this process: neither holds more of the line at its end than at its beginning.
    expect(held.length).toBeGreaterThanOrEqual(9);
    expect(Math.max(...held.slice(1)) - (held[0] ?? 0)).toBeLessThan(3 * MiB);
  });

  it('keeps memory flat while a container floods it and the reader is slow', async () => {
    const [lines, lineBytes] = [40_000, 1000];
    const script = `yes $(head -c ${lineBytes} /dev/zero | tr '\\0' z) | head -n ${lines}`;
    const name = await runWorkload(host, script, { log_limits });
    const slow = host.engine.logs(name, { signal: soon(), follow: true });
    let entries = (await slow.next()).done ? 0 : 1;
    const before = await heldBytes();

    // While the slow one reads nothing, the container writes all it has to say, and another reader gets all of it.
    await host.engine.wait(name, soon());
    const all = await countEntries(host.engine.logs(name, { signal: soon(), follow: false }));
    const held = (await heldBytes()) - before;
    entries += await countEntries(slow);

    expect([all, entries]).toEqual([lines, lines]);
    expect(held).toBeLessThan((lines * lineBytes) / 8);
  });

  it('keeps every byte that the engine keeps, and shows where the engine itself replaced some', async () => {
    const name = await ended("printf 'a\\000b\\033[31m\\377\\376c\\303\\244\\n'");

    const [entry] = await readAll(name);

    // The json-file driver of the engine writes U+FFFD for each byte that is no UTF-8. All else is untouched.
    expect(entry?.data).toEqual(Buffer.from('a\u0000b\u001b[31m\ufffd\ufffdcä'));
  });
});
