/** An image by a tag, as authors of jobs write it. */
import { ensureEngine } from '../../bootstrap/dev/engine.ts';
import { ensureImage } from '../../bootstrap/dev/images.ts';
import { ensureRegistry } from '../../bootstrap/dev/registry.ts';

export async function taggedImage(image: 'tiny' | 'python' = 'tiny'): Promise<string> {
  const { socketPath } = await ensureEngine();
  const { host } = await ensureRegistry();
  const { reference } = await ensureImage({ socketPath, host }, image);
  const [name = ''] = reference.split('@');
  const listed = await fetch(`http://${name.replace('/', '/v2/')}/tags/list`);
  return `${name}:${((await listed.json()) as { tags: string[] }).tags.at(-1)}`;
}
