/** Test files that are named for what they take; a house test looks whether each is still there. */

/** Pages with containers behind them. Whatever comes or goes on the engine changes the network, also under another file's browser. */
export const withContainers = ['notebook', 'vllm'].map((name) => `test/browser/${name}.test.ts`);

/** Short, and most of what they take is waiting: by their size they would begin last, and end alone. */
export const takeLong = ['host/update', 'integration/daemon-health', 'integration/daemon-slow-socket'].map(
  (name) => `test/${name}.test.ts`,
);

/**
 * Each starts many programs, the first ones most. To start one is to copy a table of all memory of the process, and those that run unit
 * tests grow to a gigabyte: at their beginning it takes a tenth of the time.
 */
export const startPrograms = [
  ...['agent/update/guard', 'agent/update/apply', 'host/doctor/runtime-checks', 'host/gpus', 'host/amd'],
  ...['host/gpu-topology', 'host/run-program', 'host/doctor/nvidia-checks', 'host/gvisor-cards', 'host/compose'],
  ...['host/runtimes', 'host/doctor/install-checks', 'kit/tarball/same-revision', 'gate/job-inputs'],
  ...['tasks/workload-oci-runtime-status', 'runtime/open-stacks', 'agent/dispatch', 'cli/completion'],
].map((name) => `test/unit/${name}.test.ts`);
