/**
 * Watches the services of a stack while they come up, and waits until all are ready.
 *
 * A service is watched from its start on. One that ends fails the stack at once, whatever the others are waiting for, unless
 * its end is what the others wait for.
 */
import { AgentError } from '../../contract/failures.ts';
import type { ReadinessCheck } from '../../contract/workload-oci-launch.ts';
import { pause } from '../../kit/backoff.ts';
import { explainEnd, readExcerpt } from '../container-end.ts';
import type { ContainerFacts } from '../engine.ts';
import { type ReadinessAttempt, type ReadinessOptions, untilAllPassed } from './until-ready.ts';

export interface StackService {
  readonly name: string;
  readonly container: string;
  /** Of its own endpoints, in order; or its health check. Without any it is ready while it runs. */
  readonly checks: readonly ReadinessCheck[];
  readonly ports: ReadinessOptions['ports'];
  /** True if others wait for its end: it may exit with 0. */
  readonly mayEnd: boolean;
  readonly sealedEnv: ReadinessOptions['sealedEnv'];
}

type Engine = ReadinessOptions['engine'];
type OnAttempt = (attempt: ReadinessAttempt, service: string) => void;

/** How long a stack without any check must run. */
const settleMs = 1000;

export class StackWatch {
  readonly #engine: Engine;
  readonly #services: readonly StackService[];
  readonly #watched = new Set<StackService>();
  readonly #failed = Promise.withResolvers<never>();
  readonly #stop = new AbortController();
  readonly #signal: AbortSignal;

  constructor(services: readonly StackService[], { engine, signal }: { engine: Engine; signal: AbortSignal }) {
    this.#services = services;
    this.#engine = engine;
    this.#signal = AbortSignal.any([signal, this.#stop.signal]);
    // Whoever waits for something at this moment is told; later nobody may be left.
    this.#failed.promise.catch(() => undefined);
  }

  /** Call it once the container has been started; again does nothing. */
  started(container: string): void {
    const service = this.#services.find((each) => each.container === container);
    if (service && !this.#watched.has(service)) {
      this.#watched.add(service);
      this.#untilEnded(service).catch((error) => this.#failed.reject(error));
    }
  }

  /** Does the work, or throws `container.exited` or `container.oom_killed` as soon as a service ends; `work` is aborted then. */
  async during<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const abort = new AbortController();
    const working = work(AbortSignal.any([this.#signal, abort.signal]));
    try {
      return await Promise.race([working, this.#failed.promise]);
    } catch (error) {
      abort.abort(error);
      // To its end: nothing of it may go on behind the back of whoever cleans up.
      await Promise.allSettled([working]);
      throw error;
    }
  }

  /**
   * Resolves with what each container is like once every check has passed and every service is as it should be. `onAttempt` is
   * called after each attempt of each check.
   */
  async untilReady(onAttempt?: OnAttempt): Promise<Map<string, ContainerFacts>> {
    for (const { container } of this.#services) {
      this.started(container);
    }
    await this.during(async (signal) => {
      const checked = this.#services.filter(({ checks }) => checks.length > 0);
      const passing = checked.map((service) =>
        untilServicePassed(service, { engine: this.#engine, signal, onAttempt }),
      );
      await (checked.length > 0 ? Promise.all(passing) : pause(settleMs, signal));
    });
    return await this.#lookAtAll();
  }

  /** Nothing is watched any more. */
  end(): void {
    this.#stop.abort();
  }

  /** Says of the first service that is not as it should be why; undefined if all are well, or were never started. */
  async explain(): Promise<AgentError | undefined> {
    for (const service of this.#services) {
      const facts = await this.#engine.inspect(service.container, this.#signal);
      if (facts && (facts.status === 'exited' || facts.status === 'dead') && !endedWell(service, facts.exitCode)) {
        return await this.#explainEnd(service);
      }
      if (facts?.health === 'unhealthy') {
        const excerpt = await readExcerpt(this.#engine, service.container, this.#signal, facts);
        const check = { check: 'container_health', answer: 'unhealthy' };
        return new AgentError('readiness.timed_out', { service: service.name, ...check, excerpt });
      }
    }
    return undefined;
  }

  async #lookAtAll(): Promise<Map<string, ContainerFacts>> {
    const looks = this.#services.map(async (service) => {
      const facts = await this.#engine.inspect(service.container, this.#signal);
      if (!facts || (facts.status !== 'running' && !endedWell(service, facts.exitCode))) {
        throw await this.#explainEnd(service);
      }
      return [service.name, facts] as const;
    });
    return new Map(await Promise.all(looks));
  }

  async #untilEnded(service: StackService): Promise<void> {
    const exitCode = await this.#engine.wait(service.container, this.#signal);
    if (!endedWell(service, exitCode)) {
      throw await this.#explainEnd(service);
    }
  }

  async #explainEnd({ name, container }: StackService): Promise<AgentError> {
    const { code, detail } = await explainEnd(this.#engine, container, this.#signal);
    return new AgentError(code, { service: name, ...detail });
  }
}

async function untilServicePassed(
  { name, checks, container, ports, sealedEnv }: StackService,
  { engine, signal, onAttempt }: { engine: Engine; signal: AbortSignal; onAttempt: OnAttempt | undefined },
): Promise<void> {
  try {
    await untilAllPassed(checks, {
      ...{ engine, signal, name: container, ports, sealedEnv },
      onAttempt: (attempt) => onAttempt?.(attempt, name),
    });
  } catch (error) {
    throw error instanceof AgentError && error.code === 'readiness.timed_out'
      ? new AgentError(error.code, { service: name, ...error.detail }, { cause: error })
      : error;
  }
}

function endedWell({ mayEnd }: StackService, exitCode: number | null): boolean {
  return mayEnd && exitCode === 0;
}
