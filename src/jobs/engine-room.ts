/** Room on the engine's disk, for who needs it. Who makes it knows what is kept there for later jobs; nothing here does. */
import type { JobPlan } from '../contract/job-plan.ts';

export interface EngineRoom {
  /** Takes away what nothing uses, until so many bytes are free or none of it is left. Never rejects. */
  readonly make: (bytes: number) => Promise<void>;
  /** As much as the plan asks for, beside the reserve: what is kept of its own revisions stays, and counts. `disk.full` */
  readonly makeFor: (plan: JobPlan) => Promise<void>;
  /** Bytes that would go, as far as is known: never more. */
  readonly evictable: (signal: AbortSignal) => Promise<number>;
}
