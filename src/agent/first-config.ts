/** The configuration that a host begins with: what its invitation says, and what its operator chose, then or later. Pure. */
import { Invitation } from '../contract/enrolment.ts';
import { AgentError } from '../contract/failures.ts';
import { readStrictJson } from '../contract/strict-json.ts';
import { judgeKnown } from '../contract/validate.ts';
import type { AllowedRegistry } from '../policy/host-policy.ts';

export interface Choices {
  readonly user: string;
  /** Group that may connect to the gate. */
  readonly socketGid: number;
  /** `HOST` or `HOST/PREFIX`; those of the invitation where it is empty. */
  readonly registries: readonly string[];
  readonly gvisor: boolean;
  /** Whether containers under gVisor may have NVIDIA cards; that offers gVisor as well. */
  readonly gvisorCards: boolean;
  /** Whether jobs may name images by their hash, which are downloaded. */
  readonly payloads: boolean;
  readonly networkPool?: string;
}

/** The text of `agent.json`. `config.invalid` where that is no invitation. */
export function firstConfig(invitation: unknown, choices: Choices): string {
  const judged = judgeKnown(Invitation, invitation);
  if (!judged.ok) throw new AgentError('config.invalid', { reason: 'That is no invitation of a control plane.' });
  const { allocation_id: id, registries } = judged.value;
  const { user, socketGid, gvisor, gvisorCards, payloads, networkPool } = choices;
  const config = {
    allocation: { id, user },
    gate: { socket_gid: socketGid },
    registries: allowed(choices.registries.length > 0 ? choices.registries : registries),
    ...(gvisor || gvisorCards ? { sandboxes } : {}),
    ...(gvisorCards ? { gvisor_cards: true } : {}),
    ...(payloads ? { payloads: { max_gib: 20, unpacked_gib: 50 } } : {}),
    ...(networkPool === undefined ? {} : { network_pool: networkPool }),
  };
  return textOf(config);
}

/**
 * The text of an `agent.json` by which containers under gVisor may have NVIDIA cards, or may not; the very same one where it says so.
 * `config.invalid` where gVisor is another runtime than the one that would get the cards.
 */
export function withGvisorCards(text: string, isOn: boolean): string {
  const read = readStrictJson(Buffer.from(text));
  if (!read.ok || typeof read.value !== 'object' || read.value === null || Array.isArray(read.value)) {
    throw new AgentError('config.invalid', { reason: 'The configuration of the agent is no object of JSON.' });
  }
  const { gvisor_cards: before = false, ...others } = read.value as ForCards;
  const gvisor = others.sandboxes?.gvisor;
  if (isOn && gvisor !== undefined && gvisor !== sandboxes.gvisor) {
    const reason = `\`sandboxes.gvisor\` is ${gvisor}, which its operator has registered: give that \`--nvproxy\`, and set \`gvisor_cards\`.`;
    throw new AgentError('config.invalid', { reason });
  }
  if (before === isOn && (gvisor !== undefined || !isOn)) return text;
  return textOf(isOn ? { ...others, sandboxes: { ...sandboxes, ...others.sandboxes }, gvisor_cards: true } : others);
}

interface ForCards {
  readonly gvisor_cards?: boolean;
  readonly sandboxes?: { readonly gvisor?: string };
}

const sandboxes = { runc: 'runc', gvisor: 'runsc' } as const;

const textOf = (config: object) => `${JSON.stringify(config, null, 2)}\n`;

/** Prefixes of one host together; a host alone allows all that it has. */
function allowed(registries: readonly string[]): AllowedRegistry[] {
  const prefixes = new Map<string, string[]>();
  for (const registry of registries) {
    const [host = '', ...rest] = registry.split('/');
    prefixes.set(host, [...(prefixes.get(host) ?? []), rest.join('/')]);
  }
  return [...prefixes].map(([host, each]) => ({ host, prefixes: each }));
}
