/**
 * A signal that never aborts, for what has to come to its end also after a cancel: what is given up half-way can still appear on
 * the host when the clean-up is over. Each call of the engine has a deadline of its own.
 */
export function toItsEnd(): AbortSignal {
  return new AbortController().signal;
}
