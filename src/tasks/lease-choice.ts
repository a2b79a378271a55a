/** Which cards a launch gets of those that are there, or why it gets none. Pure. */
import { AgentError } from '../contract/failures.ts';
import { type Gpu, isCardOf, isForGvisor } from '../contract/gpus.ts';
import type { Sandbox } from '../contract/workload-oci-launch.ts';
import { type CardLinks, chooseCards } from '../policy/choose-cards.ts';

export interface Lease {
  readonly uuid: string;
  readonly instance: string;
  /** Service of the stack; null for a single container. */
  readonly service: string | null;
}

/** What one container asks for. */
export interface CardAsk {
  readonly service: string | null;
  readonly count: number;
  /** Least memory of each card, as `isCardOf` compares it; any if absent. */
  readonly memoryMib?: number | undefined;
  /** Under gVisor a container has whole cards of NVIDIA alone. */
  readonly sandbox: Sandbox;
}

export interface LeaseSituation {
  /** Whom the cards are for. */
  readonly instance: string;
  /** With who holds them, and as unhealthy where nobody may have them. */
  readonly cards: readonly Gpu[];
  readonly links: CardLinks;
  readonly leases: readonly Lease[];
  /** What is wrong with a driver as a whole; null if nothing is. */
  readonly trouble: string | null;
}

/**
 * By service: the same cards as before where they are as many and well, else the best of what is free or the instance's own,
 * for the largest request first. `gpu.none_free` or `gpu.unhealthy` where there are not enough.
 */
export function chooseLeases(asks: readonly CardAsk[], situation: LeaseSituation): Map<string | null, Gpu[]> {
  const { instance, cards, links, leases } = situation;
  const wanted = [...asks].sort((a, b) => b.count - a.count);
  const serviceOf = new Map(leases.map(({ uuid, service }) => [uuid, service]));
  let available = openCards(situation).filter(isWell);
  const chosen = new Map<string | null, Gpu[]>();
  const take = (service: string | null, taken: Gpu[]) => {
    chosen.set(service, taken);
    available = available.filter((card) => !taken.includes(card));
  };
  for (const ask of wanted) {
    const { service, count } = ask;
    const before = cards.filter(({ uuid, held_by }) => held_by === instance && serviceOf.get(uuid) === service);
    if (before.length === count && before.every((card) => available.includes(card) && suits(card, ask))) {
      take(service, before);
    }
  }
  for (const ask of wanted.filter(({ service }) => !chosen.has(service))) {
    const { service, count } = ask;
    const able = available.filter((card) => suits(card, ask));
    const best = chooseCards(able, links, count);
    if (best === undefined) {
      throw refusal(wanted, situation);
    }
    take(service, best);
  }
  return chosen;
}

/** Nobody else's, and no part of a card that is leased whole: both would be the same silicon. */
function openCards({ instance, cards, leases }: LeaseSituation): Gpu[] {
  const whole = new Set(leases.map(({ uuid }) => uuid));
  return cards.filter(
    ({ held_by, mig }) => (held_by === null || held_by === instance) && (mig === null || !whole.has(mig.parent)),
  );
}

function isWell({ health }: Gpu): boolean {
  return health === 'healthy';
}

function suits(
  { vendor, mig, memory_mib }: Gpu,
  { memoryMib = 0, sandbox }: Pick<CardAsk, 'memoryMib' | 'sandbox'>,
): boolean {
  return isCardOf(memoryMib, memory_mib) && (sandbox !== 'gvisor' || isForGvisor({ vendor, mig }));
}

function refusal(wanted: readonly CardAsk[], situation: LeaseSituation): AgentError {
  const { instance, cards, leases, trouble } = situation;
  const memoryMib = Math.max(0, ...wanted.map((ask) => ask.memoryMib ?? 0));
  const sandbox = wanted[0]?.sandbox ?? 'runc';
  const open = openCards(situation).filter((card) => suits(card, { memoryMib, sandbox }));
  const asked = wanted.reduce((total, { count }) => total + count, 0);
  const free = open.filter(isWell).length;
  const sick = open.filter((card) => !isWell(card));
  const holders = [...new Set(leases.map((lease) => lease.instance))].filter((id) => id !== instance).sort();
  const detail = { asked, free, unhealthy: sick.length, cards: cards.length, held_by: holders };
  if (trouble !== null || (free < asked && asked <= open.length)) {
    const reason = trouble ?? sick.map(({ uuid, reason: why }) => `${uuid}: ${why}`).join(' ');
    return new AgentError('gpu.unhealthy', { reason, ...detail });
  }
  const size = memoryMib > 0 ? ` of at least ${memoryMib} MiB` : '';
  const kind = sandbox === 'gvisor' ? ' that gVisor can have' : '';
  const whose = holders.length > 0 ? ` Others are with ${holders.join(', ')}.` : '';
  return new AgentError('gpu.none_free', {
    reason: `Asked for ${asked}${size}${kind}, ${free} of ${cards.length} are free.${whose}`,
    ...detail,
  });
}
