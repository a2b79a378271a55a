/** A job to try: what its first step has found out is what its second one says. */

/** Its definition, with the image that there is. */
export function jobOf(image: string) {
  const make = { cmd: 'echo made $(date +%s)' };
  const use = { cmd: ['echo', 'it was %%ops.make.results.name%%'] };
  return {
    ...{ version: '0.1', type: 'container', global: { image } },
    ops: [
      { type: 'container/run', id: 'make', results: { name: 'made (.+)' }, args: make },
      { type: 'container/run', id: 'use', args: use },
    ],
  };
}
