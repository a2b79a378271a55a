/** A revision as the control plane has it. */
import { createHash, randomUUID } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Revision } from '../../src/server/db/entities/revision.ts';
import type { TestServer } from './test-server.ts';

/** Puts one there, its tar being these bytes. */
export async function haveRevision(
  { store, revisionFolder }: Pick<TestServer, 'store' | 'revisionFolder'>,
  tar: Uint8Array,
  given: Partial<Revision> = {},
  manifest: unknown = {},
): Promise<Revision> {
  const revision: Revision = {
    ...{
      id: randomUUID(),
      project_id: 'p1',
      sha256: createHash('sha256').update(tar).digest('hex'),
      bytes: tar.length,
    },
    ...{
      files: 1,
      bases: [],
      warnings: [],
      pushed_at: '2026-11-25T10:00:00.000Z',
      pushed_by: 'token-1',
      prepared_on: [],
    },
    ...given,
  };
  mkdirSync(join(revisionFolder, revision.project_id), { recursive: true });
  writeFileSync(join(revisionFolder, revision.project_id, revision.sha256), tar);
  await store.write(async (tx) => {
    await tx.revisions.insert(revision);
    await tx.revision_manifests.insert({ id: revision.id, manifest });
  });
  return revision;
}
