/** `node-agent version`: what this program is and which contracts it speaks. */
import { protocolVersion } from '../../contract/protocol.ts';
import { taskSchemas } from '../../contract/tasks.ts';
import { agentVersion as version } from '../agent-version.ts';
import { exitCodes } from '../exit-codes.ts';
import { printJson, printLine } from '../output.ts';

export function printVersion({ json }: { json: boolean }): number {
  const tasks = Object.fromEntries(Object.entries(taskSchemas).map(([type, entry]) => [type, entry.version]));
  if (json) {
    printJson({ version, node: process.versions.node, protocol: protocolVersion, tasks });
  } else {
    printLine(`node-agent ${version} (protocol ${protocolVersion}, Node ${process.versions.node})`);
  }
  return exitCodes.ok;
}
