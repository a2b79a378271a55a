import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { readLayout } from '../../../../src/cli/gpuaas/oci-layout.ts';
import { pushImage } from '../../../../src/cli/gpuaas/push-image.ts';
import { type Layout, writeLayout } from '../../../support/oci-layout.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';

const root = temporaryFolder('push-image');
const secret = join(root, 'id_ed25519');
writeFileSync(secret, 'canary of a private key');

/** Has nothing and takes everything. */
let received = '';
const registry = createServer(async (request, response) => {
  for await (const piece of request) received += String(piece);
  const status = request.method === 'HEAD' ? 404 : request.method === 'POST' ? 202 : 201;
  response.writeHead(status, { location: '/upload' }).end();
});
beforeAll(() => new Promise<void>((resolve) => registry.listen(0, '127.0.0.1', resolve)));
afterAll(() => registry.close());

async function push({ folder }: Layout): Promise<string> {
  received = '';
  const { port } = registry.address() as AddressInfo;
  const target = { repository: `127.0.0.1:${port}/curated/x`, token: undefined, onBlob: () => undefined };
  await pushImage(await readLayout(folder), target);
  return received;
}
const aLayout = () => writeLayout(join(root, randomUUID()));
const layerOf = ({ folder, layers: [layer = ''] }: Layout) => join(folder, 'blobs', ...layer.split(':'));

it('sends what the layers are named after', async () => {
  expect(await push(aLayout())).toContain('a layer');
});

it.each<[string, (file: string) => void]>([
  ['is a link to a file of this machine', (file) => symlinkSync(secret, file)],
  ['is a pipe', (file) => execFileSync('mkfifo', [file])],
  ['is another than its digest says', (file) => writeFileSync(file, 'canary of another layer')],
  ['is missing', () => undefined],
])('sends nothing of a layer that %s', async (_what, put) => {
  const layout = aLayout();
  rmSync(layerOf(layout));
  put(layerOf(layout));

  await expect(push(layout)).rejects.toMatchObject({ code: 'file.unusable' });

  expect(received).not.toContain('canary');
});

it.each<[string, (file: string) => void]>([
  ['a pipe', (file) => execFileSync('mkfifo', [file])],
  ['a device', (file) => symlinkSync('/dev/zero', file)],
  ['larger than any manifest', (file) => writeFileSync(file, ' '.repeat(5 * 1024 * 1024))],
])('reads no index that is %s', async (_what, put) => {
  const { folder } = aLayout();
  rmSync(join(folder, 'index.json'));
  put(join(folder, 'index.json'));

  await expect(readLayout(folder)).rejects.toMatchObject({ code: 'file.unusable' });
});
