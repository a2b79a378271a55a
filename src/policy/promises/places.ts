/** Addresses as manifests and scripts have them, and what of them counts: scheme, host and port. */
import type { EgressRule } from '../../contract/job-egress.ts';
import { addressOfHost, isPublicAddress } from '../public-address.ts';

export type ReadPlace =
  | {
      readonly ok: true;
      readonly rule: EgressRule;
      /** True where there is more than scheme, host and port, which does not count. */
      readonly hasMore: boolean;
    }
  | { readonly ok: false; readonly message: string };

const defaultPorts = { http: 80, https: 443 } as const;
const hostPattern = /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*$/;

/** Host in lower case and ASCII without a dot at its end, port filled in. */
export function readPlace(text: string): ReadPlace {
  const scheme = /^(https?):\/\/[^/\\?#]/i.exec(text)?.[1]?.toLowerCase();
  // URLs are read with these left out or turned into others, which nobody would see.
  if (/[\\\p{Cc}\p{Z}]/u.test(text)) return no('must have no white space, control characters or backslashes');
  if (scheme !== 'http' && scheme !== 'https') return no('must be http:// or https:// and a host');
  if (!URL.canParse(text)) return no('is no URL');
  const { hostname, port, pathname, search, hash, username, password } = new URL(text);
  if (username !== '' || password !== '') return no('must have no user and no password');
  const host = hostname.replace(/\.$/, '');
  const isName = host.length <= 253 && (hostPattern.test(host) || /^\[[0-9a-f:.]+\]$/.test(host));
  if (!isName) return no('names no host: patterns such as * have no meaning here');
  if (port === '0') return no('must have a port from 1 to 65535');
  const hasMore = pathname.length > 1 || search !== '' || hash !== '';
  return { ok: true, rule: { scheme, host, port: Number(port || defaultPorts[scheme]) }, hasMore };
}

/** Why a host is never let through, whatever a manifest promises; of a name that is found out again for each connection. */
export function whyNeverAllowed({ host }: EgressRule): string | undefined {
  const address = addressOfHost(host);
  if (address !== undefined && !isPublicAddress(address)) return 'is at an address that is not public';
  return /(^|\.)localhost$/.test(host) ? 'is this host itself' : undefined;
}

export function placeText({ scheme, host, port }: EgressRule): string {
  return `${scheme}://${host}${port === defaultPorts[scheme] ? '' : `:${port}`}`;
}

function no(message: string): ReadPlace {
  return { ok: false, message };
}
