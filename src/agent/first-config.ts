/** The configuration that a host begins with: what its invitation says, and what its operator chose. Pure. */
import { Invitation } from '../contract/enrolment.ts';
import { AgentError } from '../contract/failures.ts';
import { judgeKnown } from '../contract/validate.ts';
import type { AllowedRegistry } from '../policy/host-policy.ts';

export interface Choices {
  readonly user: string;
  /** Group that may connect to the gate. */
  readonly socketGid: number;
  /** `HOST` or `HOST/PREFIX`; those of the invitation where it is empty. */
  readonly registries: readonly string[];
  readonly gvisor: boolean;
  readonly networkPool?: string;
}

/** The text of `agent.json`. `config.invalid` where that is no invitation. */
export function firstConfig(invitation: unknown, choices: Choices): string {
  const judged = judgeKnown(Invitation, invitation);
  if (!judged.ok) throw new AgentError('config.invalid', { reason: 'That is no invitation of a control plane.' });
  const { allocation_id: id, registries } = judged.value;
  const { user, socketGid, gvisor, networkPool } = choices;
  const config = {
    allocation: { id, user },
    gate: { socket_gid: socketGid },
    registries: allowed(choices.registries.length > 0 ? choices.registries : registries),
    ...(gvisor ? { sandboxes: { runc: 'runc', gvisor: 'runsc' } } : {}),
    ...(networkPool === undefined ? {} : { network_pool: networkPool }),
  };
  return `${JSON.stringify(config, null, 2)}\n`;
}

/** Prefixes of one host together; a host alone allows all that it has. */
function allowed(registries: readonly string[]): AllowedRegistry[] {
  const prefixes = new Map<string, string[]>();
  for (const registry of registries) {
    const [host = '', ...rest] = registry.split('/');
    prefixes.set(host, [...(prefixes.get(host) ?? []), rest.join('/')]);
  }
  return [...prefixes].map(([host, each]) => ({ host, prefixes: each }));
}
