/** Places that nothing is fetched from or put at for a job, whatever the operator lists. */
import type { lookup } from 'node:dns';
import { describe, expect, it } from 'vitest';
import { type GroundOptions, inputsGround, reasonOf } from '../../../support/inputs-ground.ts';
import { contentOf, loopbackSource, sendContent } from '../../../support/loopback-source.ts';

const list = ['127.0.0.0/8'];
const hash = `sha3:${'0'.repeat(56)}`;
const { signal } = new AbortController();
const onBytes = () => undefined;

/** Why each way to a place is closed. */
async function reasonsAt(url: string, options: GroundOptions) {
  const { inputs, provide } = inputsGround({ policy: { allow: list }, egress: { allow: list }, ...options });
  const at = { url: new URL(url), size: 1, key: 'one' };
  const means = { egress: { rules: [], any_public: ['http' as const, 'https' as const] }, signal, onBytes };
  return {
    input: await reasonOf(provide({ kind: 'http', url })),
    payload: await reasonOf(
      inputs.withPayload({ hash, urls: [url], maxBytes: 10 }, { signal, onProgress: onBytes }, async () => undefined),
    ),
    brought: await reasonOf(inputs.bring(at, means, async () => undefined)),
    put: await reasonOf(inputs.deliver({ ...at, fill: async (write) => await write(Buffer.from('x')) }, means)),
  };
}

describe('what is fetched and put for a job', () => {
  it('is never in the networks of workloads, whatever is listed', async () => {
    const { origin, asked } = await loopbackSource((request, response) =>
      sendContent(request, response, contentOf('of another project')),
    );
    const why = expect.stringContaining('in the networks of workloads');

    const reasons = await reasonsAt(`${origin}/x`, { pool: '127.0.0.0/28' });

    expect(reasons).toEqual({ input: why, payload: why, brought: why, put: why });
    expect(asked).toEqual([]);
    expect((await reasonsAt(`${origin}/x`, {})).brought).toBe('it was provided');
  });

  it('is at no address of the host itself that is not listed, be it a public one', async () => {
    const found = [{ address: '1.1.1.1', family: 4 }];
    const stand = ((_name: string, _options: object, done: (error: null, all: object[]) => void) =>
      done(null, found)) as unknown as typeof lookup;
    const why = expect.stringContaining('at an address of this host');

    const reasons = await reasonsAt('https://a.example/x', { lookup: stand, own: () => ['1.1.1.1'] });

    expect(reasons).toEqual({ input: why, payload: why, brought: why, put: why });
  });
});
