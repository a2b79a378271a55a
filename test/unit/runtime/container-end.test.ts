import { describe, expect, it } from 'vitest';
import { AgentError } from '../../../src/contract/failures.ts';
import { type EndWitness, explainEnd, readExcerpt } from '../../../src/runtime/container-end.ts';
import type { LogEntry } from '../../../src/runtime/engine.ts';
import { containerFacts } from '../../support/recording-engine.ts';

const signal = AbortSignal.timeout(10_000);
const ended = { status: 'exited', exitCode: 3, startedAt: '2026-11-25T12:00:00.500000000Z' };

/** A container that ended, with lines at these seconds of 12:00. */
function witness(...lines: readonly (readonly [at: string, text: string])[]): EndWitness {
  return {
    inspect: async () => containerFacts(ended),
    logs: async function* () {
      for (const [at, text] of lines) {
        const entry = { cursor: at, time: `2026-11-25T12:00:${at}Z`, channel: 'stdout', partial: false } as const;
        yield { ...entry, data: Buffer.from(text) } satisfies LogEntry;
      }
    },
  };
}

describe('what a container said last', () => {
  it('is of its present life, and says nothing of those before', async () => {
    const engine = witness(['00.100000000', 'before'], ['00.600000000', 'no config'], ['00.700000000', 'bye']);

    expect(await readExcerpt(engine, 'c', signal)).toBe('no config\nbye');
    expect(await explainEnd(engine, 'c', signal)).toMatchObject({
      code: 'container.exited',
      detail: { exit_code: 3, excerpt: 'no config\nbye' },
    });
  });

  it('begins with the line that was there before the engine had noted the start', async () => {
    expect(await readExcerpt(witness(['00.499000000', 'no config']), 'c', signal)).toBe('no config');
  });

  it('goes on where somebody has set the clock back meanwhile (FAULTS 20)', async () => {
    const engine = witness(['00.600000000', 'starting'], ['00.000000001', 'no config']);

    expect(await readExcerpt(engine, 'c', signal)).toBe('starting\nno config');
  });

  it('is all of it where it was never started, or nobody knows when', async () => {
    const engine = { ...witness(['00.100000000', 'before']), inspect: async () => containerFacts({ startedAt: null }) };

    expect(await readExcerpt(engine, 'c', signal)).toBe('before');
  });

  it('is nothing where the engine does not tell', async () => {
    const engine = { ...witness(), inspect: () => Promise.reject(new AgentError('engine.unavailable')) };

    expect(await readExcerpt(engine, 'c', signal)).toBe('');
  });
});
