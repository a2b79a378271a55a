/** An `Idempotency-Key` of its own. Not `randomUUID`: that is missing where the console is reached by plain HTTP on a name. */
export function newKey(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}
