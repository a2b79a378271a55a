/** Waits until an instance is what was asked for, and says every step on the way. */
import { AgentError } from '../../contract/failures.ts';
import { exitCodes } from '../exit-codes.ts';
import { untilInterrupted } from '../interruption.ts';
import { tell, tellFailure, tellJson } from '../output.ts';
import { oneLine } from '../printable.ts';
import type { ControlPlaneClient } from './client.ts';
import { followEvents } from './event-lines.ts';
import { eventsSoFar, type InstanceEvent } from './event-pages.ts';
import { type Instance, instancePath, settled } from './instance.ts';
import { present } from './present.ts';
import { QuietWatch, whyQuiet } from './quiet.ts';

export interface WatchOptions {
  readonly json: boolean;
  /** Seconds after which the command gives up, if not as many as a launch may take; what was asked for goes on. */
  readonly timeout?: number;
  /** Milliseconds without news after which it says why there are none. */
  readonly quietMs?: number;
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
  const { timeout = before.launch_seconds } = options;
  const late = AbortSignal.timeout(timeout * 1000);
  const interruption = untilInterrupted();
  try {
    const instance = await watch(client, before, options, AbortSignal.any([late, interruption.signal]));
    if (!options.json && instance.failure) {
      tellFailure(instance.state, instance.failure);
    }
    return { instance, status: isRefused(instance) ? exitCodes.failed : exitCodes.ok };
  } catch (error) {
    if (interruption.signal.aborted) {
      throw new AgentError('command.interrupted', { instance: before.id }, { cause: error });
    }
    if (!late.aborted) {
      throw error;
    }
    const reason = `${timeout} s are over and it is not ${before.desired} yet; it goes on by itself.`;
    throw new AgentError('command.timed_out', { reason, instance: before.id }, { cause: error });
  } finally {
    interruption.stopListening();
  }
}

async function watch(
  client: ControlPlaneClient,
  before: Instance,
  { json, quietMs = 30_000 }: WatchOptions,
  signal: AbortSignal,
): Promise<Instance> {
  if (isSettled(before, before.desired)) {
    if (!json) tell(oneLine(before.summary));
    return before;
  }
  const steps = new Steps(before.state_since, json);
  let instance = await present<Instance>(client, instancePath(before.id), signal);
  if (!isSettled(instance, before.desired)) {
    const quiet = new QuietWatch(quietMs, () => void sayWhyQuiet(client, before.id, steps, signal));
    // From the first event on, for some came before the stream was open; those of earlier changes are not told.
    const options = { after: '0', signal, json };
    try {
      for await (const { data } of followEvents(client, '/api/v1/events', { subject_id: before.id }, options)) {
        steps.tell(JSON.parse(data) as Partial<InstanceEvent>);
        quiet.heard();
        instance = await present<Instance>(client, instancePath(before.id), signal);
        if (isSettled(instance, before.desired)) break;
      }
    } finally {
      quiet.stop();
    }
  }
  // The instance is ahead of the stream.
  for await (const event of eventsSoFar(client, before.id, steps.last, signal)) {
    steps.tell(event);
  }
  return instance;
}

/** Says nothing where the control plane is away: the stream of events has said so. */
async function sayWhyQuiet(client: ControlPlaneClient, id: string, steps: Steps, signal: AbortSignal): Promise<void> {
  const { last, said } = steps;
  const why = await whyQuiet(client, id, { last: said, now: Date.now(), signal }).catch(() => undefined);
  if (why !== undefined && steps.last === last) steps.remark(why);
}

function isSettled(instance: Instance, wanted: Instance['desired']): boolean {
  const { state, desired } = instance;
  return (
    state === wanted ||
    isRefused(instance) ||
    (wanted === 'running' && state === 'degraded') ||
    (desired !== wanted && settled.has(state))
  );
}

/** True for one that failed, and for one that rests where it was because its host could not do what was asked. */
function isRefused({ state, desired, failure }: Instance): boolean {
  return state === 'failed' || (state === 'stopped' && desired !== 'stopped' && failure !== null);
}

/** What is told of the events since a moment: for people, what one says in the same words as the one before is left out. */
class Steps {
  /** Number of the last event that was seen. */
  last = 0;
  readonly #since: string;
  readonly #json: boolean;
  /** What was told last. */
  said = '';

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
    } else if (message !== this.said) {
      tell(`${time.slice(11, 19)}  ${oneLine(message)}`);
    }
    this.said = message;
  }

  /** What is no event. */
  remark(message: string): void {
    if (this.#json) tellJson({ type: 'quiet', message });
    else tell(`… ${message}`);
  }
}
