/** Room on the engine's disk, for who needs it. Who makes it knows what is kept there for later jobs; nothing here does. */
import type { JobPlan } from '../contract/job-plan.ts';
import type { MakeRoom } from '../runtime/engine.ts';

export interface EngineRoom {
  /** Takes away what nothing uses, until so many bytes are free or none of it is left, or the signal is aborted. Never rejects. */
  readonly make: MakeRoom;
  /**
   * Begins a job once it has what its plan asks for, beside the reserve and what other jobs were promised and have not written yet. What is
   * kept of its own revisions stays, and counts. `begin` writes it down, and what is written down is held. `disk.full`; a job whose
   * signal is aborted begins at once: it ends as such.
   */
  readonly begin: <T>(plan: JobPlan, signal: AbortSignal, begin: () => T) => Promise<T>;
  /** As far as is known. Rejects while the engine is away. */
  readonly look: (signal: AbortSignal) => Promise<RoomLook>;
}

export interface RoomLook {
  /** True while nothing is launched, whatever is free. */
  readonly isShort: boolean;
  /** Bytes that would go: never more. */
  readonly evictable: number;
  /** Bytes that each job which asked for disk may write yet: never less than when that was last measured. */
  readonly held: ReadonlyMap<string, number>;
}
