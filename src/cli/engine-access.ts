/** Opens the way to the engine for one command: through the host's gate if one runs, else through a gate of its own. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AgentConfig } from '../agent/config.ts';
import { startGate } from '../gate/gate.ts';
import type { Log } from '../kit/log.ts';
import type { HostPolicy } from '../policy/host-policy.ts';
import { openDockerEngine } from '../runtime/docker/docker-engine.ts';
import type { ContainerEngine } from '../runtime/engine.ts';

export interface EngineAccess {
  readonly engine: ContainerEngine;
  /** Of the gate, for programs that talk to it themselves. */
  readonly socketPath: string;
  close(): Promise<void>;
}

interface AccessOptions {
  /** True for a command that changes nothing: a gate of its own then leaves no trace on the host. */
  readonly lookOnly?: boolean;
}

export async function openEngine(
  config: AgentConfig,
  policy: HostPolicy,
  log: Log,
  { lookOnly = false }: AccessOptions = {},
): Promise<EngineAccess> {
  if (await isThere(config.gate.socket)) {
    const socketPath = config.gate.socket;
    const engine = openDockerEngine({ socketPath });
    return { engine, socketPath, close: async () => engine.close() };
  }

  const place = lookOnly ? passingPlace() : lastingPlace(config.run_dir);
  try {
    const gate = await startGate({
      socketPath: place.socket,
      engineSocket: config.gate.engine_socket,
      stateDir: config.gate.state_dir,
      ...{ lookOnly, policy, log },
    });
    const engine = openDockerEngine({ socketPath: gate.socketPath });
    return {
      ...{ engine, socketPath: gate.socketPath },
      close: async () => {
        engine.close();
        await gate.close();
        place.remove();
      },
    };
  } catch (error) {
    place.remove();
    throw error;
  }
}

/** Where the socket of a gate of our own is. */
interface Place {
  readonly socket: string;
  remove(): void;
}

/** Always the same: what a killed run left there is replaced. The state lock lets nobody else come here. */
function lastingPlace(runDir: string): Place {
  mkdirSync(runDir, { recursive: true, mode: 0o700 });
  return { socket: join(runDir, 'run-task.sock'), remove: () => undefined };
}

function passingPlace(): Place {
  const folder = mkdtempSync(join(tmpdir(), 'gpuaas-look-'));
  return { socket: join(folder, 'gate.sock'), remove: () => rmSync(folder, { recursive: true, force: true }) };
}

/** Also true for a gate that lets others in and not us: a second one beside it would not help, and each call says so. */
async function isThere(socketPath: string): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect(socketPath);
  socket.once('connect', () => resolve(true));
  socket.once('error', ({ code }: NodeJS.ErrnoException) => resolve(code === 'EACCES'));
  const answer = await promise;
  socket.destroy();
  return answer;
}
