/** How nodes get the files of their jobs: the tar of a revision, to whom a job of it was given. */
import { Type } from 'typebox';
import { Sha256 } from '../../contract/job-outputs.ts';
import { revisionsPath } from '../../contract/signing.ts';
import { closed } from '../db/entities/fields.ts';
import type { Node } from '../db/entities/node.ts';
import type { Revision } from '../db/entities/revision.ts';
import type { ReadTx, Store } from '../db/store.ts';
import { sendFile } from '../files/send-file.ts';
import { found } from '../http/access.ts';
import { openRoute, type Route } from '../http/route.ts';
import { Seats } from '../http/seats.ts';
import { nodeAsking } from '../hub/admission.ts';
import { presentAttempt } from '../jobs/jobs-at-work.ts';
import type { RevisionFiles } from './revision-files.ts';

/** Each holds a file open. */
const seatLimits = { what: 'downloads', all: 256, each: 4 };

export function nodeRevisionRoutes(parts: { readonly store: Store; readonly revisions: RevisionFiles }): Route[] {
  const { store, revisions } = parts;
  const seats = new Seats(seatLimits);
  return [
    openRoute({
      ...{ method: 'GET', path: `${revisionsPath}/{sha256}`, tag: 'agent', produces: 'application/octet-stream' },
      summary: 'Gives a node the tar of a revision that it has a job of. `Range` gives a part of it.',
      params: Type.Object({ sha256: Sha256 }, closed),
      answer: Type.String({ description: 'The tar.' }),
      stream: async ({ headers, params: { sha256 } }) => {
        const { node, revision } = await store.read(async (tx) => {
          const asking = await nodeAsking(tx, headers.authorization);
          return { node: asking, revision: await revisionOfJobs(tx, asking, sha256) };
        });
        const read = async (start: number, end: number) => {
          const handle = found('revision', sha256, await revisions.open(revision));
          return handle.createReadStream({ start, end });
        };
        const source = { size: revision.bytes, etag: `"${sha256}"`, read };
        const seat = () => seats.take({ projectId: null, tokenId: node.id });
        return await sendFile(source, { headers, more: { 'cache-control': 'private, no-cache' }, seat });
      },
    }),
  ];
}

/** `resource.not_found` where no job of it is with this node now, also where there is such a revision. */
async function revisionOfJobs(tx: ReadTx, node: Node, sha256: string): Promise<Revision> {
  const jobs = await tx.jobs.list({ where: { revision_sha256: sha256 } });
  let revision: Revision | undefined;
  for (const { project_id } of jobs.filter((job) => presentAttempt(job)?.node_id === node.id)) {
    revision ??= await tx.revisions.find({ project_id, sha256 });
  }
  return found('revision', sha256, revision);
}
