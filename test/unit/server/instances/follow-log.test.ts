import { expect, it } from 'vitest';
import { AgentError, type FailureCode } from '../../../../src/contract/failures.ts';
import type { InstanceState } from '../../../../src/contract/instance-state.ts';
import type { LogPart } from '../../../../src/server/hub/log-relay.ts';
import { followLog } from '../../../../src/server/instances/follow-log.ts';

const entry = (text: string) => ({ time: '', channel: 'stdout', text, encoding: 'utf8', partial: false }) as const;
const line = (text: string): LogPart => ({ kind: 'entries', cursor: `behind ${text}`, entries: [entry(text)] });
const end: LogPart = { kind: 'end', failure: null };
const ended = (code: FailureCode): LogPart => ({ kind: 'end', failure: new AgentError(code).toFailure() });

/** Follows a log whose host answers each read with the next of `reads`, after which the instance is in the state beside it. */
async function follow(reads: readonly (readonly [readonly LogPart[], InstanceState | undefined])[]) {
  const cursors: (string | null)[] = [];
  const waited: number[] = [];
  const parts = followLog({
    ...{ cursor: null, signal: new AbortController().signal },
    async *read(cursor) {
      cursors.push(cursor);
      yield* reads[cursors.length - 1]?.[0] ?? [];
    },
    state: async () => reads[cursors.length - 1]?.[1],
    clock: { pause: async (ms) => void waited.push(ms) },
  });
  return { parts: await Array.fromAsync(parts), cursors, waited };
}

it('goes on behind the last entry while the workload is started again', async () => {
  const { parts, cursors } = await follow([
    [[line('a'), line('b'), end], 'restarting'],
    [[end], 'degraded'],
    [[line('c'), end], 'running'],
    [[end], 'stopped'],
  ]);

  expect(parts).toEqual([line('a'), line('b'), line('c'), end]);
  expect(cursors).toEqual([null, 'behind b', 'behind b', 'behind c']);
});

it.each(['stopped', 'failed', 'decommissioning', 'decommissioned'] as const)(
  'ends where the instance is %s',
  async (state) => {
    const { parts, cursors } = await follow([[[line('a'), end], state]]);

    expect(parts).toEqual([line('a'), end]);
    expect(cursors).toEqual([null]);
  },
);

it('waits for the container of an instance that is still being launched, and longer each time', async () => {
  const notYet = [[ended('container.not_found')], 'deploying'] as const;

  const { parts, waited } = await follow([notYet, notYet, notYet, [[line('a'), end], 'failed']]);

  expect(parts).toEqual([line('a'), end]);
  expect(waited).toHaveLength(3);
  expect(waited[2]).toBeGreaterThan(waited[0] ?? 0);
});

it('ends as usual where a launch that failed has taken its container away before that was known here', async () => {
  const { parts } = await follow([
    [[line('a'), end], 'deploying'],
    [[ended('container.not_found')], 'deploying'],
    [[ended('container.not_found')], 'failed'],
  ]);

  expect(parts).toEqual([line('a'), end]);
});

it('ends with `container.not_found` where there never was a line', async () => {
  const { parts } = await follow([[[ended('container.not_found')], 'decommissioned']]);

  expect(parts).toEqual([ended('container.not_found')]);
});

it.each([
  ['node.away', 'unknown'],
  ['engine.failed', 'restarting'],
] as const)('ends with %s of an instance that is %s: waiting would not help', async (code, state) => {
  const { parts } = await follow([[[line('a'), ended(code)], state]]);

  expect(parts).toEqual([line('a'), ended(code)]);
});

it('ends without a word when its reader is gone', async () => {
  const { parts, cursors } = await follow([[[line('a')], 'running']]);

  expect(parts).toEqual([line('a')]);
  expect(cursors).toHaveLength(1);
});
