/** `node-agent version`: what this program is, and which contracts and forms of its own state it speaks. */
import { isSea } from 'node:sea';
import { configVersion as config } from '../../agent/config-version.ts';
import { journalSchema } from '../../agent/journal/schema.ts';
import { protocolVersion } from '../../contract/protocol.ts';
import { taskSchemas } from '../../contract/tasks.ts';
import { agentCommit as commit, agentVersion as version } from '../agent-version.ts';
import { exitCodes } from '../exit-codes.ts';
import { printJson, printLine } from '../output.ts';

export function printVersion({ json }: { json: boolean }): number {
  const tasks = Object.fromEntries(Object.entries(taskSchemas).map(([type, entry]) => [type, entry.version]));
  const { arch, versions } = process;
  if (json) {
    const runs = { node: versions.node, arch, single_file: isSea() };
    const forms = { protocol: protocolVersion, journal: journalSchema.version, config };
    printJson({ version, commit, ...runs, ...forms, tasks });
  } else {
    const built = commit === null ? '' : `${commit.slice(0, 12)}, `;
    printLine(`node-agent ${version} (${built}protocol ${protocolVersion}, Node ${versions.node}, ${arch})`);
  }
  return exitCodes.ok;
}
