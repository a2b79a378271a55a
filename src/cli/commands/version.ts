/** `node-agent version`: what this program is and which contracts it speaks. */
import { createRequire } from 'node:module';
import { protocolVersion } from '../../contract/protocol.ts';
import { taskSchemas } from '../../contract/tasks.ts';
import { exitCodes } from '../exit-codes.ts';
import { printJson, printLine } from '../output.ts';

const { version } = createRequire(import.meta.url)('../../../package.json') as { version: string };

export function printVersion({ json }: { json: boolean }): number {
  const tasks = Object.fromEntries(Object.entries(taskSchemas).map(([type, entry]) => [type, entry.version]));
  if (json) {
    printJson({ version, node: process.versions.node, protocol: protocolVersion, tasks });
  } else {
    printLine(`node-agent ${version} (protocol ${protocolVersion}, Node ${process.versions.node})`);
  }
  return exitCodes.ok;
}
