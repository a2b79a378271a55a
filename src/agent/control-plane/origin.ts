/**
 * Where the control plane is and how it is trusted: TLS with the system's or a configured CA, and plain HTTP to the
 * loopback address only.
 */
import { isIPv4 } from 'node:net';
import { getCACertificates } from 'node:tls';
import { AgentError } from '../../contract/failures.ts';

export interface ControlPlaneOrigin {
  /** `https://cp:8443`: what is dialled, and what the control plane must believe to be. */
  readonly audience: string;
  readonly tls: boolean;
  /** Options for a TLS connection: nothing but these CAs is believed. Empty without TLS. */
  tlsOptions(): { ca?: string[] };
}

/** `config.invalid` for what is no origin, and for plain HTTP to another host. `ca` is PEM; empty for the system's CAs. */
export function controlPlaneOrigin(url: string, ca = ''): ControlPlaneOrigin {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (!parsed || !['http:', 'https:'].includes(parsed.protocol) || hasMore(parsed)) {
    const reason = 'control_plane.url must be an origin such as https://cp.example.com:8443.';
    throw new AgentError('config.invalid', { reason });
  }
  const tls = parsed.protocol === 'https:';
  if (!tls && !isLoopback(parsed.hostname)) {
    const reason = `control_plane.url must begin with https:// for ${parsed.hostname}; plain http is for this host only.`;
    throw new AgentError('config.invalid', { reason });
  }
  return {
    ...{ audience: parsed.origin, tls },
    tlsOptions: () => (tls ? { ca: ca === '' ? getCACertificates('system') : [ca] } : {}),
  };
}

/** By its spelling: but for `localhost`, a name that resolves to the loopback address today may not do so tomorrow. */
function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || (isIPv4(hostname) && hostname.startsWith('127.'));
}

function hasMore({ username, password, pathname, search, hash }: URL): boolean {
  return username !== '' || password !== '' || pathname !== '/' || search !== '' || hash !== '';
}
