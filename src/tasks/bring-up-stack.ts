/** Has Compose do something to a stack, while its steps are told and its services are watched. */
import { AgentError } from '../contract/failures.ts';
import type { RenderedStack } from '../policy/render-stack.ts';
import type { StackWatch } from '../runtime/probes/until-stack-ready.ts';
import type { StackOptions } from '../runtime/stacks.ts';
import type { TaskContext } from './task-context.ts';

/** Steps that are worth an event; those that only begin are not. */
const told: Readonly<Record<string, string>> = {
  Created: 'is created',
  Started: 'is started',
  Healthy: 'is healthy',
  Exited: 'has done its work',
  Stopped: 'is stopped',
};

/** Brings the stack up. The phase is `starting` from the first start on. */
export async function bringUp(
  instance: string,
  { document, env, containers }: RenderedStack,
  watch: StackWatch,
  context: TaskContext,
): Promise<void> {
  let starting = false;
  const start = () => {
    if (!starting) context.enter('starting');
    starting = true;
  };
  await watched(watch, async (signal) => {
    const options = composeOptions({ ...context, signal }, containers, (container, step) => {
      if (step === 'Starting') start();
      if (step === 'Started' || step === 'Running') watch.started(container);
    });
    await context.stacks.up({ instance, document, env }, options);
  });
  start();
}

/** Compose says of a service that ended only that it did. */
export async function watched(watch: StackWatch, work: (signal: AbortSignal) => Promise<void>): Promise<void> {
  try {
    await watch.during(work);
  } catch (error) {
    if (error instanceof AgentError && error.code === 'compose.failed') {
      throw (await watch.explain()) ?? error;
    }
    throw error;
  }
}

/** Every step of Compose as an event of its service, every other line into the log of the task. */
export function composeOptions(
  { emit, log, signal }: Pick<TaskContext, 'emit' | 'log' | 'signal'>,
  containers: ReadonlyMap<string, string>,
  onStep: StackOptions['onStep'] = () => undefined,
): StackOptions {
  const services = new Map([...containers].map(([service, container]) => [container, service]));
  // Compose calls what was there already created as well.
  const making = new Set<string>();
  return {
    signal,
    onLine: (text) => log.info({ text }, 'compose'),
    onStep: (container, step) => {
      const service = services.get(container);
      const words = told[step];
      if (step === 'Creating') making.add(container);
      const isNews = step !== 'Created' || making.has(container);
      if (service !== undefined && words !== undefined && isNews) {
        emit(`service.${step.toLowerCase()}`, `${service} ${words}.`, { service, container });
      }
      onStep(container, step);
    },
  };
}
