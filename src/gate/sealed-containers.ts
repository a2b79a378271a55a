/**
 * Knows which containers are ours.
 *
 * A reference (name or id) is looked up at the engine and its seal checked; what is not sealed does not exist for a
 * client. The verdict is kept by id, because what the seal covers never changes for an id short of an operator's
 * `docker update` or `rename`; those count from the next look on. Calls go upstream by that id, never by name: should
 * somebody put another container under the name meanwhile, it is not reached.
 */
import { AgentError } from '../contract/failures.ts';
import { egressNetworkName, jobKind, labels, memberName, namePrefix } from '../contract/names.ts';
import { exclusiveOf } from '../policy/check-cards.ts';
import type { ContainerObject } from './engine-objects.ts';
import type { Seals } from './seal.ts';
import type { EngineAnswer, Upstream } from './upstream.ts';

export interface SealedContainer {
  readonly id: string;
  readonly name: string;
  /** The instance that it is of, or the service of its stack. */
  readonly member: string;
  /** The job that it is of; undefined for everything else. */
  readonly job: string | undefined;
  /** True for the proxy of a job, which stands in two networks: it runs nothing but its own program. */
  readonly isEgress: boolean;
  /** What of the host's cards no other container may have. */
  readonly exclusive: readonly string[];
  /** What it is promised, as the engine writes it. Sealed, so as constant as the rest. */
  readonly limits: { readonly NanoCpus: number; readonly Memory: number };
}

/** A container as the engine has it now, sealed or not. */
export type Seen =
  | { readonly kind: 'absent' }
  | { readonly kind: 'foreign' }
  | {
      readonly kind: 'sealed';
      readonly container: SealedContainer;
      readonly object: ContainerObject;
      readonly answer: EngineAnswer;
    };

/** Verdicts kept; an old one that is dropped costs one inspect. */
const maxKnown = 4096;

export class SealedContainers {
  readonly #engine: Upstream;
  readonly #seals: Seals;
  readonly #byId = new Map<string, SealedContainer>();
  readonly #idByName = new Map<string, string>();
  /** Ids that carry a seal which does not hold: nothing that a client may cause ever makes it hold. */
  readonly #foreign = new Map<string, true>();

  constructor(engine: Upstream, seals: Seals) {
    this.#engine = engine;
    this.#seals = seals;
  }

  /** Asks the engine now, and remembers what it learns. */
  async look(ref: string, signal: AbortSignal): Promise<Seen> {
    const path = `/containers/${encodeURIComponent(ref)}/json`;
    const answer = await this.#engine.ask({ method: 'GET', path, signal });
    if (answer.status !== 200) {
      this.#idByName.delete(ref);
      if (answer.status === 404) return { kind: 'absent' };
      throw new AgentError('engine.failed', { status: answer.status, reason: engineMessage(answer) });
    }
    const object = JSON.parse(answer.body.toString()) as ContainerObject;
    if (!this.#seals.holdsForContainer(object)) {
      this.#idByName.delete(ref);
      this.#byId.delete(object.Id);
      this.#foreign.set(object.Id, true);
      dropOldest(this.#foreign, maxKnown);
      return { kind: 'foreign' };
    }
    this.#foreign.delete(object.Id);
    return { kind: 'sealed', container: this.#remember(object), object, answer };
  }

  /** Like `look` for one that must be ours; `container.not_found` if it is not. */
  async require(ref: string, signal: AbortSignal): Promise<Extract<Seen, { kind: 'sealed' }>> {
    const seen = await this.look(ref, signal);
    if (seen.kind !== 'sealed') throw noSuchContainer(ref);
    return seen;
  }

  /** One of ours, from memory where it is known; `container.not_found` if it is not ours. */
  async find(ref: string, signal: AbortSignal): Promise<SealedContainer> {
    return this.known(ref) ?? (await this.require(ref, signal)).container;
  }

  /** One of ours by its full id, or undefined; asks the engine only about an id that it has not judged yet. */
  async judge(id: string, signal: AbortSignal): Promise<SealedContainer | undefined> {
    if (this.#foreign.has(id)) return undefined;
    const known = this.#byId.get(id);
    if (known !== undefined) return known;
    const seen = await this.look(id, signal);
    return seen.kind === 'sealed' ? seen.container : undefined;
  }

  /** Ours with these labels, each `name` or `name=value`, whether they run or not. All are known from then on. */
  async list(wanted: readonly string[], signal: AbortSignal): Promise<SealedContainer[]> {
    const query = { all: '1', filters: JSON.stringify({ label: [...wanted, labels.seal] }) };
    const answer = await this.#engine.ask({ method: 'GET', path: '/containers/json', query, signal });
    if (answer.status !== 200) {
      throw new AgentError('engine.failed', { status: answer.status, reason: engineMessage(answer) });
    }
    const ours: SealedContainer[] = [];
    for (const { Id } of JSON.parse(answer.body.toString()) as { Id: string }[]) {
      const container = await this.judge(Id, signal);
      if (container) ours.push(container);
    }
    return ours;
  }

  /** What is remembered of a full id or name. Also of a container that is gone: its last events are still ours. */
  known(ref: string): SealedContainer | undefined {
    return this.#byId.get(this.#idByName.get(ref) ?? ref);
  }

  /** After the engine said that it has no such container. */
  forgetName({ id, name }: SealedContainer): void {
    if (this.#idByName.get(name) === id) this.#idByName.delete(name);
  }

  #remember({ Id, Name, Config, HostConfig }: ContainerObject): SealedContainer {
    const name = Name.replace(/^\//, '');
    const limits = { NanoCpus: Number(HostConfig['NanoCpus'] ?? 0), Memory: Number(HostConfig['Memory'] ?? 0) };
    const exclusive = exclusiveOf({ Labels: Config.Labels ?? null, HostConfig });
    const { [labels.instance]: instance = '', [labels.service]: service, [labels.kind]: kind } = Config.Labels ?? {};
    const job = kind === jobKind ? instance : undefined;
    const isEgress = HostConfig.NetworkMode === egressNetworkName(instance);
    const container = { id: Id, name, member: memberName(instance, service), job, isEgress, limits, exclusive };
    this.#byId.delete(Id);
    this.#byId.set(Id, container);
    this.#idByName.set(name, Id);
    dropOldest(this.#byId, maxKnown);
    dropOldest(this.#idByName, maxKnown);
    return container;
  }
}

/** The same words whether there is none or it is not ours: nothing is to be learnt from the difference. */
export function noSuchContainer(ref: string): AgentError {
  return new AgentError('container.not_found', { container: ref });
}

/** True for a name that only things of ours may have. */
export function isOurName(ref: string): boolean {
  return ref.startsWith(namePrefix);
}

/** What the engine said went wrong, or the beginning of what it sent instead. */
export function engineMessage({ body }: EngineAnswer): string {
  const text = body.toString('utf8', 0, 4096);
  try {
    const { message } = JSON.parse(text) as { message?: unknown };
    return typeof message === 'string' ? message : text;
  } catch (error) {
    if (error instanceof SyntaxError) return text;
    throw error;
  }
}

function dropOldest(map: Map<string, unknown>, limit: number): void {
  for (const key of map.keys()) {
    if (map.size <= limit) return;
    map.delete(key);
  }
}
