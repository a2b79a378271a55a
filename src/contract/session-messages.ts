/**
 * Messages of the session between agent and control plane: JSON text frames, told apart by `type`.
 *
 *   control plane                              agent
 *   challenge {nonce, audience, …}      ──▶
 *                                       ◀──    hello {node_id, epoch, signature, …}
 *   welcome {epoch, bearer, acked, …}   ──▶
 *                                       ◀──    confirm {epoch}         the epoch is kept on disk
 *                                       ◀──    pull {credits, received}
 *   task {lease_id, jws}                ──▶
 *                                       ◀──    task_accepted           the task is kept on disk
 *                                       ◀──    record {seq, kind, body} …
 *   ack {journal_id, seq}               ──▶                            kept on disk there, all up to seq
 *   logs_open, logs_credit, logs_close  ──▶
 *                                       ◀──    logs_chunk, logs_gap, logs_end
 *   heartbeat                          ◀──▶    heartbeat
 */
import { type Static, Type } from 'typebox';
import { ServiceName } from './compose-document.ts';
import { TaskKey } from './enrolment.ts';
import { Failure } from './failures.ts';
import { identifierPattern } from './identifiers.ts';
import { recordKinds } from './records.ts';
import { taggedUnion } from './tagged-union.ts';

const closed = { additionalProperties: false } as const;
const id = (description: string) => Type.String({ pattern: identifierPattern, description });
const time = (description: string) => Type.String({ maxLength: 40, description: `${description} RFC 3339 in UTC.` });
const epoch = (description: string) => Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER, description });
const seq = (description: string) => Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER, description });
const streamId = id('Number of the stream, chosen by the control plane.');

export const Challenge = Type.Object(
  {
    type: Type.Literal('challenge', { description: 'First message of a session.' }),
    nonce: Type.String({ pattern: '^[A-Za-z0-9_-]{43}$', description: '256 random bits, base64url; used once.' }),
    audience: Type.String({
      maxLength: 256,
      description: 'Origin the control plane believes to be; the agent compares.',
    }),
    server_time: time('Time of the control plane.'),
  },
  { ...closed, description: 'Asks the node to prove who it is.' },
);
export type Challenge = Static<typeof Challenge>;

export const Hello = Type.Object(
  {
    type: Type.Literal('hello', { description: 'Answer to the challenge.' }),
    node_id: id('Who the node says it is.'),
    boot_id: Type.String({
      maxLength: 64,
      pattern: '^[A-Za-z0-9-]+$',
      description: 'Changes with every boot of the host.',
    }),
    agent_version: Type.String({ maxLength: 64, description: 'Version of the agent.' }),
    protocol: Type.Integer({ minimum: 1, description: 'Version of this protocol that the agent speaks.' }),
    epoch: epoch('Last epoch that this node confirmed; 0 before the first session.'),
    task_types: Type.Array(
      Type.Object(
        {
          type: Type.String({ maxLength: 128, description: 'Task type.' }),
          version: Type.Integer({ minimum: 1, description: 'Version of its params.' }),
        },
        { ...closed, description: 'A task type that the agent can carry out.' },
      ),
      { maxItems: 128, description: 'What may be sent to this agent.' },
    ),
    signature: Type.String({ pattern: '^[A-Za-z0-9_-]{86}$', description: 'Over `helloText`, by the identity key.' }),
  },
  { ...closed, description: 'The node proves who it is.' },
);
export type Hello = Static<typeof Hello>;

export const Welcome = Type.Object(
  {
    type: Type.Literal('welcome', { description: 'The session stands.' }),
    epoch: epoch('Epoch of this session, larger than any before.'),
    heartbeat_seconds: Type.Integer({
      minimum: 1,
      maximum: 15,
      description: 'How often each side says that it lives; at most a third of the 45 s a dead peer may go unnoticed.',
    }),
    bearer: Type.String({
      maxLength: 256,
      description: "Bearer token of the agent's HTTP calls, as long as this epoch.",
    }),
    acked: Type.Union(
      [
        Type.Object(
          { journal_id: id('Journal that was last heard of.'), seq: seq('Last record of it that is kept.') },
          { ...closed, description: 'What the control plane has already.' },
        ),
        Type.Null(),
      ],
      { description: 'What need not be sent again; null if nothing was ever received.' },
    ),
    task_keys: Type.Array(TaskKey, {
      maxItems: 8,
      description: 'Keys in use; only those that the agent can derive from its own are believed.',
    }),
    rotations: Type.Array(Type.String({ maxLength: 4096 }), {
      maxItems: 8,
      description: 'Rotation JWS, oldest first: each signed with the key before it.',
    }),
    server_time: time('Time of the control plane.'),
  },
  { ...closed, description: 'The control plane accepts the node.' },
);
export type Welcome = Static<typeof Welcome>;

