import { describe, expect, it } from 'vitest';
import { discreetEngine } from '../../../src/agent/discreet-engine.ts';
import { HiddenTexts } from '../../../src/agent/hidden-texts.ts';
import type { LogChannel, LogEntry } from '../../../src/runtime/engine.ts';
import { recordingEngine } from '../../support/recording-engine.ts';

const secret = 'SuperSecretToken-0123456789abcdefghijklmnop';
const hidden = new HiddenTexts();
hidden.hide(secret);
const { signal } = new AbortController();
const entry = (data: string | Buffer, over: Partial<LogEntry> = {}): LogEntry => ({
  ...{ cursor: 'c', time: 't', channel: 'stdout', partial: false },
  ...{ data: Buffer.from(data), ...over },
});

async function cleaned(entries: readonly LogEntry[], failure?: Error) {
  const { engine } = recordingEngine({
    logs: async function* () {
      yield* entries;
      if (failure) {
        throw failure;
      }
    },
  });
  const seen: LogEntry[] = [];
  let thrown: unknown;
  try {
    for await (const each of discreetEngine(engine, hidden).logs('gpuaas-x', { signal, follow: false })) {
      seen.push(each);
    }
  } catch (error) {
    thrown = error;
  }
  return { seen, thrown, text: Buffer.concat(seen.map(({ data }) => data)).toString() };
}

type Said = readonly (readonly [LogChannel, string])[];

async function commandSaying(said: Said, { adopted = false, failure }: { adopted?: boolean; failure?: Error } = {}) {
  const { engine } = recordingEngine({
    exec: async (_name, _argv, { onOutput }) => {
      for (const [channel, text] of said) onOutput?.(channel, text);
      if (failure) {
        throw failure;
      }
      return { exitCode: 1, tail: said.map(([, text]) => text).join(''), adopted };
    },
  });
  const told = { stdout: '', stderr: '' };
  const onOutput = (channel: LogChannel, text: string) => {
    told[channel] += text;
  };
  const run = discreetEngine(engine, hidden).exec('gpuaas-x', ['true'], { signal, onOutput });
  return { told, tail: await run.then(({ tail }) => tail).catch(() => '') };
}

/** Six characters are what is told from everything else. */
function holdsPart(text: string): boolean {
  return Array.from({ length: secret.length - 5 }, (_, at) => secret.slice(at, at + 6)).some((part) =>
    text.includes(part),
  );
}

describe('a discreet engine', () => {
  it('takes a secret out of what a command says, wherever it is cut, with the other channel in between', async () => {
    for (let cut = 0; cut <= secret.length; cut += 1) {
      const { told, tail } = await commandSaying([
        ['stdout', `begun\nit is ${secret.slice(0, cut)}`],
        ['stderr', 'an error\n'],
        ['stdout', `${secret.slice(cut)} then\nends`],
      ]);

      expect(told.stdout).toBe('begun\nit is [redacted] then\nends');
      expect(told.stderr).toBe('an error\n');
      expect(tail).toContain('[redacted] then\nends');
      expect(holdsPart(tail)).toBe(false);
    }
  });

  it('keeps no half of a secret where the output of a command is cut to its end', async () => {
    for (let cut = 0; cut <= secret.length; cut += 1) {
      const { tail } = await commandSaying([['stdout', `${'.'.repeat(9000)}${secret}${'.'.repeat(16_384 - cut)}`]]);

      expect(tail).toHaveLength(16_385);
      expect(holdsPart(tail)).toBe(false);
    }
  });

  it('takes out the half of a secret with which the output of a command breaks off', async () => {
    for (let cut = 6; cut < secret.length; cut += 1) {
      const said: Said = [['stderr', `it is ${secret.slice(0, cut)}`]];

      expect((await commandSaying(said, { adopted: true })).told.stderr).toBe('it is [redacted]');
      expect((await commandSaying(said, { failure: new Error('gone') })).told.stderr).toBe('it is [redacted]');
    }
  });

  it('takes secrets out of log entries, and leaves others as they are, byte for byte', async () => {
    const binary = Buffer.from([0xff, 0xfe, 0x00]);

    const { seen } = await cleaned([entry(`token ${secret}`), entry(binary)]);

    expect(seen.map(({ data }) => data)).toEqual([Buffer.from('token [redacted]'), binary]);
  });

  it('takes a secret out of a line that comes in pieces, each channel by itself', async () => {
    const { seen } = await cleaned([
      entry(`out ${'x'.repeat(100)}${secret.slice(0, 20)}`, { partial: true }),
      entry(`err ${secret.slice(0, 9)}`, { channel: 'stderr', partial: true }),
      entry(`${secret.slice(20)} end`),
      entry(secret.slice(9), { channel: 'stderr' }),
    ]);

    const of = (channel: string) =>
      seen.flatMap((each) => (each.channel === channel ? [each.data.toString()] : [])).join('');
    expect(of('stdout')).toBe(`out ${'x'.repeat(100)}[redacted] end`);
    expect(of('stderr')).toBe('err [redacted]');
    expect(seen.map(({ partial }) => partial)).toEqual([true, true, false, false]);
  });

  it('keeps a character whole that two pieces share', async () => {
    const [first, second] = [Buffer.from('é').subarray(0, 1), Buffer.from('é').subarray(1)];

    const { text } = await cleaned([entry(first, { partial: true }), entry(second)]);

    expect(text).toBe('é');
  });

  it('takes out the half of a secret with which a log begins or breaks off, and what it broke off with stays', async () => {
    const failure = new Error('connection lost');

    const { seen, thrown } = await cleaned(
      [
        entry(`${secret.slice(20)} one`),
        entry(`two ${secret.slice(20)}`),
        entry(secret.slice(0, 20), { partial: true }),
      ],
      failure,
    );

    expect(seen.map(({ data }) => data.toString())).toEqual([
      '[redacted] one',
      `two ${secret.slice(20)}`,
      '',
      '[redacted]',
    ]);
    expect(thrown).toBe(failure);
  });
});
