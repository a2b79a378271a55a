/** Why a container ended: what the engine knows, and the end of its log. */
import { AgentError } from '../contract/failures.ts';
import { redactText } from '../kit/log.ts';
import { toUnixNanos } from '../kit/nano-time.ts';
import type { ContainerEngine, ContainerFacts } from './engine.ts';

export type EndWitness = Pick<ContainerEngine, 'inspect' | 'logs'>;

/** Entries of the log that are looked at, and what is kept of them. */
const excerptEntries = 50;
const excerptChars = 4096;
const excerptTimeoutMs = 10_000;
/** Engines note the start a moment after it, when a first line may be there already. */
const startSlackNanos = 100_000_000n;

/** `container.oom_killed` or `container.exited`, with exit code and excerpt. For a container that has ended. */
export async function explainEnd(engine: EndWitness, name: string, signal: AbortSignal): Promise<AgentError> {
  const facts = await engine.inspect(name, signal);
  const excerpt = await readExcerpt(engine, name, signal, facts);
  const reason = facts?.error ? { reason: facts.error } : {};
  const detail = { container: name, exit_code: facts?.exitCode ?? null, excerpt, ...reason };
  return new AgentError(facts?.oomKilled ? 'container.oom_killed' : 'container.exited', detail);
}

/**
 * The last lines of the log since the container was started last, at most 4096 characters, without what looks like a
 * credential. Empty if it is not there. `seen` is what the container is like, where that is known already.
 */
export async function readExcerpt(
  engine: EndWitness,
  name: string,
  signal: AbortSignal,
  seen?: ContainerFacts,
): Promise<string> {
  const limited = AbortSignal.any([signal, AbortSignal.timeout(excerptTimeoutMs)]);
  let text = '';
  try {
    const facts = seen ?? (await engine.inspect(name, limited));
    const start = toUnixNanos(facts?.startedAt ?? '');
    let begun = start === undefined;
    for await (const entry of engine.logs(name, { signal: limited, follow: false, tail: excerptEntries })) {
      // Whatever stands behind the first line of this life belongs to it, also where somebody has set the clock meanwhile.
      begun ||= start !== undefined && (toUnixNanos(entry.time) ?? start) >= start - startSlackNanos;
      if (begun) {
        text += entry.data.toString() + (entry.partial ? '' : '\n');
      }
    }
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof AgentError) && !limited.aborted) {
      throw error;
    }
    // What could be read of it is better than nothing, and the end itself matters more.
  }
  // Redacted before it is cut: half a credential would not look like one.
  const clean = redactText(text.trimEnd());
  return clean.length > excerptChars ? `…${clean.slice(1 - excerptChars)}` : clean;
}
