/**
 * Says where a job may go: by its rules, and by the address that a name has at that moment. What is connected to afterwards is that
 * very address, so a name that changes leads nowhere else.
 */
import type { EgressRule, JobEgress } from '../contract/job-egress.ts';
import { mayReach } from '../policy/may-reach.ts';
import { PrivatePlaces } from '../policy/private-places.ts';
import { addressOfHost } from '../policy/public-address.ts';

export type EgressScheme = EgressRule['scheme'];

/** All addresses of a name; rejects where there is none. */
export type Resolve = (name: string) => Promise<readonly string[]>;

export interface Place {
  /** As `plainHost` gives it. */
  readonly host: string;
  readonly port: number;
}

/** A place that may not be reached, and why. */
export class Refusal extends Error {
  readonly reason: string;

  constructor(reason: string, message: string) {
    super(message);
    this.reason = reason;
  }
}

/** A name that has no address now. */
export class Unresolved extends Error {}

export interface GuardOptions {
  readonly egress: JobEgress;
  /** Private places that the operator allows. */
  readonly allow: readonly string[];
  /** Ranges that stay closed, whatever is allowed. */
  readonly never?: readonly string[];
  readonly resolve: Resolve;
}

export class Guard {
  readonly #egress: JobEgress;
  readonly #places: PrivatePlaces;
  readonly #resolve: Resolve;

  constructor({ egress, allow, never, resolve }: GuardOptions) {
    this.#egress = egress;
    this.#places = new PrivatePlaces(allow, never);
    this.#resolve = resolve;
  }

  /** Those of the schemes in which the job may speak with the place; a `Refusal` where there is none. */
  schemesFor({ host, port }: Place, schemes: readonly EgressScheme[]): readonly EgressScheme[] {
    const fine = schemes.filter((scheme) => mayReach(this.#egress, scheme, host, port));
    if (fine.length > 0) return fine;
    throw new Refusal('not_listed', `${schemes.join(' and ')} to ${host}:${port} is not what this job may reach.`);
  }

  /** Addresses to connect to, in order. A `Refusal` where one of them is closed to jobs, `Unresolved` where there is none. */
  async addressesOf({ host, port }: Place): Promise<readonly string[]> {
    const literal = addressOfHost(host);
    const found = literal === undefined ? await this.#lookUp(host) : [literal];
    if (found.length === 0) throw new Unresolved(`${host} has no address.`);
    for (const address of found) {
      if (this.#places.allows(host, port, address)) continue;
      throw new Refusal('private_address', `${host}:${port} is at ${address}, which is not public.`);
    }
    return found;
  }

  async #lookUp(host: string): Promise<readonly string[]> {
    try {
      return await this.#resolve(host);
    } catch (error) {
      throw new Unresolved(`${host} could not be resolved.`, { cause: error });
    }
  }
}
