/**
 * A node leaves for good: its control plane revokes it at its own word, and it forgets who it was.
 *
 * The wrapping key stays: workloads that are kept may hold what was sealed for it. Another enrolment makes another identity.
 */
import { rmSync } from 'node:fs';
import { GoodbyeAnswer, type GoodbyeRequest } from '../../contract/enrolment.ts';
import { goodbyePath, goodbyeText } from '../../contract/signing.ts';
import { post } from '../control-plane/client.ts';
import type { ControlPlaneOrigin } from '../control-plane/origin.ts';
import { forgetEarlierTenant } from './earlier-tenant.ts';
import { identityKeyFile, openIdentityKey } from './identity-key.ts';
import { nodeFile, readNode } from './node-record.ts';

export interface LeaveOptions {
  readonly stateDir: string;
  readonly origin: ControlPlaneOrigin;
}

/** Fails as `post` does, and then the host is a node still. Nothing happens on a host that is none. */
export async function leave({ stateDir, origin }: LeaveOptions): Promise<void> {
  const node = readNode(stateDir);
  if (!node) return;
  const facts = { node_id: node.node_id, audience: origin.audience };
  const body: GoodbyeRequest = { ...facts, signature: openIdentityKey(stateDir).sign(goodbyeText(facts)) };
  await post(origin, goodbyePath, { body, answer: GoodbyeAnswer });
  // Whose work the journal is about is still known when another allocation gets the host.
  forgetEarlierTenant(stateDir, node.allocation_id);
  rmSync(nodeFile(stateDir));
  rmSync(identityKeyFile(stateDir), { force: true });
}
