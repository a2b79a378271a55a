/** Test files that are named for what they take; a house test looks whether each is still there. */

/** Pages with containers behind them. Whatever comes or goes on the engine changes the network, also under another file's browser. */
export const withContainers = ['notebook', 'vllm'].map((name) => `test/browser/${name}.test.ts`);

/** Short, and most of what they take is waiting: by their size they would begin last, and end alone. */
export const takeLong = ['host/update', 'integration/daemon-health', 'integration/daemon-slow-socket'].map(
  (name) => `test/${name}.test.ts`,
);
