/** GiB (2^30 bytes), to the hundredth: for people. */
export function toGib(bytes: number): number {
  return Math.round((bytes / 2 ** 30) * 100) / 100;
}
