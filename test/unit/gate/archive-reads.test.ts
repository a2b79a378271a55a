import { expect, it } from 'vitest';
import { ArchiveReads } from '../../../src/gate/archive-reads.ts';

const never = new AbortController().signal;
const untilEnded = (signal: AbortSignal) =>
  new Promise<void>((_, reject) => signal.addEventListener('abort', () => reject(new Error('a broken pipe'))));

it('all that is read out of a container ends with a start of it, and nothing else does', async () => {
  const reads = new ArchiveReads();
  const go = Promise.withResolvers<void>();
  const ended = [reads.run('one', never, untilEnded), reads.run('one', never, untilEnded)];
  const other = reads.run('two', never, () => go.promise);

  reads.end('one');

  for (const each of ended) {
    await expect(each).rejects.toMatchObject({ code: 'engine.unavailable', detail: { state: 'busy' } });
  }
  await expect(reads.run('one', never, async (signal) => signal.throwIfAborted())).resolves.toBeUndefined();
  go.resolve();
  await expect(other).resolves.toBeUndefined();
});
