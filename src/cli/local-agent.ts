/** The daemon of this host, as the commands reach it. */
import { join } from 'node:path';
import { type AgentConfig, loadConfig } from '../agent/config.ts';
import { isAgentThere, type LocalClient, localClient } from '../agent/local-api/client.ts';

/** The daemon's socket. The daemon makes it, whoever has the configuration finds it. */
export function agentSocket({ run_dir }: Pick<AgentConfig, 'run_dir'>): string {
  return join(run_dir, 'agent.sock');
}

/** For a command that nobody but a daemon can answer; it fails with `agent.absent` where none runs. */
export async function askAgent(file: string | undefined): Promise<LocalClient> {
  const { config } = await loadConfig(file, process.env);
  return localClient(agentSocket(config));
}

/** The daemon if one runs; undefined where the command has to look for itself. */
export async function agentIfThere(config: AgentConfig): Promise<LocalClient | undefined> {
  const socket = agentSocket(config);
  return (await isAgentThere(socket)) ? localClient(socket) : undefined;
}
