/** `/api/v1/jobs/{job_id}/artifacts`: what was kept of a job, for whoever may see the job. */
import { Type } from 'typebox';
import { identifierPattern } from '../../contract/identifiers.ts';
import { closed } from '../db/entities/fields.ts';
import type { Job } from '../db/entities/job.ts';
import type { ReadTx, Store } from '../db/store.ts';
import { sendFile } from '../files/send-file.ts';
import { everybody, found, visible } from '../http/access.ts';
import { pathOf } from '../http/lists.ts';
import { type Route, route, type Who } from '../http/route.ts';
import { Seats } from '../http/seats.ts';
import { OutputView, outputsOf, storedOutput } from './keep-outputs.ts';
import type { OutputFiles } from './output-files.ts';
import { outputNameIn } from './step-names.ts';

const path = '/api/v1/jobs/{job_id}/artifacts';
const OutputName = Type.String({
  ...{ minLength: 1, maxLength: 132 },
  description: 'Name of an output; what it has of a step in it may be what the author of the job calls that.',
});
const seatLimits = { what: 'downloads', all: 256, each: 32 };

export function outputRoutes({ store, outputs }: { readonly store: Store; readonly outputs: OutputFiles }): Route[] {
  const seats = new Seats(seatLimits);
  return [
    route({
      ...{ method: 'GET', path, tag: 'jobs', allow: everybody, params: pathOf('job_id', 'The job.') },
      summary: 'Lists what was kept of a job: artifacts, checkpoints and the logs of its steps.',
      query: Type.Object(
        { name: Type.Optional({ ...OutputName, description: 'Only the output of this name.' }) },
        closed,
      ),
      answer: Type.Object({ items: Type.Array(OutputView, { description: 'By name.' }) }, closed),
      read: async ({ who, params: { job_id: id }, query: { name } }, tx) => {
        const job = await visibleJob(tx, who, id);
        const items = await outputsOf(tx, id);
        if (name === undefined) return { items };
        const meant = items.some((item) => item.name === name) ? name : outputNameIn(job, name);
        return { items: items.filter((item) => item.name === meant) };
      },
    }),
    route({
      ...{ method: 'GET', path: `${path}/{name}`, tag: 'jobs', allow: everybody },
      summary: 'Gives an output of a job. `Range` gives a part of it, `If-None-Match` only another one.',
      params: Type.Object(
        {
          job_id: Type.String({ pattern: identifierPattern, description: 'The job.' }),
          name: OutputName,
        },
        closed,
      ),
      ...{ answer: Type.String({ description: 'Its bytes.' }), produces: 'application/octet-stream' },
      stream: async ({ who, headers, params: { job_id: id, name } }) => {
        const output = await store.read(async (tx) => {
          const job = await visibleJob(tx, who, id);
          const output = (await storedOutput(tx, id, name)) ?? (await storedOutput(tx, id, outputNameIn(job, name)));
          return found('output that is here', name, output);
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

async function visibleJob(tx: ReadTx, who: Who, id: string): Promise<Job> {
  return visible(who, 'job', id, await tx.jobs.get(id));
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
