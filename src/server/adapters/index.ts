/** The adapters by engine. One that is declared and not built says so; a launch on it is refused by check 9. */
import type { ExecutionAdapter } from './adapter.ts';
import { dockerCompose } from './docker-compose.ts';
import { nodeAgent } from './node-agent.ts';

export const adapters: Readonly<Record<string, ExecutionAdapter>> = {
  node_agent: nodeAgent,
  docker_compose: dockerCompose,
};

/** Engines that manifests may name and that nothing drives yet. */
export const plannedEngines = ['kubernetes', 'helm', 'dstack'] as const;

/** The adapter of an engine that passed check 9; a missing one is a bug there. */
export function adapterOf(engine: string): ExecutionAdapter {
  const adapter = Object.hasOwn(adapters, engine) ? adapters[engine] : undefined;
  if (!adapter) throw new Error(`no adapter drives ${engine}`);
  return adapter;
}
