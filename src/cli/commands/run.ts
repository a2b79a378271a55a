/** `node-agent run`: the daemon, in the foreground, until SIGTERM or SIGINT. Its log on stderr is JSON lines, unless systemd's journal takes it. */
import { once } from 'node:events';
import { type AgentConfig, loadConfig } from '../../agent/config.ts';
import { type OpenedEngine, runDaemon } from '../../agent/daemon.ts';
import { AgentError } from '../../contract/failures.ts';
import { takeService } from '../../host/systemd/service.ts';
import { createLog, type Log } from '../../kit/log.ts';
import type { HostPolicy } from '../../policy/host-policy.ts';
import { openDockerEngine } from '../../runtime/docker/docker-engine.ts';
import { agentVersion } from '../agent-version.ts';
import { tellCrashes } from '../crash.ts';
import { openEngine } from '../engine-access.ts';
import { exitCodes } from '../exit-codes.ts';
import { reportError } from '../output.ts';

export async function runAgent({ config: file, json }: { config?: string; json: boolean }): Promise<number> {
  const stop = new AbortController();
  const stopped = Promise.race([once(process, 'SIGTERM'), once(process, 'SIGINT')]).then(() => stop.abort());
  const service = takeService('gpuaas-node-agent', process.env);
  try {
    const loaded = await loadConfig(file, process.env);
    const log = createLog({ level: loaded.config.log_level, ...(service.journal && { destination: service.journal }) });
    tellCrashes(log);
    await runDaemon({ loaded, log, version: agentVersion, service, openEngine: engineOf }, stop.signal);
    await stopped;
    return exitCodes.ok;
  } catch (error) {
    if (stop.signal.aborted) {
      return exitCodes.ok;
    }
    const status = reportError(error, json);
    return isMisconfigured(error) ? exitCodes.misconfigured : status;
  }
}

/**
 * A process without privileges always goes through the host's gate, and waits for one that is not there yet: a gate of its
 * own could do nothing. One that runs as root brings a gate along where the host has none.
 */
async function engineOf(config: AgentConfig, policy: HostPolicy, log: Log): Promise<OpenedEngine> {
  if (process.geteuid?.() !== 0) {
    const socketPath = config.gate.socket;
    const engine = openDockerEngine({ socketPath });
    return { engine, socketPath, close: async () => engine.close() };
  }
  return await openEngine(config, policy, log);
}

function isMisconfigured(error: unknown): boolean {
  return error instanceof AgentError && /^(config|identity)\./.test(error.code);
}
