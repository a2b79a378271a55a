/**
 * A node replaces its keys: the new ones are vouched for by the present one and count from the first that is signed with them,
 * which is a hello, or the next rotation where a session has lasted that long.
 */

import type { RotateRequest } from '../../contract/enrolment.ts';
import { AgentError } from '../../contract/failures.ts';
import { rotateText } from '../../contract/signing.ts';
import type { Node } from '../db/entities/node.ts';
import type { Tx } from '../db/store.ts';
import { signedBy } from '../hub/admission.ts';
import { assertSoundKeys } from './sound-keys.ts';

/**
 * `node.untrusted` says the same whatever is wrong; only who has the present key hears of the next one. Repeating it changes
 * nothing.
 */
export async function rotateNodeKeys(tx: Tx, request: RotateRequest, audience: string): Promise<void> {
  const { node_id, identity_key, wrapping_key, old_signature, new_signature } = request;
  const node = await tx.nodes.get(node_id);
  // Compared first: a stranger's audience may hold what no signed text can.
  if (node?.status !== 'enrolled' || request.audience !== audience) throw new AgentError('node.untrusted');
  const text = rotateText(request);
  const present = keptBy(node, (key) => signedBy(key, text, old_signature));
  if (!present) throw new AgentError('node.untrusted');
  assertSoundKeys(request);
  if (!signedBy(identity_key, text, new_signature)) throw new AgentError('node.untrusted');
  await tx.nodes.put({ ...present, next_keys: { identity_key, wrapping_key } });
}

/** The node with the keys that it has shown to use; undefined if it has shown none of them. */
function keptBy(node: Node, shows: (key: Node['identity_key']) => boolean): Node | undefined {
  if (shows(node.identity_key)) return node;
  return node.next_keys && shows(node.next_keys.identity_key) ? { ...node, ...node.next_keys } : undefined;
}
