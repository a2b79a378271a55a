/** What names of a manifest become. */

/** Part of a variable: `hf-cache` is that of `COMPUTALOT_CACHE_HF_CACHE_DIR`. */
export function variableOf(name: string): string {
  return name.toUpperCase().replaceAll('-', '_');
}

/** Host name of a service on the network of its job. */
export function hostOf(name: string): string {
  return name.toLowerCase().replaceAll('_', '-');
}
