/** What is kept of a job: artifacts, checkpoints and the logs of its steps, each by its sha256. */
import { type Static, Type } from 'typebox';
import { bounds } from './bounds.ts';
import { identifierPattern } from './identifiers.ts';

const closed = { additionalProperties: false } as const;

/** Most bytes of one output. A host or a control plane may set less. */
const maxOutputBytes = 2 ** 40;
/** Most outputs of one job: 64 of its plan, and the logs of all that it can run. */
export const maxOutputs = 512;

export const Sha256 = Type.String({ pattern: '^[0-9a-f]{64}$', description: 'sha256 in hex.' });

export const KeptOutput = Type.Object(
  {
    name: Type.String({
      pattern: `${identifierPattern.slice(0, -1)}(\\.log)?$`,
      description: 'Name within the job: that of the plan, or `<step>.log` for the log of a step.',
    }),
    kind: Type.Enum(['artifact', 'checkpoint', 'log'], {
      description:
        '`artifact`: as it was at the end. `checkpoint`: the newest of those that were taken while the job ran. `log`: all that a step has said.',
    }),
    sha256: { ...Sha256, description: 'sha256, in hex, of the bytes.' },
    bytes: Type.Integer({ minimum: 0, maximum: maxOutputBytes, description: 'How long it is.' }),
    media_type: Type.Enum(['application/octet-stream', 'application/x-tar', 'application/x-ndjson'], {
      description:
        'A file as it was, a folder as one archive, or a log: a line of JSON `{time, channel, text}` for each of its lines, with `parts` where the engine has cut it: characters of each piece.',
    }),
    file_name: Type.String({
      minLength: 1,
      maxLength: 255,
      description: 'Name for a file to keep it in. It may come from a stranger, and hold anything but a slash.',
      pattern: '^[^/\\u0000]*$',
    }),
  },
  { ...closed, description: 'Something that was kept of a job.' },
);
export type KeptOutput = Static<typeof KeptOutput>;

/** POST `jobOutputsPath`: a node has something to hand over. Safe to repeat. */
export const OutputOffer = Type.Object(
  {
    job_id: Type.String({ pattern: identifierPattern, description: 'The job, which this node carries out.' }),
    output: KeptOutput,
  },
  { ...closed, description: 'An output that a node has.' },
);
export type OutputOffer = Static<typeof OutputOffer>;

export const EarlyUpload = Type.String({ pattern: '^[0-9a-f]{32}$', description: 'Chosen by the node, by chance.' });

/**
 * POST `earlyOutputsPath`: a node begins to send an output that it still reads, so that nobody knows its sha256 yet. Safe to repeat. A
 * control plane that does not know the path answers 404, and is sent everything once its sha256 is known.
 *
 * Pieces are PUT to `<earlyOutputsPath>/<upload>?offset=<received>`, all but the last byte: that one comes with the sha256, as a piece
 * of the output that was offered then, with `early=<upload>` for what is before it. DELETE of `<earlyOutputsPath>/<upload>` drops it.
 */
export const EarlyOutput = Type.Object(
  {
    job_id: OutputOffer.properties.job_id,
    upload: EarlyUpload,
    name: KeptOutput.properties.name,
    bytes: KeptOutput.properties.bytes,
  },
  { ...closed, description: 'An output that a node still reads.' },
);
export type EarlyOutput = Static<typeof EarlyOutput>;

/**
 * Answer to an offer, to an early output, and to each piece: PUT `<jobOutputsPath>/<job_id>/<sha256>?offset=<received>`, or that of an
 * early one.
 */
export const OutputReceived = Type.Object(
  {
    received: Type.Integer({ minimum: 0, description: 'Bytes that are here: the next piece begins behind them.' }),
    complete: Type.Boolean({ description: 'True once all of it is here and has the hash that was named.' }),
    refused: Type.Union([Type.String({ maxLength: bounds.message }), Type.Null()], {
      description: 'Why it is not wanted, now or later; null where it is.',
    }),
  },
  { ...closed, description: 'How much of an output is here.' },
);
export type OutputReceived = Static<typeof OutputReceived>;
