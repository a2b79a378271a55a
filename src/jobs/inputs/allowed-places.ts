/**
 * Where inputs may come from. A job names places itself, so it could name those of the host's own network, the address of a
 * cloud's metadata among them: judged is the address that is connected to, not the name.
 */
import { PrivatePlaces } from '../../policy/private-places.ts';

export class AllowedPlaces {
  readonly #places: PrivatePlaces;

  readonly #isPlainFine: boolean;

  /**
   * `host:port`, or ranges such as `10.0.0.0/8`: private places that the operator allows, over plain http too. `isPlainFine`: public ones
   * are asked so as well, as it is known beforehand what has to come.
   */
  constructor(allow: readonly string[], { isPlainFine = false } = {}) {
    this.#places = new PrivatePlaces(allow);
    this.#isPlainFine = isPlainFine;
  }

  /** Why nothing is fetched from there; undefined where it may be. */
  judge(url: URL, address: string): string | undefined {
    const port = Number(url.port || (url.protocol === 'http:' ? '80' : '443'));
    if (this.#places.lists(url.hostname, port, address)) return;
    if (url.protocol !== 'https:' && !this.#isPlainFine)
      return 'Only https is spoken with places that this host does not list.';
    return this.#places.allows(url.hostname, port, address)
      ? undefined
      : 'It is at an address that is not public, which this host does not list.';
  }
}
