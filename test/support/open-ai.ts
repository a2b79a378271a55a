/** An OpenAI-compatible server as a client library uses it: a key, JSON, and answers that come word by word. */
import { parseEvents } from '../../src/cli/gpuaas/event-lines.ts';

export interface OpenAi {
  /** Status and body of a GET, or of a POST where there is a body to send. */
  ask(path: string, body?: unknown): Promise<{ readonly status: number; readonly body: Completion }>;
  /** The answer of the model `model` to one message. */
  chat(model: string, content: string): Promise<string>;
  /** The same as it comes: each piece, the usage at the end, and whether the stream said that it is whole. */
  stream(model: string, content: string, more?: object): Promise<Streamed>;
}

export interface Streamed {
  readonly pieces: readonly string[];
  readonly finish: string | null;
  readonly usage: unknown;
  readonly isWhole: boolean;
}

// biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape.
type Completion = any;

/** `key` is left out of the requests where it is undefined. */
export function openAiAt(origin: string, key?: string): OpenAi {
  const send = (path: string, body?: unknown) =>
    fetch(new URL(path, origin), {
      headers: { 'content-type': 'application/json', ...(key === undefined ? {} : { authorization: `Bearer ${key}` }) },
      ...(body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }),
    });
  const ask = async (path: string, body?: unknown) => {
    const answer = await send(path, body);
    const isJson = answer.headers.get('content-type')?.includes('json') === true;
    return { status: answer.status, body: isJson ? ((await answer.json()) as Completion) : await answer.text() };
  };
  const messagesOf = (content: string) => [{ role: 'user', content }];
  return {
    ask,
    chat: async (model, content) => {
      const { status, body } = await ask('/v1/chat/completions', { model, messages: messagesOf(content) });
      if (status !== 200) throw new Error(`${status}: ${JSON.stringify(body)}`);
      return body.choices[0].message.content;
    },
    stream: async (model, content, more = {}) => {
      const request = { model, messages: messagesOf(content), stream: true, stream_options: { include_usage: true } };
      return await streamed(await send('/v1/chat/completions', { ...request, ...more }));
    },
  };
}

async function streamed(answer: Response): Promise<Streamed> {
  const kind = answer.headers.get('content-type');
  if (kind?.startsWith('text/event-stream') !== true)
    throw new Error(`${answer.status} ${kind}: ${await answer.text()}`);
  const pieces: string[] = [];
  let [finish, usage]: [string | null, unknown] = [null, undefined];
  for await (const { data } of parseEvents(answer.body as AsyncIterable<Uint8Array>)) {
    if (data === '[DONE]') return { pieces, finish, usage, isWhole: true };
    const { choices, usage: used } = JSON.parse(data);
    usage = used ?? usage;
    for (const { delta, finish_reason } of choices) {
      finish = finish_reason ?? finish;
      if (delta.content) pieces.push(delta.content);
    }
  }
  return { pieces, finish, usage, isWhole: false };
}
