/**
 * CONNECT: bytes in both directions, once it is known what they are.
 *
 *   rules ─▶ addresses, judged ─▶ connected ─▶ 200 ─▶ first bytes ─▶ carried
 *
 * Who was let through by an https rule has to begin with a TLS ClientHello that names the very host; by an http rule, with the first
 * line of a request. Nothing of it is sent on before.
 */
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { plainHost } from '../policy/plain-host.ts';
import { addressOfHost } from '../policy/public-address.ts';
import { type FirstBytes, FirstBytesReader } from './client-hello.ts';
import { dial } from './dial.ts';
import { type EgressScheme, type Place, Refusal, Unresolved } from './guard.ts';
import type { ProxyContext } from './proxy.ts';
import { hostHeaders, plainAnswer } from './words.ts';

const authority = /^([A-Za-z0-9_.-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\]):([1-9][0-9]{0,4})$/;
const established = 'HTTP/1.1 200 Connection established\r\n\r\n';
/** TLS 1.2, fatal, access denied: what clients of TLS show as such. */
const accessDenied = Buffer.from([21, 3, 3, 0, 2, 2, 49]);

export async function tunnel(
  request: IncomingMessage,
  client: Socket,
  head: Buffer,
  context: ProxyContext,
): Promise<void> {
  const gone = new AbortController();
  client.on('error', () => undefined);
  client.once('close', () => gone.abort());
  client.setTimeout(context.limits.idleMs, () => client.destroy());
  if (client.destroyed) return;
  let place: Place | undefined;
  let server: Socket | undefined;
  try {
    place = placeOf(request);
    const schemes = context.guard.schemesFor(place, ['https', 'http']);
    const addresses = await context.guard.addressesOf(place);
    server = await dial(addresses, place.port, gone.signal);
    const { first, bytes } = await firstBytesOf(client, head, context, () => client.write(established));
    assertFits(first, place, schemes);
    server.write(bytes);
    carry(client, server, context.limits);
  } catch (error) {
    server?.destroy();
    refuse(error, client, place, context);
  }
}

function placeOf({ url = '', rawHeaders }: IncomingMessage): Place {
  const [, given = '', digits = ''] = authority.exec(url) ?? [];
  const [host, port] = [plainHost(given), Number(digits)];
  if (host === undefined || port > 65_535) throw new Refusal('malformed', 'CONNECT needs host:port.');
  const named = hostHeaders(rawHeaders);
  const isSame = named.every((each) => [`${host}:${port}`, host].includes(plainAuthority(each)));
  if (named.length > 1 || !isSame) throw new Refusal('malformed', 'The Host of the request is another place.');
  return { host, port };
}

function plainAuthority(text: string): string {
  const [, host = '', port] = /^(.*?)(:[0-9]{1,5})?$/.exec(text) ?? [];
  return `${plainHost(host) ?? ''}${port ?? ''}`;
}

/** The end of the headers was told by `begin`; rejects where nothing comes in time, or nothing that could be it. */
async function firstBytesOf(
  client: Socket,
  head: Buffer,
  { limits }: ProxyContext,
  begin: () => void,
): Promise<{ readonly first: FirstBytes; readonly bytes: Buffer }> {
  const { promise, resolve, reject } = Promise.withResolvers<FirstBytes>();
  const reader = new FirstBytesReader();
  const onData = (part: Buffer) => {
    const first = reader.add(part);
    if (first.kind !== 'more') resolve(first);
  };
  const leave = () => reject(new Error('The client went away.'));
  const late = setTimeout(() => resolve({ kind: 'other' }), limits.firstBytesMs);
  client.on('data', onData);
  client.once('end', leave);
  client.once('close', leave);
  try {
    begin();
    if (head.length > 0) onData(head);
    const first = await promise;
    return { first, bytes: reader.bytes };
  } finally {
    clearTimeout(late);
    client.pause();
    client.off('data', onData);
    client.off('end', leave);
    client.off('close', leave);
  }
}

function assertFits(first: FirstBytes, { host, port }: Place, schemes: readonly EgressScheme[]): void {
  if (first.kind === 'http' && schemes.includes('http')) return;
  if (first.kind === 'tls' && schemes.includes('https')) {
    const isNamed = first.name === host || (first.name === undefined && addressOfHost(host) !== undefined);
    if (isNamed) return;
    const said = first.name === undefined ? 'names no host' : `names ${first.name.slice(0, 253)}`;
    throw new Refusal('wrong_name', `TLS to ${host}:${port} ${said}.`);
  }
  throw new Refusal('wrong_protocol', `What was said to ${host}:${port} is not ${schemes.join(' or ')}.`);
}

/** Until both have ended; one that says nothing any more for too long ends both. */
function carry(client: Socket, server: Socket, { idleMs, halfOpenMs }: ProxyContext['limits']): void {
  for (const [from, to] of [
    [client, server],
    [server, client],
  ] as const) {
    from.setTimeout(idleMs, () => from.destroy());
    from.once('close', () => to.destroy());
    from.once('end', () => {
      if (!to.destroyed) to.end();
      to.setTimeout(halfOpenMs);
    });
    from.on('data', (bytes: Buffer) => {
      if (!to.write(bytes)) from.pause();
    });
    to.on('drain', () => from.resume());
    from.resume();
  }
}

/** Says why, in the words of whatever was agreed on by then, and writes it down. */
function refuse(error: unknown, client: Socket, place: Place | undefined, { refusals }: ProxyContext): void {
  if (error instanceof Refusal) {
    const { host = null, port = null } = place ?? {};
    const scheme = error.reason === 'wrong_name' ? 'https' : null;
    refusals.note({ refused: error.reason, host, port, scheme, reason: error.message });
  }
  if (client.destroyed) return;
  if (client.bytesWritten > 0) {
    if (error instanceof Refusal && error.reason === 'wrong_name') client.end(accessDenied);
    closeSoon(client);
    return;
  }
  const status = error instanceof Refusal ? (error.reason === 'malformed' ? 400 : 403) : 502;
  const isOurs = error instanceof Refusal || error instanceof Unresolved;
  client.end(plainAnswer(status, isOurs ? error.message : 'The place cannot be connected to.'));
  closeSoon(client);
}

const closingMs = 1000;

/** What was written arrives first; whoever does not close then is closed. */
function closeSoon(client: Duplex): void {
  client.resume();
  if (!client.writableEnded) client.end();
  const timer = setTimeout(() => client.destroy(), closingMs);
  client.once('close', () => clearTimeout(timer));
}
