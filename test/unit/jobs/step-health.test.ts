import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { AgentError } from '../../../src/contract/failures.ts';
import { watchByCommand } from '../../../src/jobs/step-health.ts';
import type { ExecOptions } from '../../../src/runtime/engine.ts';
import { waitOnGlobalTimers } from '../../support/waits.ts';

waitOnGlobalTimers();
beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const away = () => new AgentError('engine.unavailable', { state: 'not_running' });
const minute = 60_000;

describe('a service that is asked by a command', () => {
  it('is ready with the first try that ends with 0, and says before what the last one said', async () => {
    const { said } = await watched([7, 8, 0]);

    expect(said).toEqual(['exit code 7', 'exit code 8', 'ready']);
  });

  it('that fails twice and passes again is well; the third in a row is one too many, and nothing is asked after it', async () => {
    const { said, asked } = await watched([0, 1, 1, 0, 1, 1, 5, 0]);

    expect(said).toEqual(['ready', 'unhealthy: exit code 5']);
    expect(asked).toHaveLength(7);
  });

  it('was ready before its agent was restarted is asked whether it is still', async () => {
    const { said } = await watched([1, 1, 1], { wasReady: true });

    expect(said).toEqual(['ready', 'unhealthy: exit code 1']);
  });

  it('is not ill because the engine is away', async () => {
    const { said } = await watched([0, away(), away(), away(), away(), 1, 1, 0, 0]);

    expect(said).toEqual(['ready']);
  });

  it('is asked by one command at a time: what hangs is joined', async () => {
    const { asked } = await watched([1, 0, 0]);

    expect(asked.every(({ adopt }) => adopt)).toBe(true);
  });
});

/** What came of it within a minute, where its command ends so; with the last of them after that. */
async function watched(ends: readonly (number | Error)[], { wasReady = false } = {}) {
  const said: string[] = [];
  const asked: ExecOptions[] = [];
  const over = new AbortController();
  const watching = watchByCommand({
    ...{ container: 'gpuaas-job-1.db', command: ['true'], signal: over.signal, wasReady },
    engine: {
      exec: async (_name, _command, options) => {
        const end = ends[Math.min(asked.push(options), ends.length) - 1];
        if (end === undefined || end instanceof Error) throw end;
        return { exitCode: end, tail: '', adopted: false };
      },
    },
    onReady: () => said.push('ready'),
    onWait: (answer) => said.push(answer),
    onUnhealthy: (answer) => said.push(`unhealthy: ${answer}`),
  });
  watching.catch(() => undefined);
  await vi.advanceTimersByTimeAsync(minute);
  over.abort();
  await watching.catch(() => undefined);
  return { said, asked };
}
