/**
 * Who this host is to its control plane, and whom it trusts: learnt at enrolment, proven by the pin of the join token.
 *
 * Task keys change by rotation only: the next one is believed because the one before has signed it.
 */
import { join } from 'node:path';
import { type Static, Type } from 'typebox';
import { EnrolAnswer, TaskKey } from '../../contract/enrolment.ts';
import { AgentError } from '../../contract/failures.ts';
import { judge } from '../../contract/validate.ts';
import { identityFolder, readPrivateFile, replacePrivateFile } from './private-file.ts';

const closed = { additionalProperties: false } as const;

export const TrustedTaskKey = Type.Object(
  {
    ...TaskKey.properties,
    retire_after: Type.Union([Type.String(), Type.Null()], {
      description: 'RFC 3339 time after which it proves nothing any more; null while it has not handed on.',
    }),
  },
  { ...closed, description: 'A key that tasks may be signed with.' },
);
export type TrustedTaskKey = Static<typeof TrustedTaskKey>;

const { node_id, allocation_id, release_root, ca } = EnrolAnswer.properties;

export const NodeRecord = Type.Object(
  {
    ...{ node_id, allocation_id, release_root, ca },
    control_plane: Type.String({ description: 'Origin of the control plane that the host enrolled with.' }),
    task_keys: Type.Array(TrustedTaskKey, { minItems: 1, description: 'Oldest first.' }),
    keys_since: Type.String({ description: 'RFC 3339 time since when the present node keys are in use.' }),
  },
  { ...closed, description: 'The node, as it lies beside its keys.' },
);
export type NodeRecord = Static<typeof NodeRecord>;

export function nodeFile(stateDir: string): string {
  return join(identityFolder(stateDir), 'node.json');
}

/** Undefined if the host is not enrolled. `identity.unusable` if the file is damaged. */
export function readNode(stateDir: string): NodeRecord | undefined {
  const file = nodeFile(stateDir);
  const text = readPrivateFile(file);
  if (text === undefined) {
    return undefined;
  }
  const judged = judge(NodeRecord, parsed(text));
  if (!judged.ok) {
    throw new AgentError('identity.unusable', { path: file, reason: 'It is damaged.' });
  }
  return judged.value;
}

export function writeNode(stateDir: string, node: NodeRecord): void {
  replacePrivateFile(nodeFile(stateDir), `${JSON.stringify(node, null, 2)}\n`);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) {
      return undefined;
    }
    throw error;
  }
}
