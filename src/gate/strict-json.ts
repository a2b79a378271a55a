/**
 * Parses what a client sent. The engine's own parser takes the last of two equal keys and ignores case; the gate sends
 * it nothing but what the strict reader understood, written anew.
 */
import { AgentError } from '../contract/failures.ts';
import { readStrictJson } from '../contract/strict-json.ts';

/** Returns the value, or throws `policy.refused` that names what is wrong. */
export function parseStrictJson(bytes: Buffer): unknown {
  const read = readStrictJson(bytes);
  if (read.ok) return read.value;
  const errors = read.errors.map(({ path, code, message }) => ({ path, code, message: `the body ${message}` }));
  throw new AgentError('policy.refused', { errors });
}
