/** Whether a list of addresses lets a job go somewhere. Pure; where a name leads is judged when it is connected to. */
import type { EgressRule, JobEgress } from '../contract/job-egress.ts';

/**
 * True if `egress` names that place. `host` is a host as a URL has it; in which case, and whether a dot is at its end, does not
 * matter. Without `egress` nothing may be reached.
 */
export function mayReach(
  egress: JobEgress | undefined,
  scheme: EgressRule['scheme'],
  host: string,
  port: number,
): boolean {
  if (!egress) return false;
  const wanted = host.toLowerCase().replace(/\.$/, '');
  return (
    egress.any_public.includes(scheme) ||
    egress.rules.some((rule) => rule.scheme === scheme && rule.host === wanted && rule.port === port)
  );
}

/** The same of a URL. */
export function mayReachUrl(egress: JobEgress | undefined, { protocol, hostname, port }: URL): boolean {
  const scheme = protocol.slice(0, -1);
  if (scheme !== 'http' && scheme !== 'https') return false;
  return mayReach(egress, scheme, hostname, port === '' ? (scheme === 'http' ? 80 : 443) : Number(port));
}
