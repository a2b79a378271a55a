/**
 * An engine whose words about a workload hold none of the task's secrets.
 *
 * Excerpts of logs and of commands go into failures and results. They are cut to a length there, and half a secret
 * would no longer be recognised: so it is taken out here, from whole lines, before anybody cuts.
 */
import type { ContainerEngine, LogEntry } from '../runtime/engine.ts';

/** `clean` takes the hidden texts out of a text. */
export function discreetEngine(engine: ContainerEngine, clean: (text: string) => string): ContainerEngine {
  return {
    ...engine,
    exec: async (name, argv, options) => {
      const result = await engine.exec(name, argv, options);
      return { ...result, tail: clean(result.tail) };
    },
    logs: (name, options) => cleanEntries(engine.logs(name, options), clean),
  };
}

async function* cleanEntries(
  entries: AsyncIterable<LogEntry>,
  clean: (text: string) => string,
): AsyncGenerator<LogEntry> {
  for await (const entry of entries) {
    const text = entry.data.toString();
    const cleaned = clean(text);
    yield cleaned === text ? entry : { ...entry, data: Buffer.from(cleaned) };
  }
}
