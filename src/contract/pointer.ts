/** JSON pointers (RFC 6901), by which errors say where they are. Apart from the judge, so that a browser can have it alone. */

/** Escapes one key for use in a JSON pointer. */
export function pointerToken(key: string): string {
  return key.replaceAll('~', '~0').replaceAll('/', '~1');
}

/** The keys that a JSON pointer leads through. */
export function keysOf(pointer: string): string[] {
  const tokens = pointer.split('/').slice(1);
  return tokens.map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'));
}
