/**
 * Room for what is spooled, held while it is written: outputs are written side by side, each may grow as it comes, and others write
 * to the disk as well. So room is granted in small pieces, from one purse for all that are written.
 */
import { AgentError } from '../../contract/failures.ts';

export interface RoomLimits {
  /** Most bytes of all that wait, with what is being written. */
  readonly all: number;
  /** Bytes that stay free on the disk. */
  readonly reserve: number;
}

interface Sources {
  /** Free bytes of the disk. */
  free(): Promise<number>;
  /** Bytes of all that wait. */
  waiting(): number;
}

/** Of one output that is being written. */
export interface Room {
  /** Runs `work`, which writes that many bytes; `disk.full` instead where they would leave too little. */
  write(bytes: number, work: () => Promise<void>): Promise<void>;
  /** What was written waits now, or is not there any more. */
  leave(): void;
}

/** Written before the disk is looked at again. */
const grantBytes = 16 * 2 ** 20;

export class SpoolRoom {
  readonly #limits: RoomLimits;
  readonly #sources: Sources;
  /** Bytes of all that are being written. */
  #written = 0;
  /** Of those, what the disk may not know of yet. */
  #onTheWay = 0;
  #granted = 0;
  #looking: Promise<AgentError | undefined> | undefined;
  /** Resolve as those are gone that there was no room for: what they have written is room for the others. */
  readonly #leaving = new Set<Promise<void>>();

  constructor(limits: RoomLimits, sources: Sources) {
    this.#limits = limits;
    this.#sources = sources;
  }

  enter(): Room {
    // What was granted long ago may have been taken by others.
    this.#granted = 0;
    let own = 0;
    const gone = Promise.withResolvers<void>();
    return {
      write: async (bytes, work) => {
        while (this.#granted < bytes) {
          this.#looking ??= this.#look(bytes);
          const trouble = await this.#looking;
          if (trouble === undefined) continue;
          const [other] = this.#leaving;
          if (!other) {
            this.#leaving.add(gone.promise);
            throw trouble;
          }
          await other;
        }
        this.#granted -= bytes;
        this.#written += bytes;
        own += bytes;
        this.#onTheWay += bytes;
        try {
          await work();
        } finally {
          this.#onTheWay -= bytes;
        }
      },
      leave: () => {
        this.#written -= own;
        this.#leaving.delete(gone.promise);
        gone.resolve();
      },
    };
  }

  /** Why that much is not there; undefined where it was granted. */
  async #look(wanted: number): Promise<AgentError | undefined> {
    try {
      const { all, reserve } = this.#limits;
      const onTheWay = this.#onTheWay;
      const free = (await this.#sources.free()) - reserve - Math.max(onTheWay, this.#onTheWay);
      const left = all - this.#sources.waiting() - this.#written;
      if (left < wanted) return full(`Outputs of jobs have ${gibibytes(all)} of this host until they are handed over.`);
      if (free < wanted) return full(`${gibibytes(reserve)} of the disk have to stay free.`);
      this.#granted = Math.min(Math.max(grantBytes, wanted), free, left);
      return undefined;
    } finally {
      this.#looking = undefined;
    }
  }
}

function full(reason: string): AgentError {
  return new AgentError('disk.full', { reason });
}

export function gibibytes(bytes: number): string {
  return `${(bytes / 2 ** 30).toFixed(2)} GiB`;
}
