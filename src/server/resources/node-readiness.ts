/**
 * Whether a node can take work, and where its host is not as its bootstrap left it. Nothing is repaired from here: prerequisites
 * of a host are its bootstrap's, so what has drifted is told with what a person does about it.
 */
import { type Static, Type } from 'typebox';
import { taskSchemas, taskTypes } from '../../contract/tasks.ts';
import { adapterOf } from '../adapters/index.ts';
import { closed } from '../db/entities/fields.ts';
import { type Node, readinessStates } from '../db/entities/node.ts';
import { whyUnfit } from '../launch/preflight.ts';

export const Readiness = Type.Object(
  {
    state: Type.Enum([...readinessStates], {
      description: 'ready: a launch could run there. unknown: it has not said so, or is not heard of.',
    }),
    reasons: Type.Array(Type.String(), { description: 'Why it is not ready, one sentence each; empty if it is.' }),
  },
  { ...closed, description: 'Whether it can take work.' },
);
export type Readiness = Static<typeof Readiness>;

export const Drift = Type.Object(
  {
    what: Type.String({ description: 'Part of the host, for example `container runtime`.' }),
    expected: Type.String({ description: 'How it should be.' }),
    found: Type.String({ description: 'How it is.' }),
    remedy: Type.String({ description: 'What a person does about it, in a sentence.' }),
  },
  { ...closed, description: 'One thing that is not as the bootstrap of the host left it.' },
);
export type Drift = Static<typeof Drift>;

/** `connected`: true while it has a session. */
export function readinessOf(node: Node, connected: boolean): Readiness {
  const unfit = whyUnfit(node, adapterOf('node_agent').needs);
  if (unfit !== undefined) return { state: 'not_ready', reasons: [unfit] };
  if (!connected) return { state: 'unknown', reasons: ['It is not connected: what it last said may be over.'] };
  const { runtime } = node;
  if (!runtime) return { state: 'unknown', reasons: ['It has not said yet what it can run.'] };
  const reasons = [...runtime.reasons, ...(runtime.ready ? blockedBy(node) : [])];
  return { state: reasons.length === 0 && runtime.ready ? 'ready' : 'not_ready', reasons };
}

/** What its doctor has found that lets no launch through. */
function blockedBy({ inventory }: Node): string[] {
  const findings = inventory?.health?.findings ?? [];
  return findings.filter(({ blocks }) => blocks).map(({ found, fix }) => `${found} ${fix}`);
}

const rebootstrap = 'Rebootstrap the host: run its bootstrap again, which puts back what is missing.';
/** Certificates, credentials of minutes and logs are told apart by times: beyond this they begin to fail. */
const mostClockOffsetSeconds = 30;

/** Each thing once; nothing of a node that has not said yet how it is. */
export function driftOf(node: Node): Drift[] {
  return [agentDrift(node), ...(node.runtime ? runtimeDrift(node.runtime) : []), clockDrift(node)].flatMap(
    (drift) => drift ?? [],
  );
}

/** Before its first session nobody knows what its agent can do. */
function agentDrift({ agent_version: version, task_types: known }: Node): Drift | undefined {
  if (known.length === 0) return undefined;
  const versions = new Map(known.map((each) => [each.type, each.version]));
  const missing = taskTypes.filter((type) => (versions.get(type) ?? 0) < taskSchemas[type].version);
  if (missing.length === 0) return undefined;
  return {
    ...{ what: 'agent', expected: 'one that carries out every task of this control plane' },
    found: `${version}, which does not know ${missing.join(', ')} as they are now`,
    remedy: 'Update the agent of the host.',
  };
}

function runtimeDrift(runtime: NonNullable<Node['runtime']>): (Drift | undefined)[] {
  const { runtimes, compose_version: compose, engine, gpus, resources } = runtime;
  const isUsable = runtimes.some(({ approved, state }) => approved && state === 'ready');
  const hasNvidia = gpus.some(({ vendor }) => vendor === 'nvidia');
  const { free, reserved, total, used, evictable = 0 } = resources.disk_gib;
  return [
    runtimes.length === 0 || isUsable
      ? undefined
      : {
          ...{ what: 'container runtime', expected: 'approved and ready' },
          found: runtimes.map(({ name, state }) => `${name} ${state.replaceAll('_', ' ')}`).join(', '),
          remedy: rebootstrap,
        },
    runtimes.length === 0 || compose !== null
      ? undefined
      : { what: 'Compose', expected: 'version 2', found: 'missing', remedy: rebootstrap },
    engine === null || !hasNvidia || givesCards(engine)
      ? undefined
      : {
          ...{ what: 'NVIDIA toolkit', expected: 'one that hands the cards of NVIDIA to containers' },
          ...{ found: 'missing, and no CDI spec names the cards', remedy: rebootstrap },
        },
    free + evictable > 0
      ? undefined
      : {
          ...{ what: 'disk', expected: `more than ${reserved} GiB free` },
          ...{ found: `at ${used} of ${total} GiB`, remedy: 'Free space where the engine keeps its data.' },
        },
  ];
}

/** Agents that do not say how cards are handed out tell of the runtime at least, which the toolkit may bring. */
function givesCards({ gives_cards: way, runtimes }: NonNullable<NonNullable<Node['runtime']>['engine']>): boolean {
  return way === undefined ? runtimes.includes('nvidia') : way !== null;
}

function clockDrift({ clock_offset_seconds: offset }: Node): Drift | undefined {
  if (offset === undefined || Math.abs(offset) <= mostClockOffsetSeconds) return undefined;
  return {
    ...{ what: 'clock', expected: `within ${mostClockOffsetSeconds} s of the control plane` },
    found: `${Math.abs(offset)} s ${offset > 0 ? 'ahead' : 'behind'}`,
    remedy: 'Set the clock of the host, and keep it by NTP.',
  };
}
