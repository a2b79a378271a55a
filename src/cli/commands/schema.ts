/** `node-agent schema [TYPE]`: the JSON Schema of a task type, or the list of types. */
import { AgentConfig } from '../../agent/config.ts';
import { AgentError } from '../../contract/failures.ts';
import { TaskEnvelope, TaskResult } from '../../contract/task-envelope.ts';
import { isTaskType, taskSchemas, taskTypes } from '../../contract/tasks.ts';
import { TrustSettings } from '../../policy/trust/trust-settings.ts';
import { exitCodes } from '../exit-codes.ts';
import { printJson, printLine, table } from '../output.ts';

const others: Record<string, unknown> = {
  envelope: TaskEnvelope,
  result: TaskResult,
  config: AgentConfig,
  trust: TrustSettings,
};

/** All that has a schema. */
export const schemaNames: readonly string[] = [...taskTypes, ...Object.keys(others)];

export function printSchema(type: string | undefined, { json, output }: { json: boolean; output: boolean }): number {
  if (type === undefined && output) {
    throw new AgentError('command.invalid', { reason: '--output wants a task type.' });
  }
  if (type === undefined) {
    const known = taskTypes.map((name) => ({ type: name, version: taskSchemas[name].version }));
    if (json) {
      printJson(known);
    } else {
      const about = (name: string) => String((others[name] as { description?: string }).description);
      printLine(
        table([
          ...known.map((entry) => [entry.type, `version ${entry.version}`]),
          ...Object.keys(others).map((name) => [name, about(name)]),
        ]),
      );
    }
    return exitCodes.ok;
  }
  if (output && Object.hasOwn(others, type)) {
    throw new AgentError('command.invalid', { reason: `--output is for task types; ${type} has one schema.` });
  }
  const other = Object.hasOwn(others, type) ? others[type] : undefined;
  const schema = isTaskType(type) ? taskSchemas[type][output ? 'output' : 'params'] : other;
  if (schema === undefined) {
    throw new AgentError('command.invalid', {
      reason: `There is no schema ${JSON.stringify(type)}. Known are ${schemaNames.join(', ')}.`,
    });
  }
  const document = { $schema: 'http://json-schema.org/draft-07/schema#', title: type, ...(schema as object) };
  printLine(json ? JSON.stringify(document) : JSON.stringify(document, null, 2));
  return exitCodes.ok;
}
