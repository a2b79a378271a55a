/** A supervisor at work on a recording engine, with the clock and the engine's events in the hand of the test. */
import type { KeptWorkload } from '../../src/agent/journal/journal.ts';
import { Supervisor, type SupervisorOptions } from '../../src/agent/supervision/supervisor.ts';
import { AgentError } from '../../src/contract/failures.ts';
import { labels } from '../../src/contract/names.ts';
import { createLog } from '../../src/kit/log.ts';
import type { ContainerEngine, ContainerFacts, EngineEvent } from '../../src/runtime/engine.ts';
import { keptWorkloads } from './kept-workloads.ts';
import { manualClock } from './manual-clock.ts';
import { containerFacts, recordingEngine } from './recording-engine.ts';
import { recordingStacks } from './recording-stacks.ts';

const name = 'gpuaas-notebook-1';
const id = 'notebook-1';

/** Supervisors that are at work: end them after each test. */
export const stops: (() => Promise<void>)[] = [];

export async function supervise(
  rows: KeptWorkload[],
  containers: ContainerFacts[],
  overrides: Partial<ContainerEngine> = {},
  options: Partial<SupervisorOptions> = {},
) {
  const clock = manualClock();
  const kept = keptWorkloads(...rows);
  const stream = eventStream();
  const recorder = recordingEngine({ events: stream.events, ...overrides });
  for (const container of containers) {
    recorder.containers.set(container.name, container);
  }
  const stacks = recordingStacks();
  const log: string[] = [];
  const reserved: unknown[] = [];
  const engineStates: string[] = [];
  const supervisor: Supervisor = new Supervisor({
    ...{ engine: recorder.engine, stacks: stacks.stacks, journal: kept.journal, clock, random: () => 1, settleMs: 10 },
    admission: {
      reserve: async (_instance, resources) => {
        reserved.push(resources);
        return () => undefined;
      },
    },
    unseal: async (jwe) => Buffer.from(`opened ${jwe}`),
    onEngine: () => void engineStates.push(supervisor.engineState.state),
    log: createLog({ destination: { write: (line: string) => void log.push(line) } }),
    ...options,
  });
  const stop = new AbortController();
  const running = supervisor.run(stop.signal);
  stops.push(async () => {
    stop.abort();
    await running;
  });
  await clock.advance(0);
  const change = (over: Partial<ContainerFacts>, container = name) => {
    recorder.containers.set(container, { ...(recorder.containers.get(container) ?? containerFacts()), ...over });
  };
  return {
    ...{
      supervisor,
      clock,
      ...recorder,
      ...kept,
      stacks,
      stream,
      log,
      reserved,
      engineStates,
      change,
      row: () => kept.rows.get(id),
    },
    /** A container ends, and the engine says so. */
    end: async (over: Partial<ContainerFacts>, container = name) => {
      change({ status: 'exited', pid: 0, finishedAt: '2026-11-25T12:00:00.000000001Z', ...over }, container);
      const instance = recorder.containers.get(container)?.labels[labels.instance] ?? id;
      stream.say({ action: 'die', container, instance, exitCode: over.exitCode ?? null });
      await clock.advance(0);
    },
  };
}

function eventStream() {
  let wake = Promise.withResolvers<void>();
  let waiting: (EngineEvent | Error)[] = [];
  const push = (item: EngineEvent | Error) => {
    waiting.push(item);
    wake.resolve();
  };
  return {
    say: (over: Partial<EngineEvent>) =>
      push({
        time: '2026-11-25T12:00:00.000000001Z',
        container: name,
        instance: id,
        action: 'die',
        exitCode: null,
        ...over,
      }),
    cut: () => push(new AgentError('engine.unavailable')),
    events: async function* ({ signal }: { signal: AbortSignal }): AsyncGenerator<EngineEvent> {
      const { promise: over, reject } = Promise.withResolvers<never>();
      over.catch(() => undefined);
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
      for (;;) {
        await Promise.race([wake.promise, over]);
        wake = Promise.withResolvers<void>();
        const items = waiting;
        waiting = [];
        for (const item of items) {
          if (item instanceof Error) {
            throw item;
          }
          yield item;
        }
      }
    } satisfies ContainerEngine['events'],
  };
}
