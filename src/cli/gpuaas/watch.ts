/** Waits until an instance is what was asked for, and says every step on the way. */
import { AgentError } from '../../contract/failures.ts';
import { exitCodes } from '../exit-codes.ts';
import { untilInterrupted } from '../interruption.ts';
import { tell, tellFailure, tellJson } from '../output.ts';
import { oneLine } from '../printable.ts';
import { type ControlPlaneClient, isPassing } from './client.ts';
import { followEvents } from './event-lines.ts';
import { eventsSoFar, type InstanceEvent } from './event-pages.ts';
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

/** `before` is the instance as it was when the change was accepted. Ends early, with a failure that says so, on Ctrl-C. */
export async function untilSettled(
  client: ControlPlaneClient,
  before: Instance,
  options: WatchOptions,
): Promise<Watched> {
  const late = AbortSignal.timeout(options.timeout * 1000);
  const interruption = untilInterrupted();
  try {
    const instance = await watch(client, before, options, AbortSignal.any([late, interruption.signal]));
    if (!options.json && instance.failure) {
      tellFailure(instance.state, instance.failure);
    }
    return { instance, status: instance.state === 'failed' ? exitCodes.failed : exitCodes.ok };
  } catch (error) {
    if (interruption.signal.aborted) {
      throw new AgentError('command.interrupted', { instance: before.id }, { cause: error });
    }
    if (!late.aborted) {
      throw error;
    }
    const reason = `${options.timeout} s are over and it is not ${before.desired} yet; it goes on by itself.`;
    throw new AgentError('command.timed_out', { reason, instance: before.id }, { cause: error });
  } finally {
    interruption.stopListening();
  }
}

async function watch(
  client: ControlPlaneClient,
  before: Instance,
  { json }: WatchOptions,
  signal: AbortSignal,
): Promise<Instance> {
  if (isSettled(before, before.desired)) {
    if (!json) tell(oneLine(before.summary));
    return before;
  }
  const steps = new Steps(before.state_since, json);
  let instance = await present(client, before.id, signal);
  if (!isSettled(instance, before.desired)) {
    // From the first event on, for some came before the stream was open; those of earlier changes are not told.
    const options = { after: '0', signal, json };
    for await (const { data } of followEvents(client, '/api/v1/events', { subject_id: before.id }, options)) {
      steps.tell(JSON.parse(data) as Partial<InstanceEvent>);
      instance = await present(client, before.id, signal);
      if (isSettled(instance, before.desired)) break;
    }
  }
  // The instance is ahead of the stream.
  for await (const event of eventsSoFar(client, before.id, steps.last, signal)) {
    steps.tell(event);
  }
  return instance;
}

/** As it is now; a control plane that is away for a while is waited for, as the stream of events does. */
async function present(client: ControlPlaneClient, id: string, signal: AbortSignal): Promise<Instance> {
  for (;;) {
    try {
      return await client.get<Instance>(instancePath(id), {}, signal);
    } catch (error) {
      if (!isPassing(error)) throw error;
    }
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

/** What is told of the events since a moment: for people, what one says in the same words as the one before is left out. */
class Steps {
  /** Number of the last event that was seen. */
  last = 0;
  readonly #since: string;
  readonly #json: boolean;
  #said = '';

  constructor(since: string, json: boolean) {
    this.#since = since;
    this.#json = json;
  }

  tell(event: Partial<InstanceEvent>): void {
    const { seq = this.last, time, message = event.type ?? '' } = event;
    this.last = seq;
    if (time === undefined || time < this.#since) {
      return;
    }
    if (this.#json) {
      tellJson(event);
    } else if (message !== this.#said) {
      tell(`${time.slice(11, 19)}  ${oneLine(message)}`);
    }
    this.#said = message;
  }
}
