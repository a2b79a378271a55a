/** `node-agent config`: the effective configuration, and where each value came from. */
import { join } from 'node:path';
import { configVariables, hostPolicyOf, loadConfig } from '../../agent/config.ts';
import { openWrappingKey } from '../../agent/identity.ts';
import { exitCodes } from '../exit-codes.ts';
import { printJson, printLine, table } from '../output.ts';

export async function printConfig({ config: file, json }: { config?: string; json: boolean }): Promise<number> {
  const { config, sources } = await loadConfig(file, process.env);
  const policy = await hostPolicyOf(config);
  const { publicJwk } = await openWrappingKey(config.state_dir);
  if (json) {
    printJson({ config, sources, policy, wrapping_key: publicJwk });
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
  printLine(`wrapping key            ${JSON.stringify(publicJwk)}`);
  printLine(`task logs               ${join(config.state_dir, 'task-logs')}`);
  return exitCodes.ok;
}

function valueAt(value: unknown, pointer: string): unknown {
  return pointer
    .split('/')
    .slice(1)
    .reduce<unknown>((inner, key) => (inner as Record<string, unknown> | undefined)?.[key], value);
}
