/** Checks of the way to the control plane: its name, its certificate and the CA that vouches for it, and its time. */
import { lookup } from 'node:dns/promises';
import { request } from 'node:http';
import { isIP, type Socket } from 'node:net';
import { connect, type DetailedPeerCertificate, type TLSSocket } from 'node:tls';
import { type Check, check, type Finding, fail, ok, skipped, warn } from './check.ts';

/** Where the control plane is, and who may vouch for it. */
export interface ControlPlanePlace {
  /** Origin, `https://cp.example.com:8443`. */
  readonly url: string;
  /** PEM of the only CAs that are believed; those of the system where it is left out. */
  readonly ca?: readonly string[];
}

export interface ControlPlaneChecks {
  /** Undefined where the host is no node and none is configured. */
  readonly place: ControlPlanePlace | undefined;
  readonly now?: () => number;
  readonly resolve?: (name: string) => Promise<readonly { readonly address: string }[]>;
}

export function controlPlaneChecks(input: ControlPlaneChecks): Check[] {
  const withPlace = (look: (url: URL, signal: AbortSignal) => Promise<Finding>) => async (signal: AbortSignal) =>
    input.place ? await look(new URL(input.place.url), signal) : skipped('This host has no control plane.');
  return [
    check(
      'control_plane.dns',
      'A name that cannot be resolved is a control plane that cannot be reached.',
      withPlace((url) => judgeName(url, input)),
    ),
    check(
      'control_plane.tls',
      'The agent believes nobody whose certificate the CA of its enrolment does not vouch for.',
      withPlace((url, signal) => judgeTls(url, input, signal)),
    ),
    check(
      'control_plane.time',
      'Tasks expire by the time of the control plane, and certificates by that of the host.',
      withPlace((url, signal) => judgeTime(url, input, signal)),
    ),
  ];
}

async function judgeName({ hostname }: URL, { resolve = resolveAll }: ControlPlaneChecks): Promise<Finding> {
  const name = bare(hostname);
  if (isIP(name) !== 0) {
    return ok(`The control plane is called by its address, ${name}.`);
  }
  try {
    const found = await resolve(name);
    return ok(`${name} is ${found.map(({ address }) => address).join(', ')}.`);
  } catch (error) {
    return fail(
      `${name} cannot be resolved: ${codeOf(error)}.`,
      'Look at /etc/resolv.conf and at the name server of this network, or correct `control_plane.url`.',
    );
  }
}

const resolveAll = (name: string) => lookup(name, { all: true });
const connectMs = 10_000;
const soonDays = 14;

async function judgeTls(url: URL, input: ControlPlaneChecks, signal: AbortSignal): Promise<Finding> {
  if (url.protocol === 'http:') {
    return ok(`${url.origin} is on this very host and needs no certificate.`);
  }
  let socket: TLSSocket;
  try {
    socket = await dial(url, input.place?.ca, signal);
  } catch (error) {
    return fail(
      `${url.host} cannot be reached: ${codeOf(error)}.`,
      'Open the way there (firewall, proxy, route), or look whether the control plane runs.',
    );
  }
  try {
    return judgeChain(chainOf(socket), socket.authorizationError, url, (input.now ?? Date.now)());
  } finally {
    socket.destroy();
  }
}

/** Believes nobody yet: what is wrong with the certificate is to be told, and nothing is said to the other end. */
async function dial(url: URL, ca: readonly string[] | undefined, signal: AbortSignal): Promise<TLSSocket> {
  const { promise, resolve, reject } = Promise.withResolvers<TLSSocket>();
  const host = bare(url.hostname);
  const socket = connect({
    ...{ host, port: Number(url.port || 443), rejectUnauthorized: false, timeout: connectMs },
    ...(isIP(host) === 0 ? { servername: host } : {}),
    ...(ca === undefined ? {} : { ca: [...ca] }),
  });
  socket.once('secureConnect', () => resolve(socket));
  endWith(socket, reject, signal);
  return await promise;
}

