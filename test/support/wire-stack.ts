/** The app `smoke-stack` in the catalog of a wire, as an operator puts it there: manifest, image, everybody entitled. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { ensureEngine } from '../../bootstrap/dev/engine.ts';
import { ok, type Person } from './wire-ground.ts';
import { offerImage } from './wire-vllm.ts';

const manifest = resolve(import.meta.dirname, '../../fixtures/manifests/gpuaas/smoke-stack.yaml');

/** Resolves with the socket of the engine that its image is in. */
export async function addStackApp(admin: Person): Promise<string> {
  const { socketPath } = await ensureEngine();
  await offerImage(admin, socketPath, 'python', 'runtime-cpu');
  const app = { slug: 'smoke-stack', display_name: 'Smoke test', summary: 'Two services.', category: 'test' };
  ok(await admin.call('POST', '/api/v1/catalog/apps', app));
  const versions = '/api/v1/catalog/apps/smoke-stack/versions';
  ok(await admin.call('POST', versions, { version: '1.0', source: readFileSync(manifest, 'utf8') }));
  ok(await admin.call('POST', `${versions}/1.0/publish`));
  ok(await admin.call('POST', '/api/v1/entitlements', { app_slug: 'smoke-stack', project_id: null }));
  return socketPath;
}
