/** The containers of a plan, whichever list of it they are in. */
import type { JobPlan, JobStep } from '../contract/job-plan.ts';

export interface Part extends Omit<JobStep, 'group' | 'depends_on' | 'stops_with'> {
  readonly kind: 'service' | 'check' | 'init' | 'step';
  /** For a check: what its author calls it. */
  readonly label?: string;
  /** For a service: most seconds until it is ready, and how it is asked whether it is. */
  readonly ready_seconds?: number;
  readonly healthcheck?: { readonly command: readonly string[] };
}

const plain = {
  ...{ aliases: [], expose: [], results: [], needs: [] },
  restart: { policy: 'no', max_retries: 0 },
} satisfies Partial<Part>;

/** Without those that the job shares: they are parts of their group. */
export function partsOf({ services, checks, init, steps }: JobPlan): Part[] {
  return [
    ...services
      .filter(({ scope }) => scope !== 'project')
      .map((part) => ({ ...plain, ...part, kind: 'service' as const })),
    ...checks.map((part) => ({ ...plain, ...part, kind: 'check' as const })),
    ...init.map((part) => ({ ...plain, ...part, kind: 'init' as const })),
    ...steps.map((part) => ({ ...part, kind: 'step' as const })),
  ];
}
