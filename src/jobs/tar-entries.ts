/** Entries of tars, one after the other, at the pace of whoever reads them. */
import type { Extract, Header, Pack } from 'tar-stream';

export type Entry = Extract extends AsyncIterable<infer E> ? E : never;
type Sink = ReturnType<Pack['entry']>;

/** Undefined at the end. */
export async function nextEntry(entries: AsyncIterator<Entry>): Promise<Entry | undefined> {
  const { value, done } = await entries.next();
  return done ? undefined : value;
}

/** With what is in it, where it is a file. */
export async function copyEntry(ours: Pack, header: Partial<Header> & Pick<Header, 'name'>, entry: Entry) {
  if (header.type !== 'file') {
    entry.resume();
    return await writeEntry(ours, header);
  }
  await writeEntry(ours, header, async (sink) => {
    for await (const chunk of entry) {
      if (!sink.write(chunk)) await drained(sink);
    }
    sink.end(null);
  });
}

export async function writeEntry(
  ours: Pack,
  header: Partial<Header> & Pick<Header, 'name'>,
  fill?: (sink: Sink) => Promise<void>,
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  // Where it is not waited for any more, somebody has told already what is wrong.
  promise.catch(() => undefined);
  const sink = ours.entry(header, (error) => (error ? reject(error) : resolve()));
  await fill?.(sink);
  await promise;
}

async function drained(sink: Sink): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const onClose = () => reject(new Error('What is to be kept could not be written'));
  sink.once('drain', resolve);
  sink.once('close', onClose);
  try {
    await promise;
  } finally {
    // A file waits as often as it has pieces.
    sink.off('drain', resolve);
    sink.off('close', onClose);
  }
}
