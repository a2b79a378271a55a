/**
 * Places for what is held open: so many in all, and so many for each project, so that none takes those of all others. The
 * platform's people count as one project each.
 *
 * Where all are taken, the project that has most has to give its eldest up to one that has fewer, and in a project the token
 * that has most to one that has fewer. So a few projects cannot lock out the rest, nor a token those of its own project, and
 * who is sent away may come back where it is worth it.
 */
import type { Readable } from 'node:stream';
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

/** The seat is that of the body, and given back with it; `server.busy` where it went to somebody else before there was one. */
export async function seated(seat: Seat, open: () => Promise<Readable>): Promise<Readable> {
  try {
    const body = await open();
    if (seat.lost.aborted) {
      body.destroy();
      throw givenAway();
    }
    seat.lost.addEventListener('abort', () => void body.destroy(), { once: true });
    return body.once('close', () => seat.leave());
  } catch (error) {
    seat.leave();
    throw error;
  }
}

/** What is taken of a client, who is cut off where its seat goes to somebody else; the seat is given back with it. */
export async function whileSeated<T>(seat: Seat, sent: Readable, take: () => Promise<T>): Promise<T> {
  const cutOff = () => void sent.destroy(givenAway());
  // Whoever reads it hears of that as well, and nobody may have begun.
  sent.on('error', () => undefined);
  seat.lost.addEventListener('abort', cutOff, { once: true });
  try {
    return await take();
  } finally {
    seat.lost.removeEventListener('abort', cutOff);
    seat.leave();
  }
}

function givenAway(): AgentError {
  return new AgentError('server.busy', { reason: 'Somebody else was to have the place.' });
}

export class Seats {
  readonly #limits: SeatLimits;
  /** Of each project, in the order they were taken: whose each is, by its token. */
  readonly #taken = new Map<string, Map<AbortController, string>>();
  #all = 0;

  constructor(limits: SeatLimits) {
    this.#limits = limits;
  }

  /** Takes one, or throws `server.busy`. */
  take({ projectId, tokenId }: Pick<Who, 'projectId' | 'tokenId'>): Seat {
    const { what, all, each } = this.#limits;
    const whose = projectId ?? `token ${tokenId}`;
    const own = this.#taken.get(whose) ?? new Map<AbortController, string>();
    if (own.size >= each && !this.#makeRoomAmong(whose, own, tokenId)) {
      throw new AgentError('server.busy', { reason: `${each} ${what} of yours are open.` });
    }
    if (this.#all >= all && !this.#makeRoom(own.size)) {
      throw new AgentError('server.busy', { reason: `${all} ${what} are open.` });
    }
    const seat = new AbortController();
    this.#all += 1;
    this.#taken.set(whose, own.set(seat, tokenId));
    return { lost: seat.signal, leave: () => this.#giveBack(whose, seat) };
  }

  /** False where no other token of the project has so many that one less would still be as many as this one has then. */
  #makeRoomAmong(whose: string, own: ReadonlyMap<AbortController, string>, tokenId: string): boolean {
    const counts = new Map<string, number>([[tokenId, 0]]);
    for (const token of own.values()) counts.set(token, (counts.get(token) ?? 0) + 1);
    const [largest, most] = [...counts].toSorted(([, one], [, other]) => other - one)[0] ?? [tokenId, 0];
    if (most - 1 < (counts.get(tokenId) ?? 0) + 1) return false;
    const [eldest] = [...own].find(([, token]) => token === largest) ?? [];
    return this.#sendAway(whose, eldest);
  }

  /** False where no other project has so many that one less would still be as many as the one who asks has then. */
  #makeRoom(own: number): boolean {
    const [largest] = [...this.#taken].toSorted(([, one], [, other]) => other.size - one.size);
    const [eldest] = largest?.[1].keys() ?? [];
    return largest !== undefined && largest[1].size - 1 >= own + 1 && this.#sendAway(largest[0], eldest);
  }

  #sendAway(whose: string, seat: AbortController | undefined): boolean {
    if (!seat) return false;
    this.#giveBack(whose, seat);
    seat.abort();
    return true;
  }

  #giveBack(whose: string, seat: AbortController): void {
    const taken = this.#taken.get(whose);
    if (!taken?.delete(seat)) return;
    this.#all -= 1;
    if (taken.size === 0) this.#taken.delete(whose);
  }
}
