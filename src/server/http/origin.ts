/**
 * Keeps browsers of other pages out. A page of another origin sends its `Origin`; a name that was rebound to this
 * address arrives as a foreign `Host`. Both are refused before anything is looked at.
 */
import type { IncomingHttpHeaders } from 'node:http';
import { AgentError } from '../../contract/failures.ts';

/** A name with its port, and nothing that a reader of addresses takes for a user, a path or a fragment. */
const authority = /^[^\s@/\\?#]+$/;
const loopback = ['localhost', '127.0.0.1', '[::1]'];

/**
 * `names` are host names that the control plane answers to, beside those of the loopback interface. A page that is the same for
 * everybody may be come to from anywhere, as by a link in a mail.
 */
export function checkOrigin(headers: IncomingHttpHeaders, names: readonly string[], isPage: boolean): void {
  const host = authority.test(headers.host ?? '') ? hostOf(`http://${headers.host}`) : undefined;
  if (host === undefined || ![...loopback, ...names].includes(host.hostname)) {
    throw new AgentError('request.foreign_origin', { reason: 'Its Host header names another host.' });
  }
  const { origin } = headers;
  if (origin !== undefined && hostOf(origin)?.host !== host.host) {
    throw new AgentError('request.foreign_origin', { reason: 'Its Origin header names another origin.' });
  }
  const isVisit = isPage && headers['sec-fetch-mode'] === 'navigate' && headers['sec-fetch-dest'] === 'document';
  if (!isVisit && (headers['sec-fetch-site'] === 'cross-site' || headers['sec-fetch-site'] === 'same-site')) {
    throw new AgentError('request.foreign_origin', { reason: 'A page of another origin made it.' });
  }
}

function hostOf(url: string): URL | undefined {
  return URL.canParse(url) ? new URL(url) : undefined;
}
