/** JSON pointers (RFC 6901), by which errors say where they are. Apart from the judge, so that a browser can have it alone. */

/** Escapes one key for use in a JSON pointer. */
export function pointerToken(key: string): string {
  return key.replaceAll('~', '~0').replaceAll('/', '~1');
}
