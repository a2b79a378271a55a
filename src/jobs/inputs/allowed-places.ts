/**
 * Where inputs may come from. A job names places itself, so it could name those of the host's own network, the address of a
 * cloud's metadata among them: judged is the address that is connected to, not the name.
 */
import { PrivatePlaces } from '../../policy/private-places.ts';
import { isInRanges } from '../../policy/public-address.ts';

export interface PlacesOptions {
  readonly isPlainFine?: boolean;
  /** Ranges that stay closed, whatever is listed. */
  readonly never?: readonly string[];
  /** Addresses of the host at that moment. */
  readonly own?: () => readonly string[];
}

export class AllowedPlaces {
  readonly #places: PrivatePlaces;
  readonly #isPlainFine: boolean;
  readonly #never: readonly string[];
  readonly #own: () => readonly string[];

  /**
   * `host:port`, or ranges such as `10.0.0.0/8`: private places that the operator allows, over plain http too. `isPlainFine`: public ones
   * are asked so as well, as it is known beforehand what has to come. An address of the host itself is one only where it is listed: no
   * firewall stands between its agent and its own ports.
   */
  constructor(allow: readonly string[], { isPlainFine = false, never = [], own = () => [] }: PlacesOptions = {}) {
    this.#places = new PrivatePlaces(allow, never);
    this.#isPlainFine = isPlainFine;
    this.#never = never;
    this.#own = own;
  }

  /** Why nothing is fetched from there; undefined where it may be. */
  judge(url: URL, address: string): string | undefined {
    if (isInRanges(address, this.#never)) return 'It is in the networks of workloads, which are closed to others.';
    const port = Number(url.port || (url.protocol === 'http:' ? '80' : '443'));
    if (this.#places.lists(url.hostname, port, address)) return;
    if (url.protocol !== 'https:' && !this.#isPlainFine)
      return 'Only https is spoken with places that this host does not list.';
    if (!this.#places.allows(url.hostname, port, address)) {
      return 'It is at an address that is not public, which this host does not list.';
    }
    return isInRanges(address, this.#own()) ? 'It is at an address of this host, which it does not list.' : undefined;
  }
}
