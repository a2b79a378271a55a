/** What a new control plane begins with: the curated apps, published, and every project entitled to them (G-145). */

import { readProfileText } from '../../manifests/gpuaas/read-profile.ts';
import { jupyterlab } from '../../manifests/gpuaas/seeds/jupyterlab.ts';
import { vllmOpenai } from '../../manifests/gpuaas/seeds/vllm-openai.ts';
import { appendEvent } from '../db/events.ts';
import { newId } from '../db/new-id.ts';
import type { Tx } from '../db/store.ts';

const curated = [jupyterlab, vllmOpenai] as const;

/**
 * Adds what is missing and leaves alone what is there. Images are not seeded: an artifact is a digest in a registry, and
 * nobody has pushed any yet. The catalog names the artifacts that each app waits for.
 */
export async function seedCatalog(tx: Tx, now: number): Promise<void> {
  const at = new Date(now).toISOString();
  for (const { slug, version, category, format, source } of curated) {
    const read = readProfileText(source);
    if (!read.ok) {
      throw new Error(`the curated manifest of ${slug} is not valid: ${JSON.stringify(read.errors)}`);
    }
    const { display_name, description } = read.profile.profile;
    if (!(await tx.apps.get(slug))) {
      await tx.apps.insert({
        ...{ id: slug, display_name, summary: description, category, status: 'active', created_at: at },
      });
      await tx.entitlements.insert({
        ...{ id: newId(now), app_slug: slug, project_id: null, created_at: at, created_by: 'seed' },
      });
    }
    if (!(await tx.app_versions.find({ app_slug: slug, version }))) {
      await tx.app_versions.insert({
        ...{ id: newId(now), app_slug: slug, version, status: 'published', format, source },
        ...{ manifest: read.profile, created_at: at, published_at: at },
      });
      await appendEvent(
        tx,
        { now, correlationId: 'seed', who: { actor: 'system' } },
        {
          type: 'app.seeded',
          project_id: null,
          subject: { kind: 'app', id: slug },
          message: `${slug} ${version} was added.`,
        },
      );
    }
  }
}
