/** How nodes hand over what is kept of their jobs: they say what they have, and send it piece by piece. */
import { Type } from 'typebox';
import { identifierPattern } from '../../contract/identifiers.ts';
import { EarlyOutput, EarlyUpload, OutputOffer, OutputReceived, Sha256 } from '../../contract/job-outputs.ts';
import { earlyOutputsPath, jobOutputsPath } from '../../contract/signing.ts';
import { closed } from '../db/entities/fields.ts';
import type { Store } from '../db/store.ts';
import { sendFile } from '../files/send-file.ts';
import { found } from '../http/access.ts';
import { openRoute, type Route } from '../http/route.ts';
import { Seats, whileSeated } from '../http/seats.ts';
import { nodeAsking } from '../hub/admission.ts';
import { presentAttempt } from '../jobs/jobs-at-work.ts';
import { arrived, earlyOwner, jobOfNode, newestOf, type OutputParts, offer, offerEarly } from './keep-outputs.ts';
import { lateRefusal } from './late-outputs.ts';

/** Each holds a file open. A node sends two at a time. */
const seatLimits = { what: 'uploads', all: 256, each: 4 };

const offset = Type.Integer({
  ...{ minimum: 0, maximum: Number.MAX_SAFE_INTEGER },
  description: 'Where this piece begins: what was said to be received.',
});
const ofUpload = Type.Object({ upload: EarlyUpload }, closed);

export function nodeOutputRoutes(parts: OutputParts & { readonly store: Store }): Route[] {
  const { store, outputs } = parts;
  const seats = new Seats(seatLimits);
  const readers = new Seats({ ...seatLimits, what: 'downloads' });
  return [
    openRoute({
      ...{ method: 'GET', path: `${jobOutputsPath}/{job_id}/{sha256}`, tag: 'agent' },
      ...{ produces: 'application/octet-stream', answer: Type.String({ description: 'Its bytes.' }) },
      summary: 'Gives a node what was kept of a job that it has now. `Range` gives a part of it.',
      params: Type.Object(
        { job_id: Type.String({ pattern: identifierPattern, description: 'The job.' }), sha256: Sha256 },
        closed,
      ),
      stream: async ({ headers, params: { job_id, sha256 } }) => {
        const { node, output } = await store.read(async (tx) => {
          const asking = await nodeAsking(tx, headers.authorization);
          const job = await jobOfNode(tx, asking, job_id);
          const rows = presentAttempt(job) ? await tx.job_outputs.list({ where: { job_id, sha256 } }) : [];
          return { node: asking, output: found('output', sha256, newestOf(rows)) };
        });
        const read = async (start: number, end: number) => {
          const handle = found('output', sha256, await outputs.open(output));
          return handle.createReadStream({ start, end });
        };
        const source = { size: output.bytes, etag: `"${sha256}"`, read };
        const seat = () => readers.take({ projectId: null, tokenId: node.id });
        return await sendFile(source, { headers, more: { 'cache-control': 'private, no-cache' }, seat });
      },
    }),
    openRoute({
      ...{ method: 'POST', path: jobOutputsPath, tag: 'agent', body: OutputOffer, answer: OutputReceived },
      summary: 'A node says that it has an output of its job, and learns how much of that is here.',
      change: async ({ headers, body, now, correlationId }, tx) => {
        const node = await nodeAsking(tx, headers.authorization);
        return { body: await offer(tx, { now, correlationId }, node, body, parts) };
      },
    }),
    openRoute({
      ...{ method: 'PUT', path: `${jobOutputsPath}/{job_id}/{sha256}`, tag: 'agent', file: true },
      summary: 'Takes a piece of an output that a node has offered; what is here already may come again.',
      params: Type.Object(
        { job_id: Type.String({ pattern: identifierPattern, description: 'The job.' }), sha256: Sha256 },
        closed,
      ),
      query: Type.Object(
        {
          offset,
          early: Type.Optional({ ...EarlyUpload, description: 'What is before it was sent as this.' }),
        },
        closed,
      ),
      answer: OutputReceived,
      prepare: async ({ headers, params: { job_id, sha256 }, query: { offset, early }, file }) => {
        const { node, output } = await store.read(async (tx) => {
          const asking = await nodeAsking(tx, headers.authorization);
          const job = await jobOfNode(tx, asking, job_id);
          const { project_id } = job;
          const rows = await tx.job_outputs.list({ where: { project_id, sha256, state: ['pending', 'stored'] } });
          const own = rows.find((row) => row.job_id === job_id && row.node_id === asking.id);
          const late = own && own.state !== 'stored' ? await lateRefusal(tx, job, own) : null;
          return { node: asking, output: found('output', sha256, late === null ? own : undefined) };
        });
        if (early !== undefined) await outputs.early.becomes(node.id, early, output);
        const seat = () => seats.take({ projectId: null, tokenId: node.id });
        if (file) await whileSeated(seat(), file, () => outputs.take(output, offset, file));
        return output;
      },
      change: async ({ now, correlationId }, tx, output) => {
        const complete = outputs.isWhole(output);
        if (complete) await arrived(tx, { now, correlationId }, output, parts);
        // Forgotten while it came: nothing of it stays.
        if (!(await tx.job_outputs.get(output.id))) {
          await outputs.drop(output).catch(() => undefined);
          return { body: { received: 0, complete: false, refused: 'Its job is not there any more, or without it.' } };
        }
        return { body: { received: outputs.received(output), complete, refused: null } };
      },
    }),
    openRoute({
      ...{ method: 'POST', path: earlyOutputsPath, tag: 'agent', body: EarlyOutput, answer: OutputReceived },
      summary: 'A node begins to send an output that it still reads, and learns how much of that is here.',
      change: async ({ headers, body }, tx) => {
        const node = await nodeAsking(tx, headers.authorization);
        return { body: await offerEarly(tx, node, body, parts) };
      },
    }),
    openRoute({
      ...{ method: 'PUT', path: `${earlyOutputsPath}/{upload}`, tag: 'agent', file: true },
      summary: 'Takes a piece of an output that its node still reads, but not the last byte.',
      ...{ params: ofUpload, query: Type.Object({ offset }, closed), answer: OutputReceived },
      prepare: async ({ headers, params: { upload }, query, file }) => {
        const { node, early } = await store.read(async (tx) => {
          const asking = await nodeAsking(tx, headers.authorization);
          const its = outputs.early.get(asking.id, upload);
          const { attempt } = await earlyOwner(tx, asking, its.job_id);
          return { node: asking, early: found('early output', upload, its.attempt === attempt ? its : undefined) };
        });
        const seat = () => seats.take({ projectId: null, tokenId: node.id });
        const piece = found('piece', upload, file);
        return await whileSeated(seat(), piece, () => outputs.early.take(early, query.offset, piece));
      },
      change: async (_, __, received) => ({ body: received }),
    }),
    openRoute({
      ...{ method: 'DELETE', path: `${earlyOutputsPath}/{upload}`, tag: 'agent', params: ofUpload },
      ...{ summary: 'Drops what a node has sent of an output that it does not offer.', answer: OutputReceived },
      change: async ({ headers, params: { upload } }, tx) => {
        const node = await nodeAsking(tx, headers.authorization);
        outputs.early.drop(node.id, upload);
        return { body: { received: 0, complete: false, refused: null } };
      },
    }),
  ];
}
