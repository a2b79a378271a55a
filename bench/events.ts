/** The events of a project, as a program follows them that wants to know at once. */
import type { Wire } from '../test/support/wire-ground.ts';

export interface Events {
  /** Resolves when this was told about this instance; at once if it was before. */
  seen(id: string, type: string): Promise<void>;
  stop(): Promise<void>;
}

/** Follows the events of the project as a program does that wants to know at once. */
export async function follow({ url, member }: Wire): Promise<Events> {
  const ending = new AbortController();
  const response = await fetch(`${url}/api/v1/events`, {
    headers: { authorization: `Bearer ${member.token}` },
    signal: ending.signal,
  });
  const known = new Map<string, PromiseWithResolvers<void>>();
  const of = (key: string) => known.getOrInsertComputed(key, () => Promise.withResolvers<void>());
  const reading = read(response, (type, id) => of(`${type} ${id}`).resolve());
  return {
    seen: async (id, type) => {
      const failed = type.replace(/[^.]+$/, 'failed');
      await Promise.race([
        of(`${type} ${id}`).promise,
        of(`${failed} ${id}`).promise.then(() => Promise.reject(new Error(`${id} failed`))),
      ]);
    },
    stop: async () => {
      ending.abort();
      await reading.catch(() => undefined);
    },
  };
}

async function read(response: Response, told: (type: string, subject: string) => void): Promise<void> {
  let rest = '';
  const decoder = new TextDecoder();
  for await (const chunk of response.body ?? []) {
    const messages = (rest + decoder.decode(chunk, { stream: true })).split('\n\n');
    rest = messages.pop() ?? '';
    for (const message of messages) {
      const data = /^data: (.*)$/m.exec(message)?.[1];
      if (data !== undefined) {
        const { type, subject } = JSON.parse(data) as { type: string; subject: { id: string } };
        told(type, subject.id);
      }
    }
  }
}
