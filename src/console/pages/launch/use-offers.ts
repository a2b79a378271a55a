/** Keeps what the control plane offers fresh while a form is filled in, and tells the form of it. */
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { answerTo, type LaunchAnswers } from '../../../manifests/gpuaas/form-answers.ts';
import type { LaunchOptions } from '../../../server/catalog/launch-options.ts';
import { type Resource, useResource } from '../../lib/use-resource.ts';
import { type Offers, offersOf, offersPath } from './offers.ts';

/** Events about these can change what is offered. */
const subjects = [
  'allocation',
  'node',
  'artifact',
  'app_instance',
  'app_version',
  'access_credential',
  'service_account',
];
/** After the last key that was pressed. */
const typingMs = 200;
/** For what happens to hosts, of which the people of projects are told no event. */
const everyMs = 10_000;

export interface UsedOffers {
  readonly offers: Offers;
  /** What the rest stands on: of the app alone. */
  readonly base: Resource<LaunchOptions>;
}

export function useOffers(
  app: { readonly slug: string; readonly version: string },
  answers: LaunchAnswers,
  isOfProject: boolean,
  told: (offers: Offers) => void,
): UsedOffers {
  const { project_id, target_allocation_id: allocation_id } = answers;
  const gpu_count = useSettled(answerTo(answers, 'gpu_count'));
  const isKnown = isOfProject || project_id !== undefined;
  const base = useResource<LaunchOptions>(isKnown ? offersPath(app, { project_id }) : null, { subjects, everyMs });
  const isThere = base.data?.allocations.some(({ id }) => id === allocation_id);
  const path = isThere ? offersPath(app, { project_id, allocation_id, gpu_count }) : null;
  const chosen = useResource<LaunchOptions>(path, { subjects, everyMs });
  // Until the answer for another number of cards is there, the last one stands: nothing jumps while somebody types.
  const last = useRef<LaunchOptions>(undefined);
  if (chosen.data) last.current = chosen.data;
  const before = isThere ? last.current : undefined;
  const offers = useMemo(() => offersOf(base.data, chosen.data ?? before), [base.data, chosen.data, before]);
  const isFresh = base.data !== undefined && (path === null || chosen.data !== undefined);
  useEffect(() => {
    if (isFresh) told(offers);
  }, [offers, isFresh]);
  return { offers, base };
}

/** The value once nobody has changed it for a moment. */
function useSettled<T>(value: T): T {
  const [settled, settle] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => settle(value), typingMs);
    return () => clearTimeout(timer);
  }, [value]);
  return settled;
}
