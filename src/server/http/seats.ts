/**
 * Places for what is held open: so many in all, and so many for each project, so that none takes those of all others. The
 * platform's people count as one project each.
 *
 * Where all are taken, the project that has most has to give its eldest up to one that has fewer. So a few projects cannot lock
 * out the rest, and who is sent away may come back where it is worth it.
 */
import { AgentError } from '../../contract/failures.ts';
import type { Who } from './route.ts';

export interface SeatLimits {
  /** What sits there, for a person: `event streams`. */
  readonly what: string;
  readonly all: number;
  readonly each: number;
}

export interface Seat {
  /** Aborts where it was given to somebody else. */
  readonly lost: AbortSignal;
  /** Gives it back; it may be lost by then. */
  leave(): void;
}

export class Seats {
  readonly #limits: SeatLimits;
  /** Of each project, in the order they were taken. */
  readonly #taken = new Map<string, Set<AbortController>>();
  #all = 0;

  constructor(limits: SeatLimits) {
    this.#limits = limits;
  }

  /** Takes one, or throws `server.busy`. */
  take({ projectId, tokenId }: Pick<Who, 'projectId' | 'tokenId'>): Seat {
    const { what, all, each } = this.#limits;
    const whose = projectId ?? `token ${tokenId}`;
    const own = this.#taken.get(whose)?.size ?? 0;
    if (own >= each) {
      throw new AgentError('server.busy', { reason: `${each} ${what} of yours are open.` });
    }
    if (this.#all >= all && !this.#makeRoom(own)) {
      throw new AgentError('server.busy', { reason: `${all} ${what} are open.` });
    }
    const seat = new AbortController();
    this.#all += 1;
    this.#taken.set(whose, (this.#taken.get(whose) ?? new Set()).add(seat));
    return { lost: seat.signal, leave: () => this.#giveBack(whose, seat) };
  }

  /** False where nobody has so many that one less would still be as many as the one who asks has then. */
  #makeRoom(own: number): boolean {
    const [largest] = [...this.#taken].toSorted(([, one], [, other]) => other.size - one.size);
    const [eldest] = largest?.[1] ?? [];
    if (!largest || !eldest || largest[1].size - 1 < own + 1) return false;
    this.#giveBack(largest[0], eldest);
    eldest.abort();
    return true;
  }

  #giveBack(whose: string, seat: AbortController): void {
    const taken = this.#taken.get(whose);
    if (!taken?.delete(seat)) return;
    this.#all -= 1;
    if (taken.size === 0) this.#taken.delete(whose);
  }
}
