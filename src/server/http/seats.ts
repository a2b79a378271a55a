/**
 * Places for what is held open: so many in all, and so many for each project, so that none takes those of all others. The
 * platform's people count as one project each.
 */
import { AgentError } from '../../contract/failures.ts';
import type { Who } from './route.ts';

export interface SeatLimits {
  /** What sits there, for a person: `event streams`. */
  readonly what: string;
  readonly all: number;
  readonly each: number;
}

export class Seats {
  readonly #limits: SeatLimits;
  readonly #taken = new Map<string, number>();
  #all = 0;

  constructor(limits: SeatLimits) {
    this.#limits = limits;
  }

  /** Takes one, or throws `server.busy`. Returns what gives it back; call that once. */
  take({ projectId, tokenId }: Pick<Who, 'projectId' | 'tokenId'>): () => void {
    const { what, all, each } = this.#limits;
    const whose = projectId ?? `token ${tokenId}`;
    const own = this.#taken.get(whose) ?? 0;
    if (own >= each) {
      throw new AgentError('server.busy', { reason: `${each} ${what} of yours are open.` });
    }
    if (this.#all >= all) {
      throw new AgentError('server.busy', { reason: `${all} ${what} are open.` });
    }
    this.#all += 1;
    this.#taken.set(whose, own + 1);
    return () => this.#giveBack(whose);
  }

  #giveBack(whose: string): void {
    const left = (this.#taken.get(whose) ?? 1) - 1;
    this.#all -= 1;
    if (left === 0) {
      this.#taken.delete(whose);
    } else {
      this.#taken.set(whose, left);
    }
  }
}
