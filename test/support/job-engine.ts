/**
 * A recording engine whose containers are programs of a job: each says something and ends as its script says, also where it is
 * asked to stop.
 */
import { labels } from '../../src/contract/names.ts';
import type { ContainerEngine, ContainerFacts, LogEntry } from '../../src/runtime/engine.ts';
import { type RecordingEngine, recordingEngine } from './recording-engine.ts';

/** What the container of a step does each time it is started; one for each start, the last one again and again. */
export type Script = readonly Run[];

export interface Run {
  /** Exit code once it ends by itself; it runs until it is stopped if left out. */
  readonly exit?: number;
  /** Ends only then. */
  readonly after?: Promise<void>;
  readonly oom?: boolean;
  readonly says?: readonly string[];
}

export interface JobEngine extends RecordingEngine {
  /** Ends the container of a step as if by itself. */
  end(container: string, exitCode: number): void;
  /** Has a container that is running go on by its script, as if it had just been started. */
  runs(container: string): void;
}

export function jobEngine(scripts: Readonly<Record<string, Script>>, over: Partial<ContainerEngine> = {}): JobEngine {
  const ended = new Map<string, PromiseWithResolvers<void>>();
  const starts = new Map<string, number>();
  const said = new Map<string, string[]>();
  let ticks = 0;
  // No two of them are the same.
  const now = () => {
    ticks += 1;
    return new Date(Date.now() + ticks).toISOString();
  };
  const change = (name: string, facts: Partial<ContainerFacts>) => {
    const container = recorded.containers.get(name);
    if (container) recorded.containers.set(name, { ...container, ...facts });
  };
  const end = (name: string, exitCode: number, oomKilled = false) => {
    if (recorded.containers.get(name)?.status !== 'running') return;
    change(name, { status: 'exited', pid: 0, exitCode, oomKilled, finishedAt: now() });
    ended.get(name)?.resolve();
  };
  const runs = (name: string) => {
    ended.set(name, Promise.withResolvers());
    const count = (starts.get(name) ?? 0) + 1;
    starts.set(name, count);
    const script = scripts[recorded.containers.get(name)?.labels[labels.service] ?? ''] ?? [{ exit: 0 }];
    const run = script[Math.min(count, script.length) - 1] ?? {};
    said.set(name, [...(said.get(name) ?? []), ...(run.says ?? [])]);
    const { exit } = run;
    if (exit !== undefined) void (run.after ?? Promise.resolve()).then(() => end(name, exit, run.oom));
  };
  const recorded = recordingEngine({
    start: async (name) => {
      change(name, { status: 'running', pid: 1, exitCode: null, startedAt: now() });
      runs(name);
    },
    stop: async (name) => end(name, 143),
    wait: async (name) => {
      if (recorded.containers.get(name)?.status === 'running') await ended.get(name)?.promise;
      return recorded.containers.get(name)?.exitCode ?? 0;
    },
    logs: async function* (name, { follow }): AsyncGenerator<LogEntry> {
      for (const [index, line] of (said.get(name) ?? []).entries()) {
        yield { cursor: String(index), time: now(), channel: 'stdout', data: Buffer.from(line), partial: false };
      }
      if (follow) await ended.get(name)?.promise;
    },
    ...over,
  });
  return { ...recorded, end, runs };
}
