import type { AgentError } from '../../contract/failures.ts';

const passingRefusals: readonly unknown[] = ['node.untrusted', 'resource.conflict', 'disk.full', 'output.damaged'];

/** A no that stays one. Another session, another sender and a full disk pass. */
export function isFinal({ code, detail }: AgentError): boolean {
  return code === 'control_plane.refused' && !passingRefusals.includes(detail['refused_as']);
}
