/** Probes that ask the engine: a command inside the container, and the image's own health check. */
import { AgentError } from '../../contract/failures.ts';
import type { ContainerEngine } from '../engine.ts';
import type { Probe } from './probe.ts';

/**
 * Ready when the command exits 0. A command that hangs is waited for and not started a second time, since nothing can
 * end it: give it a limit of its own.
 */
export function execProbe(engine: Pick<ContainerEngine, 'exec'>, name: string, command: readonly string[]): Probe {
  return async (signal) => {
    try {
      const { exitCode } = await engine.exec(name, command, { signal });
      return { ready: exitCode === 0, answer: `exit code ${exitCode}` };
    } catch (error) {
      // Whoever watches the container says this better, with its exit code and log.
      if (error instanceof AgentError && (error.code === 'container.exited' || error.code === 'container.oom_killed')) {
        return { ready: false, answer: 'the container ended' };
      }
      throw error;
    }
  };
}

/** Ready when the engine calls the container healthy. `task.invalid` if its image has no health check. */
export function healthProbe(engine: Pick<ContainerEngine, 'inspect'>, name: string): Probe {
  return async (signal) => {
    const container = await engine.inspect(name, signal);
    if (container?.status === 'running' && container.health === null) {
      const error = { path: '/readiness', code: 'no_healthcheck', message: 'the image has no health check' };
      throw new AgentError('task.invalid', { errors: [error] });
    }
    return { ready: container?.health === 'healthy', answer: container?.health ?? 'not running' };
  };
}
