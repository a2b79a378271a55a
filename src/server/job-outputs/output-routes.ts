/** `/api/v1/jobs/{job_id}/artifacts`: what was kept of a job, for whoever may see the job. */
import { Type } from 'typebox';
import { identifierPattern } from '../../contract/identifiers.ts';
import { KeptOutput } from '../../contract/job-outputs.ts';
import { closed } from '../db/entities/fields.ts';
import type { ReadTx, Store } from '../db/store.ts';
import { sendFile } from '../files/send-file.ts';
import { everybody, found, visible } from '../http/access.ts';
import { pathOf } from '../http/lists.ts';
import { type Route, route, type Who } from '../http/route.ts';
import { Seats } from '../http/seats.ts';
import { OutputView, outputsOf, storedOutput } from './keep-outputs.ts';
import type { OutputFiles } from './output-files.ts';

const path = '/api/v1/jobs/{job_id}/artifacts';
const seatLimits = { what: 'downloads', all: 256, each: 32 };

export function outputRoutes({ store, outputs }: { readonly store: Store; readonly outputs: OutputFiles }): Route[] {
  const seats = new Seats(seatLimits);
  return [
    route({
      ...{ method: 'GET', path, tag: 'jobs', allow: everybody, params: pathOf('job_id', 'The job.') },
      summary: 'Lists what was kept of a job: artifacts, checkpoints and the logs of its steps.',
      answer: Type.Object({ items: Type.Array(OutputView, { description: 'By name.' }) }, closed),
      read: async ({ who, params: { job_id: id } }, tx) => {
        await visibleJob(tx, who, id);
        return { items: await outputsOf(tx, id) };
      },
    }),
    route({
      ...{ method: 'GET', path: `${path}/{name}`, tag: 'jobs', allow: everybody },
      summary: 'Gives an output of a job. `Range` gives a part of it, `If-None-Match` only another one.',
      params: Type.Object(
        {
          job_id: Type.String({ pattern: identifierPattern, description: 'The job.' }),
          name: KeptOutput.properties.name,
        },
        closed,
      ),
      ...{ answer: Type.String({ description: 'Its bytes.' }), produces: 'application/octet-stream' },
      stream: async ({ who, headers, params: { job_id: id, name } }) => {
        const output = await store.read(async (tx) => {
          await visibleJob(tx, who, id);
          return found('output that is here', name, await storedOutput(tx, id, name));
        });
        const more = {
          ...{ 'cache-control': 'private, no-cache', 'content-disposition': attachment(output.file_name) },
          'repr-digest': `sha-256=:${Buffer.from(output.sha256, 'hex').toString('base64')}:`,
          'content-security-policy': "default-src 'none'; sandbox",
        };
        const read = async (start: number, end: number) => {
          const handle = found('output that is here', name, await outputs.open(output));
          return handle.createReadStream({ start, end });
        };
        const source = { size: output.bytes, etag: `"${output.sha256}"`, read };
        return await sendFile(source, { headers, more, seat: () => seats.take(who) });
      },
    }),
  ];
}

async function visibleJob(tx: ReadTx, who: Who, id: string): Promise<void> {
  visible(who, 'job', id, await tx.jobs.get(id));
}

/** RFC 6266: the name may be anything, so it is spelled in a way that no header and no browser misunderstands. */
export function attachment(fileName: string): string {
  const plain = fileName.replaceAll(/[^\w .-]/g, '_').replace(/^\.+/, '_');
  const encoded = encodeURIComponent(fileName.toWellFormed()).replaceAll(
    /['()*!]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  return `attachment; filename="${plain}"; filename*=UTF-8''${encoded}`;
}
