/**
 * An engine whose words about a workload hold none of the task's secrets.
 *
 * Excerpts of logs and of commands go into failures and results. They are cut to a length there, and half a secret
 * would no longer be recognised: so it is taken out here, from whole lines, before anybody cuts. Where a line was cut
 * before it came here, at the beginning of a log's tail or where a log or a command's output breaks off, the half that is
 * left goes, too.
 */
import { StringDecoder } from 'node:string_decoder';
import { TailBuffer } from '../kit/tail-buffer.ts';
import {
  type ContainerEngine,
  type ExecOptions,
  execTailLength,
  type LogChannel,
  type LogEntry,
} from '../runtime/engine.ts';
import type { CleanPieces, HiddenTexts } from './hidden-texts.ts';

type Hidden = Pick<HiddenTexts, 'pieces'>;

/** `hidden` are the texts that are taken out. */
export function discreetEngine(engine: ContainerEngine, hidden: Hidden): ContainerEngine {
  return {
    ...engine,
    exec: async (name, argv, options) => {
      const output = new CleanOutput(hidden, options.onOutput);
      try {
        const result = await engine.exec(name, argv, { ...options, onOutput: (...said) => output.push(...said) });
        return { ...result, tail: output.end({ cut: result.adopted }) };
      } catch (error) {
        output.end({ cut: true });
        throw error;
      }
    },
    logs: (name, options) => cleanEntries(engine.logs(name, options), hidden),
  };
}

/** What a command says: line by line, so that the channels stay in order, and a line without an end piece by piece. */
class CleanOutput {
  readonly #tail = new TailBuffer(execTailLength);
  readonly #lines: { readonly [channel in LogChannel]: CleanPieces };
  readonly #tell: ExecOptions['onOutput'];

  constructor(hidden: Hidden, tell: ExecOptions['onOutput']) {
    this.#lines = { stdout: hidden.pieces({ known: true }), stderr: hidden.pieces({ known: true }) };
    this.#tell = tell;
  }

  push(channel: LogChannel, text: string): void {
    const line = this.#lines[channel];
    const pushed = text.split('\n').map((each, index) => {
      return (index === 0 ? '' : `${line.end({ cut: false })}\n`) + line.push(each);
    });
    this.#give(channel, pushed.join(''));
  }

  /** Gives what was held back, and returns the end of everything. */
  end(how: { readonly cut: boolean }): string {
    for (const channel of ['stdout', 'stderr'] as const) {
      this.#give(channel, this.#lines[channel].end(how));
    }
    return this.#tail.toString();
  }

  #give(channel: LogChannel, text: string): void {
    if (text !== '') {
      this.#tail.push(text);
      this.#tell?.(channel, text);
    }
  }
}

interface OpenLine {
  readonly decoder: StringDecoder;
  readonly pieces: CleanPieces;
  /** The newest entry of it. */
  entry: LogEntry;
}

/** Entry by entry; those of one line are cut elsewhere than they were, and never within a character. */
async function* cleanEntries(entries: AsyncIterable<LogEntry>, hidden: Hidden): AsyncGenerator<LogEntry> {
  const open = new Map<LogChannel, OpenLine>();
  const seen = new Set<LogChannel>();
  let failure: { readonly error: unknown } | undefined;
  try {
    for await (const entry of entries) {
      const { channel, data, partial } = entry;
      const before = open.get(channel);
      const line = before ?? {
        ...{ decoder: new StringDecoder('utf8'), entry },
        pieces: hidden.pieces({ known: seen.has(channel) }),
      };
      seen.add(channel);
      if (partial) {
        line.entry = entry;
        open.set(channel, line);
        yield { ...entry, data: Buffer.from(line.pieces.push(line.decoder.write(data))) };
        continue;
      }
      open.delete(channel);
      const text = line.decoder.end(data);
      const cleaned = line.pieces.push(text) + line.pieces.end({ cut: false });
      yield before === undefined && cleaned === text ? entry : { ...entry, data: Buffer.from(cleaned) };
    }
  } catch (error) {
    failure = { error };
  }
  for (const { decoder, pieces, entry } of open.values()) {
    yield { ...entry, data: Buffer.from(pieces.push(decoder.end()) + pieces.end({ cut: true })) };
  }
  if (failure) {
    throw failure.error;
  }
}
