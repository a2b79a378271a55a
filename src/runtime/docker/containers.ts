/** Life of a container: create, start, stop, remove, and what the engine knows about it. */
import { pause } from '../../kit/backoff.ts';
import type { AnyContainerRequest } from '../../policy/job-request.ts';
import type { ContainerFacts, ContainerSummary, CreatedContainer } from '../engine.ts';
import { isUnchanged, orUndefined } from './call-errors.ts';
import type { Calls } from './calls.ts';
import { type ContainerObject, readContainer, readSummary, type SummaryObject } from './container-objects.ts';
import { isRemovalInProgress } from './engine-words.ts';
import { AnswerError } from './transport.ts';

/** Between two looks at a container that the engine is taking away already. */
const removalPollMs = 50;

export async function listContainers(calls: Calls, signal: AbortSignal): Promise<ContainerSummary[]> {
  const options = { call: 'list', timeoutMs: calls.timeouts.lookMs, signal };
  return await calls.run(options, async (docker, abortSignal) => {
    const found = (await docker.listContainers({ all: true, abortSignal })) as unknown as SummaryObject[];
    const summaries = found.map((object) => readSummary(object) ?? summariseByInspection(calls, object, signal));
    return (await Promise.all(summaries)).filter((summary) => summary !== undefined);
  });
}

/** An engine's own list does not say what a container is promised. One that is gone by now is left out. */
async function summariseByInspection(
  calls: Calls,
  { Id }: SummaryObject,
  signal: AbortSignal,
): Promise<ContainerSummary | undefined> {
  const facts = await inspectContainer(calls, Id, signal);
  return facts && pickSummary(facts);
}

function pickSummary({ id, name, labels, status, cpuCores, memoryBytes }: ContainerFacts): ContainerSummary {
  return { id, name, labels, status, cpuCores, memoryBytes };
}

export async function inspectContainer(
  calls: Calls,
  container: string,
  signal: AbortSignal,
): Promise<ContainerFacts | undefined> {
  const options = { call: 'inspect', timeoutMs: calls.timeouts.lookMs, signal, container };
  return await calls.run(options, async (docker, abortSignal) => {
    const found = await orUndefined(docker.getContainer(container).inspect({ abortSignal }));
    return found && readContainer(found as unknown as ContainerObject);
  });
}

export async function createContainer(
  calls: Calls,
  container: string,
  request: AnyContainerRequest,
  signal: AbortSignal,
): Promise<CreatedContainer> {
  const options = { call: 'create', timeoutMs: calls.timeouts.changeMs, signal };
  return await calls.run(options, async (_docker, abort) => {
    // Not dockerode's: it keeps the id of the answer and drops what the gate adds to it.
    const query = { name: container };
    const call = { method: 'POST', path: '/containers/create', query, body: request, signal: abort } as const;
    const made = (await calls.transport.json(call)) as { readonly Id: string; readonly FreshData?: boolean };
    return { id: made.Id, freshData: made.FreshData === true };
  });
}

export async function startContainer(calls: Calls, container: string, signal: AbortSignal): Promise<void> {
  const options = { call: 'start', timeoutMs: calls.timeouts.changeMs, signal, container };
  await calls.run(options, (docker, abortSignal) => {
    return unlessUnchanged(docker.getContainer(container).start({ abortSignal }));
  });
}

/** The engine kills what has not ended after the grace, so the call takes little longer than that. */
export async function stopContainer(
  calls: Calls,
  container: string,
  graceSeconds: number,
  signal: AbortSignal,
): Promise<void> {
  const timeoutMs = graceSeconds * 1000 + calls.timeouts.stopSlackMs;
  const options = { call: 'stop', timeoutMs, signal, container };
  await calls.run(options, (docker, abortSignal) => {
    return unlessUnchanged(docker.getContainer(container).stop({ t: graceSeconds, abortSignal }));
  });
}

/** False if there was none. Returns only when it is gone, also where somebody else had begun to take it away. */
export async function removeContainer(calls: Calls, container: string, signal: AbortSignal): Promise<boolean> {
  const options = { call: 'remove', timeoutMs: calls.timeouts.changeMs, signal, container };
  return await calls.run(options, async (docker, abortSignal) => {
    const target = docker.getContainer(container);
    try {
      return (await orUndefined(target.remove({ v: true, force: true, abortSignal }).then(yes))) ?? false;
    } catch (error) {
      if (!(error instanceof AnswerError && isRemovalInProgress(error.message))) {
        throw error;
      }
    }
    while (await orUndefined(target.inspect({ abortSignal }))) {
      await pause(removalPollMs, abortSignal);
    }
    return true;
  });
}

/**
 * Waits for the end, as long as it takes: only the connection is watched. A container that was never started counts as
 * ended, with 0: call it after a start.
 */
export async function waitForContainer(calls: Calls, container: string, signal: AbortSignal): Promise<number> {
  const options = { call: 'wait', timeoutMs: calls.timeouts.lookMs, signal, container };
  const stream = await calls.open(options, (_docker, abort) => {
    const query = { condition: 'not-running' };
    return calls.transport.stream({ method: 'POST', path: `/containers/${container}/wait`, query, signal: abort });
  });
  const answer = (await stream.json()) as { readonly StatusCode?: number } | null;
  return Number(answer?.StatusCode ?? -1);
}

const yes = () => true;

async function unlessUnchanged(promise: Promise<unknown>): Promise<void> {
  try {
    await promise;
  } catch (error) {
    if (!isUnchanged(error)) {
      throw error;
    }
  }
}
