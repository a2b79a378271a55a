/** A literal may turn out to be one. */
export function isAbsolute(path: string): boolean {
  return path.startsWith('/') || path.startsWith('%%');
}

/** Where a volume is mounted: a folder is often written with a slash at its end. */
export function mountPath(path: string): string {
  return path.replace(/(?<=.)\/+$/, '');
}