const Confirm = Type.Object(
  {
    type: Type.Literal('confirm', { description: 'The epoch is on disk.' }),
    epoch: epoch('The epoch of the welcome.'),
  },
  { ...closed, description: 'From now on this is the last confirmed epoch of the node.' },
);

const Pull = Type.Object(
  {
    type: Type.Literal('pull', { description: 'Asks for work.' }),
    credits: Type.Integer({
      minimum: 0,
      maximum: 1024,
      description: 'Tasks the agent can take now, whole: replaces what it said before.',
    }),
    received: Type.Integer({
      minimum: 0,
      maximum: Number.MAX_SAFE_INTEGER,
      description:
        'Tasks of this session that had arrived when this was said. Those sent after them use the credits up already.',
    }),
  },
  {
    ...closed,
    description: 'How many tasks may be sent: `credits` less those sent in this session beyond `received`.',
  },
);

const Task = Type.Object(
  {
    type: Type.Literal('task', { description: 'A task, as a lease.' }),
    lease_id: id('Name of this delivery.'),
    jws: Type.String({ maxLength: 900_000, description: 'Compact JWS (EdDSA) around a task envelope.' }),
  },
  {
    ...closed,
    description: 'A task; it comes again under another lease where it is neither accepted nor refused in time.',
  },
);

const TaskCancel = Type.Object(
  {
    type: Type.Literal('task_cancel', { description: 'Asks to give a task up.' }),
    task_id: id('The task; one that has ended already is left alone.'),
  },
  { ...closed, description: 'The task ends as cancelled, and what it had made is taken away.' },
);

const TaskAccepted = Type.Object(
  {
    type: Type.Literal('task_accepted', { description: 'The task is on disk.' }),
    lease_id: id('The delivery that is answered.'),
    task_id: id('The task.'),
  },
  { ...closed, description: 'The agent keeps the task and will report its result.' },
);

const TaskRefused = Type.Object(
  {
    type: Type.Literal('task_refused', { description: 'The task was not taken.' }),
    lease_id: id('The delivery that is answered.'),
    failure: Failure,
  },
  { ...closed, description: 'Nothing was done and nothing is kept: not signed by a known key, or no room for it.' },
);

export const RecordMessage = Type.Object(
  {
    type: Type.Literal('record', { description: 'Something to keep.' }),
    journal_id: id('Journal of the agent; another one after it was rebuilt.'),
    seq: seq('Number of the record in its journal, increasing; thinned records leave holes.'),
    kind: Type.Enum(recordKinds, { description: 'What the body is.' }),
    at: time('When it was written down, in the time of the control plane.'),
    body: Type.Unknown({ description: 'Judged by the schema of its kind.' }),
  },
  { ...closed, description: 'Sent in order, again after a reconnect, until acknowledged.' },
);
export type RecordMessage = Static<typeof RecordMessage>;

const Ack = Type.Object(
  {
    type: Type.Literal('ack', { description: 'Records are kept.' }),
    journal_id: id('The journal.'),
    seq: seq('All records up to this one are on disk.'),
  },
  { ...closed, description: 'Cumulative acknowledgement.' },
);

export const LogSource = taggedUnion(
  'kind',
  [
    Type.Object(
      { kind: Type.Literal('instance', { description: 'Output of a workload.' }), id: id('The app_instance_id.') },
      { ...closed, description: 'Output of the container of an instance, or of all services of a stack as one.' },
    ),
    Type.Object(
      {
        kind: Type.Literal('service', { description: 'Output of one service of a stack.' }),
        id: id('The app_instance_id.'),
        service: ServiceName,
      },
      {
        ...closed,
        description:
          'Output of the container of one service; of a job that builds its image, `build` is what the build says.',
      },
    ),
    Type.Object(
      { kind: Type.Literal('task', { description: 'Structured log of a task.' }), id: id('The task_id.') },
      { ...closed, description: 'What the agent did for a task.' },
    ),
  ],
  'What to read.',
);
export type LogSource = Static<typeof LogSource>;

/** Longest cursor: that of a stack has a place in the log of each service. */
export const maxCursor = 4096;

export const LogsOpen = Type.Object(
  {
    type: Type.Literal('logs_open', { description: 'Opens a log stream.' }),
    stream: streamId,
    source: LogSource,
    cursor: Type.Union([Type.String({ maxLength: maxCursor }), Type.Null()], {
      description: 'Go on behind this entry; null to begin where `tail` says.',
    }),
    tail: Type.Union([Type.Integer({ minimum: 0, maximum: 100_000 }), Type.Null()], {
      description: 'Last entries to begin with, of each service; null for all. Not looked at where there is a cursor.',
    }),
    follow: Type.Boolean({ description: 'True to wait for what comes; false to end where the log ends.' }),
    bytes: Type.Integer({
      minimum: 0,
      maximum: 16_777_216,
      description: 'First credit: what may be sent, as `creditOf` counts.',
    }),
  },
  { ...closed, description: 'Asks for a log.' },
);
export type LogsOpen = Static<typeof LogsOpen>;

