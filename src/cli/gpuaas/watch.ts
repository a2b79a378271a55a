/** Waits until an instance is what was asked for, and says every step on the way. */
import { AgentError } from '../../contract/failures.ts';
import { exitCodes } from '../exit-codes.ts';
import { tell, tellFailure, tellJson } from '../output.ts';
import { oneLine } from '../printable.ts';
import type { ControlPlaneClient } from './client.ts';
import { followEvents } from './event-lines.ts';
import { type Instance, instancePath, settled } from './instance.ts';

export interface WatchOptions {
  readonly json: boolean;
  /** Seconds after which the command gives up; what was asked for goes on. */
  readonly timeout: number;
}

export interface Watched {
  readonly instance: Instance;
  /** Exit status that stands for how it ended. */
  readonly status: number;
}

/** `before` is the instance as it was when the change was accepted. */
export async function untilSettled(
  client: ControlPlaneClient,
  before: Instance,
  { json, timeout }: WatchOptions,
): Promise<Watched> {
  const signal = AbortSignal.timeout(timeout * 1000);
  const wanted = before.desired;
  try {
    let instance = await client.get<Instance>(instancePath(before.id), {}, signal);
    // From the first event on, for some came before the stream was open; those of earlier changes are not told.
    const events = followEvents(client, '/api/v1/events', { subject_id: before.id }, { after: '0', signal });
    if (!isSettled(instance, wanted)) {
      for await (const { data } of events) {
        say(data, before.state_since, json);
        instance = await client.get<Instance>(instancePath(before.id), {}, signal);
        if (isSettled(instance, wanted)) break;
      }
    }
    if (!json && instance.failure) {
      tellFailure(instance.state, instance.failure);
    }
    return { instance, status: instance.state === 'failed' ? exitCodes.failed : exitCodes.ok };
  } catch (error) {
    if (!signal.aborted) {
      throw error;
    }
    const reason = `${timeout} s are over and it is not ${wanted} yet; it goes on by itself.`;
    throw new AgentError('command.timed_out', { reason, instance: before.id }, { cause: error });
  }
}

function isSettled({ state, desired }: Instance, wanted: Instance['desired']): boolean {
  return (
    state === wanted ||
    state === 'failed' ||
    (wanted === 'running' && state === 'degraded') ||
    (desired !== wanted && settled.has(state))
  );
}

function say(data: string, since: string, json: boolean): void {
  const event = JSON.parse(data) as { time?: string; message?: string; type?: string };
  if (event.time === undefined || event.time < since) {
    return;
  }
  if (json) {
    tellJson(event);
  } else {
    tell(`${event.time.slice(11, 19)}  ${oneLine(event.message ?? event.type ?? '')}`);
  }
}
