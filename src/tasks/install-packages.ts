/**
 * Installs Python packages into the environment of a running container, before it counts as ready.
 *
 * By argument vector and never through a shell. Running it twice is harmless, so an agent that was killed in the middle
 * joins the installation if it still runs and starts it again if it does not.
 */
import { AgentError } from '../contract/failures.ts';
import { redactText } from '../kit/log.ts';
import { explainEnd } from '../runtime/container-end.ts';
import type { LogChannel } from '../runtime/engine.ts';
import type { TaskContext } from './task-context.ts';

/** Longest an installation may take, whatever the deadline of the task. */
const installTimeoutSeconds = 1800;
/** Characters of the installer's output that go into results; the whole of it is in the task log. */
const excerptLimit = 4096;

/** Returns the bounded end of the installer's output; `packages.failed` with the same if it did not exit 0. */
export async function installPackages(
  name: string,
  packages: readonly string[],
  { engine, log, signal }: TaskContext,
): Promise<string> {
  const argv = ['python', '-m', 'pip', 'install', '--no-cache-dir', '--', ...packages];
  const deadline = AbortSignal.timeout(installTimeoutSeconds * 1000);
  const either = AbortSignal.any([signal, deadline]);
  const rest = { stdout: '', stderr: '' };

  try {
    let result = await engine.exec(name, argv, { signal: either, adopt: true, onOutput: logged });
    if (result.adopted && result.exitCode !== 0) {
      // The output of a joined installation is lost; a second run says why it fails.
      result = await engine.exec(name, argv, { signal: either, onOutput: logged });
    }
    logged('stdout', '\n');
    logged('stderr', '\n');
    const excerpt = redactText(result.tail).slice(-excerptLimit);
    if (result.exitCode !== 0) {
      throw new AgentError('packages.failed', { exit_code: result.exitCode, excerpt });
    }
    return excerpt;
  } catch (error) {
    if (deadline.aborted && !signal.aborted) {
      throw new AgentError(
        'packages.failed',
        { reason: `It took longer than ${installTimeoutSeconds} seconds.` },
        { cause: error },
      );
    }
    if (error instanceof AgentError && error.code.startsWith('container.')) {
      throw await explainEnd(engine, name, signal);
    }
    throw error;
  }

  /** By whole lines, and what has no end in pieces. Nothing secret is in them any more: see `agent/discreet-engine.ts`. */
  function logged(channel: LogChannel, text: string): void {
    const lines = (rest[channel] + text).split('\n');
    rest[channel] = lines.pop() ?? '';
    if (rest[channel].length > longestLine) {
      lines.push(rest[channel]);
      rest[channel] = '';
    }
    for (const line of lines.filter((one) => one !== '')) {
      log.info({ channel, text: line }, 'installer output');
    }
  }
}

const longestLine = 16_384;
