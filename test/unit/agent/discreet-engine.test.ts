import { describe, expect, it } from 'vitest';
import { discreetEngine } from '../../../src/agent/discreet-engine.ts';
import { recordingEngine } from '../../support/recording-engine.ts';

const clean = (text: string) => text.replaceAll('s3cret', '[redacted]');
const signal = AbortSignal.timeout(5000);

describe('a discreet engine', () => {
  it('takes secrets out of what a command said', async () => {
    const { engine } = recordingEngine({ exec: async () => ({ exitCode: 1, tail: 'it is s3cret', adopted: false }) });

    const { tail } = await discreetEngine(engine, clean).exec('gpuaas-x', ['true'], { signal });

    expect(tail).toBe('it is [redacted]');
  });

  it('takes secrets out of log entries, and leaves others as they are, byte for byte', async () => {
    const binary = Buffer.from([0xff, 0xfe, 0x00]);
    const entry = { cursor: 'c', time: 't', channel: 'stdout' as const, partial: false };
    const { engine } = recordingEngine({
      logs: async function* () {
        yield { ...entry, data: Buffer.from('token s3cret') };
        yield { ...entry, data: binary };
      },
    });

    const entries = [];
    for await (const each of discreetEngine(engine, clean).logs('gpuaas-x', { signal, follow: false })) {
      entries.push(each.data);
    }

    expect(entries).toEqual([Buffer.from('token [redacted]'), binary]);
  });
});
