/** What requests and answers have in common. */

const phrases: Readonly<Record<number, string>> = { 400: 'Bad Request', 403: 'Forbidden', 502: 'Bad Gateway' };

/** A whole answer, after which the connection ends. */
export function plainAnswer(status: number, text: string): string {
  const body = `${text}\n`;
  return [
    `HTTP/1.1 ${status} ${phrases[status] ?? 'Error'}`,
    'Content-Type: text/plain; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
    '',
    body,
  ].join('\r\n');
}

/** Names and values in turn, as they came. */
export function pairsOf(raw: readonly string[]): [name: string, value: string][] {
  return Array.from({ length: raw.length / 2 }, (_, index) => [raw[2 * index] ?? '', raw[2 * index + 1] ?? '']);
}

export function hostHeaders(raw: readonly string[]): string[] {
  return pairsOf(raw).flatMap(([name, value]) => (name.toLowerCase() === 'host' ? [value] : []));
}

/** Of one connection only (RFC 9110, 7.6.1), and what proxies are told. */
const hopByHop = new Set([
  ...['connection', 'proxy-connection', 'keep-alive', 'te', 'trailer', 'transfer-encoding', 'upgrade', 'expect'],
  ...['proxy-authorization', 'proxy-authenticate', 'proxy-authentication-info', 'http2-settings'],
]);

/** Without those that are of one connection only, by what they are or by what `Connection` says. */
export function endToEnd(raw: readonly string[]): [name: string, value: string][] {
  const pairs = pairsOf(raw);
  const named = pairs.flatMap(([name, value]) =>
    name.toLowerCase() === 'connection' ? value.split(',').map((word) => word.trim().toLowerCase()) : [],
  );
  const isLeftOut = (name: string) => hopByHop.has(name) || (named.includes(name) && name !== 'content-length');
  return pairs.filter(([name]) => !isLeftOut(name.toLowerCase()));
}
