/** A tar of whatever entries a test wants, strange ones among them. */
import { type Header, pack } from 'tar-stream';

export type TarItem = Partial<Header> & Pick<Header, 'name'> & { readonly content?: string };

export async function tarOfItems(items: readonly TarItem[]): Promise<Buffer> {
  const tar = pack();
  for (const { content, ...header } of items) tar.entry(header, content ?? '');
  tar.finalize();
  const parts: Buffer[] = [];
  for await (const part of tar) parts.push(Buffer.from(part as Uint8Array));
  return Buffer.concat(parts);
}
