/** Opens the way to the engine for one command: through the host's gate if one runs, else through a gate of its own. */
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AgentConfig } from '../agent/config.ts';
import { startGate } from '../gate/gate.ts';
import { sealKeyName } from '../gate/seal-key.ts';
import type { Log } from '../kit/log.ts';
import type { HostPolicy } from '../policy/host-policy.ts';
import { openDockerEngine } from '../runtime/docker/docker-engine.ts';
import type { ContainerEngine } from '../runtime/engine.ts';

export interface EngineAccess {
  readonly engine: ContainerEngine;
  close(): Promise<void>;
}

interface AccessOptions {
  /**
   * True for a command that changes nothing: a gate of its own then leaves no trace on the host. It has a copy of the
   * key, so that it knows our containers, and not the memory of a gate that may be at work at the same time.
   */
  readonly lookOnly?: boolean;
}

export async function openEngine(
  config: AgentConfig,
  policy: HostPolicy,
  log: Log,
  { lookOnly = false }: AccessOptions = {},
): Promise<EngineAccess> {
  if (await isThere(config.gate.socket)) {
    const engine = openDockerEngine({ socketPath: config.gate.socket });
    return { engine, close: async () => engine.close() };
  }

  const folders = lookOnly ? passingFolders(config.gate.state_dir) : lastingFolders(config);
  try {
    const gate = await startGate({
      socketPath: join(folders.runDir, `gate-${process.pid}.sock`),
      engineSocket: config.gate.engine_socket,
      stateDir: folders.stateDir,
      ...{ policy, log },
    });
    const engine = openDockerEngine({ socketPath: gate.socketPath });
    return {
      engine,
      close: async () => {
        engine.close();
        await gate.close();
        folders.remove();
      },
    };
  } catch (error) {
    folders.remove();
    throw error;
  }
}

interface GateFolders {
  readonly runDir: string;
  readonly stateDir: string;
  remove(): void;
}

function lastingFolders({ run_dir, gate: { state_dir } }: AgentConfig): GateFolders {
  mkdirSync(run_dir, { recursive: true, mode: 0o700 });
  return { runDir: run_dir, stateDir: state_dir, remove: () => undefined };
}

/** Gone when the command ends. Without a key on this host none of the containers is ours, and any key will do. */
function passingFolders(gateState: string): GateFolders {
  const folder = mkdtempSync(join(tmpdir(), 'gpuaas-look-'));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  try {
    const stateDir = join(folder, 'state');
    mkdirSync(stateDir, { mode: 0o700 });
    copyKey(join(gateState, sealKeyName), join(stateDir, sealKeyName));
    return { runDir: folder, stateDir, remove };
  } catch (error) {
    remove();
    throw error;
  }
}

/** Leaves out a key that is not there or that this user may not read: the gate judges what it is given. */
function copyKey(from: string, to: string): void {
  try {
    copyFileSync(from, to);
    chmodSync(to, 0o600);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ENOENT' && code !== 'EACCES') {
      throw error;
    }
  }
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
