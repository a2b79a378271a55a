/** A node that leaves for good: only itself can say so, with its own key, and saying it again changes nothing. */
import type { GoodbyeRequest } from '../../contract/enrolment.ts';
import { AgentError } from '../../contract/failures.ts';
import { goodbyeText } from '../../contract/signing.ts';
import type { Node } from '../db/entities/node.ts';
import type { ReadTx } from '../db/store.ts';
import { signedBy } from '../hub/admission.ts';

/** `node.untrusted` says the same whatever is wrong. The next key of a node that rotates is good as well. */
export async function assertLeaving(tx: ReadTx, request: GoodbyeRequest, audience: string): Promise<Node> {
  const node = await tx.nodes.get(request.node_id);
  // Compared first: a stranger's audience may hold what no signed text can.
  if (!node || request.audience !== audience) throw new AgentError('node.untrusted');
  const keys = [node.identity_key, ...(node.next_keys ? [node.next_keys.identity_key] : [])];
  const text = goodbyeText(request);
  if (!keys.some((key) => signedBy(key, text, request.signature))) throw new AgentError('node.untrusted');
  return node;
}
