/**
 * What a manifest promises of the network. A list of addresses, or any public one where it says so; never more than it says, and
 * nothing where it says nothing. What could mean two things is refused when it is read.
 */
import type { EgressRule, JobEgress } from '../../contract/job-egress.ts';
import type { PayloadManifest } from '../../contract/payload-manifest.ts';
import type { PathError } from '../../contract/validate.ts';
import { mayReach } from '../may-reach.ts';
import { placeText, readPlace, whyNeverAllowed } from './places.ts';

export type ReadNetwork =
  | {
      readonly ok: true;
      /** `none`: no network at all. */
      readonly egress: JobEgress | 'none';
      readonly warnings: readonly PathError[];
    }
  | { readonly ok: false; readonly errors: readonly PathError[] };

type Out = NonNullable<NonNullable<NonNullable<NonNullable<PayloadManifest['compManifest']>['net']>['inet']>['out']>;
const place = '/compManifest/net/inet';

/** Paths in the manifest. The same in both modes of command rules. */
export function readNetworkRules({ compManifest }: Pick<PayloadManifest, 'compManifest'>): ReadNetwork {
  const inet = compManifest?.net?.inet;
  if (!inet) return none;
  const { out } = inet;
  if (!out) return failed(place, 'ambiguous', 'must have out: what it lets through is not said');
  const { urls, unrestricted, protocols = ['http', 'https'] } = out;
  const isUnrestricted = unrestricted?.urls === true;
  if (isUnrestricted && urls) {
    return failed(`${place}/out/unrestricted`, 'contradiction', 'must not stand beside urls: one of the two');
  }
  if (!isUnrestricted && !urls) {
    return failed(
      `${place}/out`,
      'ambiguous',
      'must have urls, or unrestricted: {"urls": true} for any public address',
    );
  }
  if (!isUnrestricted && urls?.length === 0) return none;
  if (protocols.length === 0) return failed(`${place}/out/protocols`, 'minItems', 'must name a protocol');
  if (isUnrestricted) return { ok: true, egress: { rules: [], any_public: [...new Set(protocols)] }, warnings: [] };
  return readUrls({ urls: urls ?? [], protocols });
}

const none: ReadNetwork = { ok: true, egress: 'none', warnings: [] };

function failed(path: string, code: string, message: string): ReadNetwork {
  return { ok: false, errors: [{ path, code, message }] };
}

function readUrls({ urls, protocols }: Required<Pick<Out, 'urls' | 'protocols'>>): ReadNetwork {
  const read = urls.map((url, index) => {
    const at = `${place}/out/urls/${index}`;
    const found = readPlace(url);
    if (!found.ok) return { errors: [{ path: at, code: 'address', message: found.message }], warnings: [] };
    const { rule, hasMore } = found;
    const never = whyNeverAllowed(rule);
    const errors = [
      ...(protocols.includes(rule.scheme)
        ? []
        : [{ path: at, code: 'protocol', message: `is ${rule.scheme}, which is not among its protocols` }]),
      ...(never === undefined ? [] : [{ path: at, code: 'private', message: `${never}, which is never let through` }]),
    ];
    const ignored = `lets through all of ${placeText(rule)}: what stands behind the host does not count`;
    return { rule, errors, warnings: hasMore ? [{ path: at, code: 'ignored', message: ignored }] : [] };
  });
  const errors = read.flatMap((each) => each.errors);
  if (errors.length > 0) return { ok: false, errors };
  const rules = new Map(read.flatMap(({ rule }) => (rule ? [[placeText(rule), rule] as const] : [])));
  return {
    ok: true,
    egress: { rules: [...rules.values()], any_public: [] },
    warnings: read.flatMap(({ warnings }) => warnings),
  };
}

/** Whether the network of a manifest lets a place through. */
export function letsThrough(egress: JobEgress | 'none', { scheme, host, port }: EgressRule): boolean {
  return mayReach(egress === 'none' ? undefined : egress, scheme, host, port);
}
