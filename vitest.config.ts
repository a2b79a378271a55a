import { join } from 'node:path';
import { defineConfig } from 'vitest/config';
import { LongestFirst } from './test/support/longest-first.ts';
import { memoryFolder } from './test/support/memory-folder.ts';
import { withContainers } from './test/support/named-files.ts';

/** Bounds of what waits for a condition: they only tell what hangs from what does not. */
const expectations = { poll: { timeout: 60_000, interval: 20 } };
const setupFiles = ['test/support/set-up.ts'];

// Of a shell that is logged in at some control plane, as the README has it: tests have their own.
for (const name of Object.keys(process.env)) {
  if (/^GPUAAS_(?!DEV_|TEST_)/.test(name)) delete process.env[name];
}

// Of a run that is over: this one makes its own, see `test/support/programs.ts`.
delete process.env['GPUAAS_TEST_PROGRAMS'];

// A third of what the tests compute is programs of this checkout that start, from sources that are not built.
process.env['NODE_COMPILE_CACHE'] ??= join(import.meta.dirname, 'node_modules/.cache/compiled');

/** Whoever runs them has chosen, or they choose. */
const inMemory = process.env['TMPDIR'] === undefined ? { TMPDIR: memoryFolder() } : {};

export default defineConfig({
  test: {
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        // One process for many files, which share what they load: modules as Node itself loads them, without a bundler.
        // So `vi.mock` is not there: what a test replaces is handed in, or is `test/support/replace-builtin.ts`.
        test: {
          name: 'unit',
          include: ['test/unit/**/*.test.ts'],
          setupFiles,
          env: inMemory,
          expect: expectations,
          testTimeout: 120_000,
          hookTimeout: 120_000,
          isolate: false,
          experimental: { viteModuleRunner: false, nodeLoader: false },
          // Much is made and thrown away, by more processes than there are cores: it is looked through less often, by one thread.
          execArgv: ['--max-semi-space-size=64', '--single-threaded-gc'],
          // By itself it would leave a core idle; and some wait. Each loads nearly everything, so not more.
          maxWorkers: 3,
        },
      },
      {
        test: {
          name: 'integration',
          include: ['test/integration/**/*.test.ts'],
          expect: expectations,
          setupFiles,
          globalSetup: 'test/support/programs.ts',
          testTimeout: 300_000,
          hookTimeout: 300_000,
          // Two more than a small machine has cores: of a second of a file about half is computed, the rest is waited for.
          maxWorkers: 4,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          name: 'browser',
          include: ['test/browser/**/*.test.ts'],
          exclude: withContainers,
          expect: expectations,
          setupFiles,
          testTimeout: 300_000,
          hookTimeout: 300_000,
          maxWorkers: 2,
          sequence: { groupOrder: 2 },
        },
      },
      {
        test: {
          name: 'browser-containers',
          include: withContainers,
          expect: expectations,
          setupFiles,
          testTimeout: 300_000,
          hookTimeout: 300_000,
          maxWorkers: 1,
          sequence: { groupOrder: 3 },
        },
      },
      {
        test: {
          name: 'host',
          include: ['test/host/**/*.test.ts'],
          expect: expectations,
          setupFiles,
          globalSetup: 'test/support/made-once.ts',
          testTimeout: 300_000,
          hookTimeout: 300_000,
          // A host with an engine and an agent that measures itself is much, but it mostly waits: for a trial to end, for an engine to start.
          maxWorkers: 3,
          sequence: { groupOrder: 4 },
        },
      },
    ],
  },
});
