/**
 * A Compose in memory that remembers what was asked of it: nothing is made, started or stopped by it. `overrides` replace
 * single methods, for those that make it do something to a recording engine.
 */
import type { Stack, StackRunner } from '../../src/runtime/stacks.ts';

export interface RecordingStacks {
  readonly stacks: StackRunner;
  /** One line per call, in order. */
  readonly calls: string[];
  readonly ups: Stack[];
}

export function recordingStacks(overrides: Partial<StackRunner> = {}): RecordingStacks {
  const calls: string[] = [];
  const ups: Stack[] = [];
  const chosen: StackRunner = {
    version: async () => '2.26.1',
    up: async () => undefined,
    stop: async () => undefined,
    start: async () => undefined,
    forget: async () => true,
    ...overrides,
  };
  return {
    ...{ calls, ups },
    stacks: {
      version: chosen.version,
      up: (stack, options) => {
        calls.push(`up ${stack.instance}`);
        ups.push(stack);
        return chosen.up(stack, options);
      },
      stop: (instance, grace, options) => {
        calls.push(`stop ${instance} ${grace}`);
        return chosen.stop(instance, grace, options);
      },
      start: (instance, options) => {
        calls.push(`start ${instance}`);
        return chosen.start(instance, options);
      },
      forget: (instance) => {
        calls.push(`forget ${instance}`);
        return chosen.forget(instance);
      },
    },
  };
}
