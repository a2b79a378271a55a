/** The one network of each instance. Its subnet is the gate's choice. */
import { pause } from '../../kit/backoff.ts';
import type { NetworkSummary } from '../engine.ts';
import { orUndefined } from './call-errors.ts';
import type { Calls } from './calls.ts';
import { hasActiveEndpoints } from './engine-words.ts';
import { AnswerError } from './transport.ts';

/** A container that has just ended lets go of its network a moment later. */
const detachPollMs = 100;
const detachPolls = 30;

/** Finds the network or makes it. */
export async function ensureNetwork(
  calls: Calls,
  network: string,
  labels: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<void> {
  const options = { call: 'network', timeoutMs: calls.timeouts.changeMs, signal };
  await calls.run(options, async (docker, abortSignal) => {
    try {
      const body = { Name: network, Driver: 'bridge', Labels: labels };
      // Without the two words the body would become the query, too.
      await docker.createNetwork({ ...body, ...{ _query: {}, _body: body }, abortSignal });
    } catch (error) {
      // It is there. What is there by this name and not ours is refused by the gate, with a code.
      if (!(error instanceof AnswerError && error.status === 409 && error.body.code === undefined)) {
        throw error;
      }
    }
  });
}

/** False if there was none. */
export async function removeNetwork(calls: Calls, network: string, signal: AbortSignal): Promise<boolean> {
  const options = { call: 'network', timeoutMs: calls.timeouts.changeMs, signal };
  return await calls.run(options, async (docker, abortSignal) => {
    for (let poll = 1; ; poll += 1) {
      try {
        const removed = await orUndefined(
          docker
            .getNetwork(network)
            .remove({ abortSignal })
            .then(() => true),
        );
        return removed ?? false;
      } catch (error) {
        if (!(error instanceof AnswerError && hasActiveEndpoints(error.message)) || poll > detachPolls) {
          throw error;
        }
      }
      await pause(detachPollMs, abortSignal);
    }
  });
}

interface NetworkObject {
  readonly Name: string;
  readonly Labels?: Readonly<Record<string, string>> | null;
}

export async function listNetworks(calls: Calls, signal: AbortSignal): Promise<NetworkSummary[]> {
  const options = { call: 'network', timeoutMs: calls.timeouts.lookMs, signal };
  return await calls.run(options, async (_docker, abort) => {
    const found = (await calls.transport.json({ method: 'GET', path: '/networks', signal: abort })) as NetworkObject[];
    return found.map(({ Name, Labels }) => ({ name: Name, labels: Labels ?? {} }));
  });
}
