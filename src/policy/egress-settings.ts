/**
 * What the proxy of a job is told: by the variables of its container, which the gate writes and nobody else. Rules may be more than one
 * variable can hold, so they come in pieces.
 */
import type { JobEgress } from '../contract/job-egress.ts';

export interface EgressSettings {
  readonly egress: JobEgress;
  /** Private places that the operator allows: `host:port`, or ranges. */
  readonly allow: readonly string[];
  /** Ranges that stay closed, whatever is allowed. */
  readonly never: readonly string[];
  /** Range of the network of the job: it is asked there, and nowhere else. */
  readonly listen_in: string;
}

/** Where the proxy listens, on the network of its job. */
export const egressPort = 3128;

const prefix = 'GPUAAS_EGRESS_';
/** A kernel takes 128 KiB for a variable, in bytes; these are UTF-16 units of what is nearly all ASCII. */
const pieceLength = 32_768;

/** Variables as `NAME=value`. */
export function egressVariables(settings: EgressSettings): string[] {
  const text = JSON.stringify(settings);
  const count = Math.ceil(text.length / pieceLength);
  return Array.from(
    { length: count },
    (_, index) => `${prefix}${index}=${text.slice(index * pieceLength, (index + 1) * pieceLength)}`,
  );
}

/** What the variables say; throws where they say nothing whole. */
export function readEgressVariables(env: Readonly<Record<string, string | undefined>>): EgressSettings {
  const pieces: string[] = [];
  for (let index = 0; ; index += 1) {
    const piece = env[`${prefix}${index}`];
    if (piece === undefined) break;
    pieces.push(piece);
  }
  const { egress, allow, never, listen_in } = JSON.parse(pieces.join('')) as EgressSettings;
  const isWhole =
    [egress?.rules, egress?.any_public, allow, never].every(Array.isArray) && typeof listen_in === 'string';
  if (!isWhole) throw new Error('The settings of the proxy are not whole.');
  return { egress, allow, never, listen_in };
}
