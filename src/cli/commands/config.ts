/** `node-agent config`: the effective configuration, and where each value came from. Changes nothing. */
import { configVariables, hostPolicyOf, type LoadedConfig, loadConfig } from '../../agent/config.ts';
import { hasWrappingKey, openWrappingKey } from '../../agent/identity/wrapping-key.ts';
import { assertOwn } from '../../agent/journal/state-lock.ts';
import { taskLogFolder } from '../../agent/task-log.ts';
import { trustPlaces } from '../../agent/trust/trust-files.ts';
import type { HostPolicy } from '../../policy/host-policy.ts';
import { exitCodes } from '../exit-codes.ts';
import { agentIfThere } from '../local-agent.ts';
import { printJson, printLine, table } from '../output.ts';

export interface PrintConfigOptions {
  readonly config?: string;
  readonly json: boolean;
  /** Create the wrapping key where there is none yet; without it, nothing on the host is changed. */
  readonly createKey: boolean;
}

interface EffectiveConfig extends LoadedConfig {
  readonly policy: HostPolicy;
}

export async function printConfig({ config: file, json, createKey }: PrintConfigOptions): Promise<number> {
  const own = await loadConfig(file, process.env);
  const agent = await agentIfThere(own.config);
  // A daemon goes by what it read when it started, and by what the control plane told it.
  const {
    config,
    sources,
    policy,
    file: read = own.file,
  } = agent
    ? await agent.ask<Omit<EffectiveConfig, 'file'> & { readonly file?: string }>('/v1/config')
    : { ...own, policy: await hostPolicyOf(own) };
  if (createKey) assertOwn(config.state_dir);
  const hasKey = createKey || hasWrappingKey(config.state_dir);
  const wrappingKey = hasKey ? (await openWrappingKey(config.state_dir)).publicJwk : null;
  const trust = trustPlaces(read);
  if (json) {
    printJson({ config, sources, policy, wrapping_key: wrappingKey, trust });
    return exitCodes.ok;
  }

  const variables = new Map(configVariables().map(({ pointer, name }) => [pointer, name]));
  const rows = Object.entries(sources).map(([pointer, source]) => [
    pointer,
    JSON.stringify(valueAt(config, pointer)),
    source,
    variables.get(pointer) ?? '',
  ]);
  printLine(table([['PATH', 'VALUE', 'FROM', 'VARIABLE'], ...rows]));
  printLine('');
  printLine(
    `user of the allocation  uid ${policy.allocation.uid}, gid ${policy.allocation.gid}, ${policy.allocation.home}`,
  );
  const key = wrappingKey ? JSON.stringify(wrappingKey) : 'none yet; `node-agent config --create-key` makes it';
  printLine(`wrapping key            ${key}`);
  printLine(`task logs               ${taskLogFolder(config)}`);
  printLine(`whose manifests         ${trust.settings}, ${trust.certificates}`);
  return exitCodes.ok;
}

function valueAt(value: unknown, pointer: string): unknown {
  return pointer
    .split('/')
    .slice(1)
    .reduce<unknown>((inner, key) => (inner as Record<string, unknown> | undefined)?.[key], value);
}
