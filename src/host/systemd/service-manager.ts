/**
 * What a service tells systemd of itself: that it is ready, how it is, that it gets on, that it stops. See sd_notify(3).
 *
 * By the socket that the unit has opened for us; where systemd is too old to open one, by `systemd-notify`, which takes a process and
 * 15 ms each time. Node has no datagram sockets of its own. Where no service manager asks, nothing is told.
 */
import { writeSync } from 'node:fs';
import { runProgram } from '../run-program.ts';

export interface ServiceManager {
  /** False where nobody listens. */
  readonly listens: boolean;
  /** Within this time it wants to hear `WATCHDOG=1` again, or it kills the service; undefined where it does not. */
  readonly watchdogMs: number | undefined;
  /** Resolves when it was told, also in vain: a service goes on without. */
  tell(words: Words): Promise<void>;
}

export interface Words {
  readonly READY?: '1';
  readonly STOPPING?: '1';
  readonly WATCHDOG?: '1';
  /** One line for `systemctl status`. */
  readonly STATUS?: string;
}

const program = '/usr/bin/systemd-notify';
const timeoutMs = 5000;

/** Takes what it needs out of the environment: what this process starts must not speak for it. */
export function takeServiceManager(env: NodeJS.ProcessEnv, files: ReadonlyMap<string, number>): ServiceManager {
  const { NOTIFY_SOCKET: socket, WATCHDOG_USEC: watchdog, WATCHDOG_PID: watched } = env;
  for (const name of ['NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID']) {
    delete env[name];
  }
  if (socket === undefined) {
    return { listens: false, watchdogMs: undefined, tell: async () => undefined };
  }
  const isWatched = watchdog !== undefined && (watched === undefined || watched === String(process.pid));
  const file = files.get('notify');
  return {
    listens: true,
    watchdogMs: isWatched ? Number(watchdog) / 1000 : undefined,
    tell: async (words) => {
      const lines = Object.entries(words).map(([name, value]) => `${name}=${String(value).replaceAll(/\s+/g, ' ')}`);
      if (file === undefined || !isWritten(file, lines.join('\n'))) {
        await runProgram(program, lines, { timeoutMs, env: { NOTIFY_SOCKET: socket } });
      }
    },
  };
}

function isWritten(file: number, text: string): boolean {
  try {
    return writeSync(file, text) > 0;
  } catch {
    return false;
  }
}