function endWith(socket: Socket, reject: (error: unknown) => void, signal: AbortSignal): void {
  const end = (error: unknown) => {
    socket.destroy();
    reject(error);
  };
  socket.once('error', end);
  socket.once('timeout', () => end(new Error(`no answer within ${connectMs / 1000} s`)));
  signal.addEventListener('abort', () => end(signal.reason), { once: true });
}

/** From the certificate itself up to the CA. */
function chainOf(socket: TLSSocket): DetailedPeerCertificate[] {
  const chain: DetailedPeerCertificate[] = [];
  let at: DetailedPeerCertificate | undefined = socket.getPeerCertificate(true);
  while (at?.fingerprint256 && !chain.some(({ fingerprint256 }) => fingerprint256 === at?.fingerprint256)) {
    chain.push(at);
    at = at.issuerCertificate;
  }
  return chain;
}

function judgeChain(
  chain: readonly Pick<DetailedPeerCertificate, 'subject' | 'valid_to'>[],
  refusal: Error | string | null | undefined,
  url: URL,
  now: number,
): Finding {
  const ends = chain.map(({ subject, valid_to }) => ({ name: subject?.CN ?? 'one', end: Date.parse(valid_to) }));
  const first = ends.toSorted((a, b) => a.end - b.end)[0];
  if (first === undefined) {
    return fail(`${url.host} shows no certificate.`, 'Look whether something else answers there.');
  }
  const until = `${new Date(first.end).toISOString().slice(0, 10)} (${first.name})`;
  const renew = 'Renew it at the control plane; a new CA reaches nodes by enrolling them again.';
  if (first.end < now) {
    return fail(`Its certificates are over since ${until}.`, renew);
  }
  if (refusal) {
    return fail(
      `Nobody who is believed vouches for ${url.host}: ${codeOf(refusal)}.`,
      'Compare `control_plane.ca_file` and the CA of the enrolment with the certificate; somebody may be in between.',
    );
  }
  const days = Math.floor((first.end - now) / 86_400_000);
  return days < soonDays
    ? warn(`Its certificates are good for ${days} days more, until ${until}.`, renew)
    : ok(`${chain.length} certificates lead to a CA that is believed, good until ${until}.`);
}

const tolerableMs = 30_000;

/** By the `Date` of any answer at all. It is asked without TLS being judged: that has a check of its own. */
async function judgeTime(url: URL, input: ControlPlaneChecks, signal: AbortSignal): Promise<Finding> {
  const now = input.now ?? Date.now;
  let said: number;
  try {
    said = await askTime(url, input, signal);
  } catch (error) {
    return skipped(`${url.host} does not tell its time: ${codeOf(error)}.`);
  }
  // Whole seconds, somewhere on the way.
  const ahead = now() - said;
  const found = `The clock of this host is ${Math.round(Math.abs(ahead) / 1000)} s ${ahead > 0 ? 'ahead of' : 'behind'} that of the control plane.`;
  return Math.abs(ahead) > tolerableMs
    ? fail(found, 'Set the clock and turn time synchronisation on: timedatectl set-ntp true')
    : ok('The clock agrees with that of the control plane.');
}

async function askTime(url: URL, { place }: ControlPlaneChecks, signal: AbortSignal): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const socket = url.protocol === 'https:' ? await dial(url, place?.ca, signal) : undefined;
  const sent = request({
    ...{ host: bare(url.hostname), port: url.port || 80, path: '/healthz', method: 'HEAD', timeout: connectMs, signal },
    ...(socket ? { createConnection: () => socket } : {}),
    headers: { host: url.host, connection: 'close' },
  });
  sent.once('response', (response) => {
    response.resume();
    const time = Date.parse(response.headers.date ?? '');
    Number.isNaN(time) ? reject(new Error('its answer has no date')) : resolve(time);
  });
  sent.once('timeout', () => sent.destroy(new Error(`no answer within ${connectMs / 1000} s`)));
  sent.once('error', reject);
  sent.end();
  try {
    return await promise;
  } finally {
    sent.destroy();
    socket?.destroy();
  }
}

/** An IPv6 address of a URL stands in brackets. */
function bare(hostname: string): string {
  return hostname.replace(/^\[|\]$/g, '');
}

function codeOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return code ?? message ?? String(error);
}
