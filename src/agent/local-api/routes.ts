/** What can be asked of the agent on its socket. */
import { type Static, Type } from 'typebox';
import { AgentCollectDiagnosticsParams } from '../../contract/agent-collect-diagnostics.ts';
import { AgentError } from '../../contract/failures.ts';
import { GpuUuid } from '../../contract/gpus.ts';
import { Identifier } from '../../contract/identifiers.ts';
import { LogSource } from '../../contract/session-messages.ts';
import { judge } from '../../contract/validate.ts';
import { AsyncQueue } from '../../kit/async-queue.ts';
import { PullCredential } from '../../runtime/engine.ts';
import { type LogLine, linesOf, type RunLine } from './lines.ts';
import type { LocalAgent } from './local-agent.ts';

export interface ApiCall {
  readonly agent: LocalAgent;
  readonly query: URLSearchParams;
  /** Aborts when the client goes away. */
  readonly signal: AbortSignal;
  /** The body, parsed; `command.invalid` for what is no JSON or too large. */
  body(): Promise<unknown>;
}

/** Answers with a value, or with a stream of values that become one line each. */
type Route = (call: ApiCall) => unknown;

export const routes: Readonly<Record<string, Route | undefined>> = {
  'GET /v1/status': ({ agent }) => agent.status(),
  'GET /v1/tasks': ({ agent }) => ({ tasks: agent.tasks() }),
  'GET /v1/gpus': ({ agent }) => agent.cards(),
  'GET /v1/caches': async ({ agent }) => ({ kept: await agent.kept({ measure: true }) }),
  'POST /v1/caches/remove': removeKept,
  'GET /v1/config': ({ agent }) => agent.config(),
  'GET /v1/update': ({ agent }) => agent.update(),
  'GET /v1/update/available': ({ agent, signal }) => agent.availableUpdate(signal),
  'GET /v1/doctor': async ({ agent, signal }) => ({ checks: await agent.doctor(signal) }),
  'POST /v1/sample-gpu': ({ agent, signal }) => agent.sampleGpu(signal),
  'POST /v1/diagnose': async ({ agent, body, signal }) =>
    agent.diagnose(judged(AgentCollectDiagnosticsParams, await body()), signal),
  'GET /v1/explain': ({ agent, query, signal }) => agent.explain(judged(Identifier, query.get('id')), signal),
  'GET /v1/logs': readLogs,
  'POST /v1/drain': setDrain,
  'POST /v1/rotate-keys': async ({ agent }) => {
    await agent.rotateKeys();
    return {};
  },
  'POST /v1/cancel': cancelTask,
  'POST /v1/gpus/clear': clearCard,
  'POST /v1/run-task': runTask,
};

const Drain = Type.Object({ on: Type.Boolean() }, { additionalProperties: false });
const Cancel = Type.Object({ task_id: Type.String() }, { additionalProperties: false });
const Card = Type.Object({ uuid: GpuUuid }, { additionalProperties: false });
const Kept = Type.Object({ id: Type.Optional(Type.String()) }, { additionalProperties: false });
const Tail = Type.Integer({ minimum: 0 });
const Run = Type.Object(
  { task: Type.Unknown(), credential: Type.Optional(PullCredential) },
  { additionalProperties: false },
);

async function setDrain({ agent, body }: ApiCall) {
  const { on } = judged(Drain, await body());
  await agent.drain(on);
  return agent.status();
}

async function cancelTask({ agent, body }: ApiCall) {
  const { task_id } = judged(Cancel, await body());
  return { cancelled: agent.cancel(task_id) };
}

async function clearCard({ agent, body }: ApiCall) {
  const { uuid } = judged(Card, await body());
  if (!agent.clearCard(uuid)) {
    throw new AgentError('command.invalid', {
      reason: `No card of this host is ${uuid}; \`node-agent gpus\` lists them.`,
    });
  }
  return agent.cards();
}

async function removeKept({ agent, body }: ApiCall) {
  const { id } = judged(Kept, await body());
  if (!(await agent.removeKept(id))) {
    throw new AgentError('command.invalid', {
      reason: `Nothing that this host keeps is ${id}; \`node-agent caches\` lists it.`,
    });
  }
  // To measure what is left may take longer than to remove what was asked for.
  return { kept: await agent.kept({ measure: false }) };
}

function readLogs({ agent, query, signal }: ApiCall): AsyncGenerator<LogLine> {
  const source = judged(LogSource, {
    ...{ kind: query.get('kind'), id: query.get('id') },
    ...(query.has('service') ? { service: query.get('service') } : {}),
  });
  const tail = query.get('tail');
  const items = agent.logs.read(source, {
    ...{ cursor: query.get('cursor') ?? undefined, follow: query.get('follow') === 'true', signal },
    tail: tail === null ? undefined : judged(Tail, Number(tail)),
  });
  return linesOf(items);
}

/** Events as they come and the result as the last line. The task goes on where nobody listens any more. */
async function* runTask({ agent, body, signal }: ApiCall): AsyncGenerator<RunLine> {
  const { task, credential } = judged(Run, await body());
  const lines = new AsyncQueue<RunLine>();
  const say = (line: RunLine) => {
    if (!signal.aborted) {
      lines.push(line);
    }
  };
  const ended = agent.runTask(task, {
    credential,
    onAccepted: (task_id) => say({ task_id }),
    onEvent: (event) => say({ event }),
  });
  ended.then(
    (result) => {
      say({ result });
      lines.end();
    },
    (error: unknown) => lines.fail(error),
  );
  yield* lines;
}

function judged<S extends Parameters<typeof judge>[0]>(schema: S, value: unknown): Static<S> {
  const result = judge(schema, value);
  if (!result.ok) {
    const errors = result.errors.map((error) => ({ ...error }));
    const reason = `${errors.map(({ path, message }) => `${path || '/'} ${message}`).join('; ')}.`;
    throw new AgentError('command.invalid', { reason, errors });
  }
  return result.value as Static<S>;
}
