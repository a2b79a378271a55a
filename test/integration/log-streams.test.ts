/** Streams of real containers: through the gate, with the credit of a slow reader (FAULTS 4, 16, 21, 22). */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { LogStreams } from '../../src/agent/logs/log-streams.ts';
import { openLogSources } from '../../src/agent/logs/open-sources.ts';
import { namePrefix } from '../../src/contract/names.ts';
import type { LogsChunk, LogsEnd, LogsGap, LogsOpen } from '../../src/contract/session-messages.ts';
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

const MiB = 2 ** 20;
const log_limits = { max_size_mib: 64, max_files: 2 };

/** Runs the script as a workload and returns its instance. */
async function instanceOf(script: string, limits = log_limits): Promise<string> {
  const name = await runWorkload(host, script, { log_limits: limits });
  return name.slice(namePrefix.length);
}

/** A control plane that gives credit for what it has taken, `bytes` ahead. */
function reader(asked: Partial<LogsOpen> & { source: LogsOpen['source'] }) {
  const streams = new LogStreams({
    sources: openLogSources({ engine: host.engine, taskLogs: join(host.folder, 'state/task-logs') }),
    holdMs: 50,
  });
  const messages: (LogsChunk | LogsGap | LogsEnd)[] = [];
  const seen = { text: '', dataBytes: 0, encodings: new Set<string>() };
  const { promise: ended, resolve } = Promise.withResolvers<LogsEnd>();
  streams.open(
    { type: 'logs_open', stream: 's', cursor: null, tail: null, follow: false, bytes: 256 * 1024, ...asked },
    {
      send: async (message) => {
        messages.push(message);
        if (message.type === 'logs_chunk') {
          for (const { text, encoding, partial } of message.block) {
            const data = Buffer.from(text, encoding);
            seen.dataBytes += data.length;
            seen.encodings.add(encoding);
            seen.text = (seen.text + data.toString('latin1') + (partial ? '' : '\n')).slice(-1000);
          }
          message.block.length = 0;
        } else if (message.type === 'logs_end') {
          resolve(message);
        }
        return true;
      },
    },
  );
  return { streams, messages, seen, ended, give: (bytes: number) => streams.credit('s', bytes) };
}

describe('the stream of a container', () => {
  it('brings a 10 MB line without newline in small messages (FAULTS 21)', async () => {
    const instance = await instanceOf(`head -c ${10 * MiB} /dev/zero | tr '\\0' y; echo; echo after`);
    await host.engine.wait(`${namePrefix}${instance}`, soon());

    const { seen, messages, ended } = reader({ source: { kind: 'instance', id: instance }, bytes: 16 * MiB });

    expect(await ended).toMatchObject({ failure: null });
    expect(seen.dataBytes).toBe(10 * MiB + 'after'.length);
    expect(messages.length).toBeGreaterThan(100);
  });

  it('costs bounded memory while a container floods it, and tells a slow reader what is missing (FAULTS 4, 21)', async () => {
    const line = '0123456789012345678901234567890123456789012345678901234567890123';
    const instance = await instanceOf(`yes ${line}`, { max_size_mib: 1, max_files: 2 });
    const before = await heldBytes();
    const { streams, seen, messages, give } = reader({
      ...{ source: { kind: 'instance', id: instance }, follow: true, bytes: 1000 },
    });

    // Nothing is taken until the engine has thrown away what comes next, then a little at a time.
    await vi.waitFor(
      () => {
        give(64 * 1024);
        expect(messages.some(({ type }) => type === 'logs_gap')).toBe(true);
      },
      { timeout: 100_000, interval: 500 },
    );
    streams.close('s');

    expect(messages.find(({ type }) => type === 'logs_gap')).toMatchObject({ dropped: null });
    expect(seen.dataBytes).toBeGreaterThan(0);
    expect((await heldBytes()) - before).toBeLessThan(8 * MiB);
  });

  it('goes on over a restart of the gate without a word, neither losing nor repeating (FAULTS 36)', async () => {
    const instance = await instanceOf('i=0; while [ $i -lt 40 ]; do echo $i; i=$((i+1)); sleep 0.05; done');
    const { seen, messages, ended } = reader({ source: { kind: 'instance', id: instance }, follow: true });

    await vi.waitFor(() => expect(seen.text).toContain('10\n'), { timeout: 100_000 });
    await host.restartGate();

    expect(await ended).toMatchObject({ failure: null });
    expect(seen.text).toBe(Array.from({ length: 40 }, (_, number) => `${number}\n`).join(''));
    expect(messages.filter(({ type }) => type === 'logs_gap')).toEqual([]);
  });

  it('of a task is its log, until it ends', async () => {
    const params = host.launchParams(await host.image('tiny'), { command: ['echo up; sleep 300'] });
    const taskId = `task-${params.identity.app_instance_id}`;
    await host.run('workload.oci_launch', params, { taskId });

    const { seen, ended } = reader({ source: { kind: 'task', id: taskId }, follow: true });

    expect(await ended).toMatchObject({ failure: null });
    expect(seen.text).toContain('task ends');
  });

  it('ends with the reason where there is no such instance', async () => {
    const { ended } = reader({ source: { kind: 'instance', id: 'nobody-launched-this' } });

    expect(await ended).toMatchObject({ failure: { code: 'container.not_found' } });
  });
});
