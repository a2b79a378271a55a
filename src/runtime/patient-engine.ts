/**
 * An engine that waits a while when it is away: the gate or the engine is being restarted, which must not fail a launch
 * that is half way through.
 *
 * Only `engine.unavailable` is retried, where it can pass by itself, and only calls that may be repeated without harm. A create whose answer was lost
 * is looked up by name first: the gate's seal tells whether it happened. Streams are left to their readers, who have
 * cursors.
 */
import { AgentError } from '../contract/failures.ts';
import { labels } from '../contract/names.ts';
import { type Backoff, backoffDelay, pause } from '../kit/backoff.ts';
import type { ContainerEngine } from './engine.ts';
import type { StackRunner } from './stacks.ts';

export interface Patience {
  /** How long an engine may stay away before the call fails after all. */
  readonly patienceMs: number;
  readonly backoff: Backoff;
}

const usual: Patience = { patienceMs: 60_000, backoff: { firstMs: 100, maxMs: 2000, factor: 2 } };

/** `onAway` is called once per absence, with how long it will be waited at most, in milliseconds. */
export function patientEngine(
  engine: ContainerEngine,
  onAway: (waitMs: number) => void,
  patience: Patience = usual,
): ContainerEngine {
  const retry = <T>(signal: AbortSignal, call: () => Promise<T>) => patiently(call, signal, patience, onAway);

  return {
    ...{ logs: engine.logs.bind(engine), events: engine.events.bind(engine), close: engine.close.bind(engine) },
    // What was read of the stream is gone.
    ...{ putArchive: engine.putArchive.bind(engine), build: engine.build.bind(engine) },
    importImage: engine.importImage.bind(engine),
    facts: (signal) => retry(signal, () => engine.facts(signal)),
    pull: (image, options) => retry(options.signal, () => engine.pull(image, options)),
    image: (reference, signal) => retry(signal, () => engine.image(reference, signal)),
    builtImage: (request, signal) => retry(signal, () => engine.builtImage(request, signal)),
    importedImage: (request, signal) => retry(signal, () => engine.importedImage(request, signal)),
    builds: (signal) => retry(signal, () => engine.builds(signal)),
    removeBuilt: (built, signal) => retry(signal, () => engine.removeBuilt(built, signal)),
    removeLayers: (options) => retry(options.signal, () => engine.removeLayers(options)),
    list: (signal) => retry(signal, () => engine.list(signal)),
    inspect: (name, signal) => retry(signal, () => engine.inspect(name, signal)),
    create: async (name, request, signal) => {
      let lost = false;
      return await retry(signal, async () => {
        const made = lost ? await engine.inspect(name, signal) : undefined;
        if (made && made.labels[labels.task] === request.Labels[labels.task]) {
          return { id: made.id, freshData: false };
        }
        lost = true;
        return await engine.create(name, request, signal);
      });
    },
    start: (name, signal) => retry(signal, () => engine.start(name, signal)),
    stop: (name, grace, signal) => retry(signal, () => engine.stop(name, grace, signal)),
    remove: (name, signal) => retry(signal, () => engine.remove(name, signal)),
    wait: (name, signal) => retry(signal, () => engine.wait(name, signal)),
    exec: (name, argv, options) => {
      let lost = false;
      let { join } = options;
      // Who writes down how the engine calls it joins that one alone.
      const { onCreated } = options;
      const noted = onCreated && {
        adopt: false,
        onCreated: (exec: string) => {
          join = exec;
          onCreated(exec);
        },
      };
      return retry(options.signal, () => {
        const again = lost && { adopt: true };
        lost = true;
        return engine.exec(name, argv, { ...options, ...again, ...noted, join });
      });
    },
    stats: (name, signal) => retry(signal, () => engine.stats(name, signal)),
    ensureNetwork: (name, owner, signal) => retry(signal, () => engine.ensureNetwork(name, owner, signal)),
    networks: (signal) => retry(signal, () => engine.networks(signal)),
    removeNetwork: (name, signal) => retry(signal, () => engine.removeNetwork(name, signal)),
    getArchive: (name, path, signal) => retry(signal, () => engine.getArchive(name, path, signal)),
    statPath: (name, path, signal) => retry(signal, () => engine.statPath(name, path, signal)),
    volumes: (signal) => retry(signal, () => engine.volumes(signal)),
    removeVolume: (name, signal) => retry(signal, () => engine.removeVolume(name, signal)),
    caches: (options) => retry(options.signal, () => engine.caches(options)),
    measureDisk: (signal) => retry(signal, () => engine.measureDisk(signal)),
    removeCache: (volume, options) => retry(options.signal, () => engine.removeCache(volume, options)),
    ensureEgress: (job, request, signal) => retry(signal, () => engine.ensureEgress(job, request, signal)),
    ensureInputs: (job, volume, signal) => retry(signal, () => engine.ensureInputs(job, volume, signal)),
    putSecrets: (instance, files, signal) => retry(signal, () => engine.putSecrets(instance, files, signal)),
    removeData: (instance, what, signal) => retry(signal, () => engine.removeData(instance, what, signal)),
    wipe: (signal) => retry(signal, () => engine.wipe(signal)),
  };
}

/** The same for stacks: Compose may be run again, and finds what it had made. */
export function patientStacks(
  stacks: StackRunner,
  onAway: (waitMs: number) => void,
  patience: Patience = usual,
): StackRunner {
  const retry = (signal: AbortSignal, call: () => Promise<void>) => patiently(call, signal, patience, onAway);
  return {
    ...stacks,
    up: (stack, options) => retry(options.signal, () => stacks.up(stack, options)),
    stop: (instance, grace, options) => retry(options.signal, () => stacks.stop(instance, grace, options)),
    start: (instance, options) => retry(options.signal, () => stacks.start(instance, options)),
  };
}

/** Repeats one call while the engine is away. It must be one that may be repeated without harm. */
export async function patiently<T>(
  call: () => Promise<T>,
  signal: AbortSignal,
  { patienceMs, backoff }: Patience,
  onAway: (waitMs: number) => void,
): Promise<T> {
  let until: number | undefined;
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await call();
    } catch (error) {
      if (!isPassing(error)) {
        throw error;
      }
      if (until === undefined) {
        until = performance.now() + patienceMs;
        onAway(patienceMs);
      } else if (performance.now() > until) {
        throw error;
      }
      await pause(backoffDelay(backoff, attempt), signal);
    }
  }
}

/** States of an absence that somebody has to end: no restart does. */
const lasting: readonly unknown[] = ['no_permission', 'too_old'];

function isPassing(error: unknown): boolean {
  return error instanceof AgentError && error.code === 'engine.unavailable' && !lasting.includes(error.detail['state']);
}
