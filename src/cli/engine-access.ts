/** Opens the way to the engine for one command: through the host's gate if one runs, else through a gate of its own. */
import { mkdirSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import type { AgentConfig } from '../agent/config.ts';
import { startGate } from '../gate/gate.ts';
import type { Log } from '../kit/log.ts';
import type { HostPolicy } from '../policy/host-policy.ts';
import { openDockerEngine } from '../runtime/docker/docker-engine.ts';
import type { ContainerEngine } from '../runtime/engine.ts';

export interface EngineAccess {
  readonly engine: ContainerEngine;
  close(): Promise<void>;
}

export async function openEngine(config: AgentConfig, policy: HostPolicy, log: Log): Promise<EngineAccess> {
  if (await answers(config.gate.socket)) {
    const engine = openDockerEngine({ socketPath: config.gate.socket });
    return { engine, close: async () => engine.close() };
  }

  mkdirSync(config.run_dir, { recursive: true, mode: 0o700 });
  const gate = await startGate({
    socketPath: join(config.run_dir, `gate-${process.pid}.sock`),
    engineSocket: config.gate.engine_socket,
    stateDir: config.gate.state_dir,
    ...{ policy, log },
  });
  const engine = openDockerEngine({ socketPath: gate.socketPath });
  return {
    engine,
    close: async () => {
      engine.close();
      await gate.close();
    },
  };
}

async function answers(socketPath: string): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect(socketPath);
  socket.once('connect', () => resolve(true));
  socket.once('error', () => resolve(false));
  const answer = await promise;
  socket.destroy();
  return answer;
}