const LogsCredit = Type.Object(
  {
    type: Type.Literal('logs_credit', { description: 'More of a stream may be sent.' }),
    stream: streamId,
    bytes: Type.Integer({
      minimum: 1,
      maximum: 16_777_216,
      description: 'Credit on top of what is left, as `creditOf` counts.',
    }),
  },
  { ...closed, description: 'The reader has room again.' },
);

const LogsClose = Type.Object(
  { type: Type.Literal('logs_close', { description: 'Nobody reads any more.' }), stream: streamId },
  { ...closed, description: 'Ends a stream; nothing more is sent for it.' },
);

export const StreamedEntry = Type.Object(
  {
    time: time('When it was written.'),
    channel: Type.Enum(['stdout', 'stderr', 'task'], { description: 'Where it was written.' }),
    text: Type.String({
      maxLength: 65_536,
      description: 'The line, without its line feed. base64 where `encoding` says so.',
    }),
    encoding: Type.Enum(['utf8', 'base64'], { description: 'base64 for bytes that are not UTF-8: nothing is lost.' }),
    partial: Type.Boolean({ description: 'True if the line goes on in the next entry of its channel and service.' }),
    service: Type.Optional({
      ...ServiceName,
      description: 'Service that wrote it, where those of a stack are read as one.',
    }),
  },
  { ...closed, description: 'One line, or a part of a long one.' },
);
export type StreamedEntry = Static<typeof StreamedEntry>;

/** Most entries of one message: with their fields they stay well below what the judge looks at. */
export const maxChunkEntries = 1000;

export const LogsChunk = Type.Object(
  {
    type: Type.Literal('logs_chunk', { description: 'A piece of a log.' }),
    stream: streamId,
    cursor: Type.String({
      pattern: `^[!-~]{1,${maxCursor}}$`,
      description:
        'Position behind the last entry; good for a later `logs_open`. On one line: it names events of a stream.',
    }),
    block: Type.Array(StreamedEntry, { minItems: 1, maxItems: maxChunkEntries, description: 'Entries, oldest first.' }),
  },
  { ...closed, description: 'Uses the credit that its entries cost.' },
);
export type LogsChunk = Static<typeof LogsChunk>;

export const LogsGap = Type.Object(
  {
    type: Type.Literal('logs_gap', { description: 'Something is missing here.' }),
    stream: streamId,
    dropped: Type.Union([Type.Integer({ minimum: 1 }), Type.Null()], {
      description: 'Entries that were dropped because the reader was slow; null where nobody could count them.',
    }),
  },
  { ...closed, description: 'What was dropped between two chunks.' },
);
export type LogsGap = Static<typeof LogsGap>;

export const LogsEnd = Type.Object(
  {
    type: Type.Literal('logs_end', { description: 'The stream is over.' }),
    stream: streamId,
    failure: Type.Union([Failure, Type.Null()], { description: 'Why it ended early; null at the end of the log.' }),
  },
  { ...closed, description: 'Nothing more will come.' },
);
export type LogsEnd = Static<typeof LogsEnd>;

const Heartbeat = Type.Object(
  {
    type: Type.Literal('heartbeat', { description: 'I live.' }),
    server_time: Type.Optional(time('From the control plane only: its time.')),
  },
  { ...closed, description: 'Said by both sides every `heartbeat_seconds`; three that are missing end the session.' },
);

const RetryAfter = Type.Object(
  {
    type: Type.Literal('retry_after', { description: 'Come back later.' }),
    seconds: Type.Number({ minimum: 0, maximum: 3600, description: 'Earliest seconds until the next attempt.' }),
  },
  { ...closed, description: 'The control plane closes the session and says when to come again.' },
);

export const FromControlPlane = taggedUnion(
  'type',
  [Challenge, Welcome, Task, TaskCancel, Ack, LogsOpen, LogsCredit, LogsClose, Heartbeat, RetryAfter],
  'A message from the control plane.',
);
export type FromControlPlane = Static<typeof FromControlPlane>;

export const FromAgent = taggedUnion(
  'type',
  [Hello, Confirm, Pull, TaskAccepted, TaskRefused, RecordMessage, LogsChunk, LogsGap, LogsEnd, Heartbeat],
  'A message from the agent.',
);
export type FromAgent = Static<typeof FromAgent>;
