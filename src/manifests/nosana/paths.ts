/** A literal may turn out to be one. */
export function isAbsolute(path: string): boolean {
  return path.startsWith('/') || path.startsWith('%%');
}
