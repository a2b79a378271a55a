/**
 * Which engine it is that answers, and whether workloads may run on it.
 *
 * podman speaks Docker's API, takes the same requests, and makes something else of them: it leaves out runtime, cards and
 * namespaces without a word, and its inspect does not tell of a container what a seal covers. Nobody could say that what runs
 * is what was judged, so it is refused by its name, before anything is asked of it. A seal stops it as well, but only when the
 * container is made, and with words that lead nobody to the reason.
 */
import { AgentError } from '../contract/failures.ts';

/** What an engine says about itself (`GET /version`). */
export interface VersionAnswer {
  readonly Version?: string;
  readonly ApiVersion?: string;
  readonly MinAPIVersion?: string;
  readonly Components?: readonly { readonly Name?: string }[] | null;
}

/** Throws `engine.unsupported` for an engine that cannot keep what a launch is promised, or that host policy does not approve. */
export function assertUsable({ Version: version = '', Components }: VersionAnswer, approved: readonly string[]): void {
  const isPodman = (Components ?? []).some(({ Name }) => Name?.startsWith('Podman'));
  const engine = isPodman ? 'podman' : 'docker';
  const why = isPodman
    ? `whose Docker-compatible API drops parts of a request (runtime, cards, namespaces) and does not tell what it made`
    : `and host policy approves ${approved.length === 0 ? 'none' : `only ${approved.join(' and ')}`}`;
  if (isPodman || !approved.includes(engine)) {
    throw new AgentError('engine.unsupported', { engine, version, reason: `It is ${engine} ${version}, ${why}.` });
  }
}
