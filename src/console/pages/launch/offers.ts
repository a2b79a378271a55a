/** What the control plane offers for a launch, as the form asks for it. */
import type { FormOffers } from '../../../manifests/gpuaas/form-answers.ts';
import type { LaunchOptions } from '../../../server/catalog/launch-options.ts';

/** Something that is picked by its name. */
export interface Named {
  readonly id: string;
  readonly name: string;
  readonly kind?: string;
  readonly role?: string;
}

/** Parts that are not known yet are left out: nothing is judged by them. */
export interface Offers extends FormOffers {
  readonly allocations?: LaunchOptions['allocations'];
  readonly artifacts?: LaunchOptions['artifacts'];
  readonly access_credentials?: LaunchOptions['access_credentials'];
  readonly service_accounts?: LaunchOptions['service_accounts'];
}

/**
 * One answer out of two. `base` is of the app alone and says which allocations could have it at all; `chosen` is of the
 * allocation and the cards that were chosen, and says what can be had there. How many cards are wanted must not make the
 * chosen allocation look unfit: that is said at the field with the number.
 */
export function offersOf(base: LaunchOptions | undefined, chosen: LaunchOptions | undefined): Offers {
  if (!base) return {};
  const { allocations, access_credentials, service_accounts } = base;
  const common = { allocations, access_credentials, service_accounts };
  if (!chosen) return common;
  const { artifacts, artifact_reason, unavailable, host_ports } = chosen;
  return { ...common, artifacts, artifact_reason, unavailable, host_ports };
}

/** Address of the offers for a version; `chosen` only where an allocation is. */
export function offersPath(
  { slug, version }: { readonly slug: string; readonly version: string },
  asked: {
    readonly project_id?: string | undefined;
    readonly allocation_id?: string | undefined;
    readonly gpu_count?: unknown;
  },
): string {
  const query = new URLSearchParams();
  if (asked.project_id !== undefined) query.set('project_id', asked.project_id);
  if (asked.allocation_id !== undefined) query.set('allocation_id', asked.allocation_id);
  if (isCount(asked.gpu_count)) query.set('gpu_count', String(asked.gpu_count));
  const base = `/api/v1/catalog/apps/${encodeURIComponent(slug)}/versions/${encodeURIComponent(version)}/launch-options`;
  return query.size > 0 ? `${base}?${query}` : base;
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 64;
}
