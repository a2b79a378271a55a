/**
 * Wherever the agent cuts what others said, a secret that lies over the border stands there in no half: at every offset
 * of it, in what goes into results and events and in what is logged.
 */
import { expect, it } from 'vitest';
import { discreetEngine } from '../../../src/agent/discreet-engine.ts';
import { HiddenTexts } from '../../../src/agent/hidden-texts.ts';
import { AgentError } from '../../../src/contract/failures.ts';
import { explainEnd } from '../../../src/runtime/container-end.ts';
import { toAgentError } from '../../../src/runtime/docker/call-errors.ts';
import { readPullFailure } from '../../../src/runtime/docker/pull-failure.ts';
import { AnswerError } from '../../../src/runtime/docker/transport.ts';
import type { ContainerEngine, LogEntry } from '../../../src/runtime/engine.ts';
import { untilReady } from '../../../src/runtime/probes/until-ready.ts';
import { installPackages } from '../../../src/tasks/install-packages.ts';
import { keepOutput } from '../../../src/tasks/keep-output.ts';
import { containerFacts, recordingEngine } from '../../support/recording-engine.ts';
import { taskContext } from '../../support/task-bench.ts';

const secret = 'Q7zT-4vLk_9xWm2';
const parts = Array.from({ length: secret.length - 5 }, (_, at) => secret.slice(at, at + 6));
const hidden = new HiddenTexts();
hidden.hide(secret);
const name = 'gpuaas-notebook-1';
const { signal } = new AbortController();

/** `before` and `behind` the secret, and what its line is cut into by whoever brings it. */
interface Said {
  readonly text: string;
  readonly pieces: readonly string[];
}

type Place = (said: Said) => Promise<unknown>;

function engineWith(over: Partial<ContainerEngine>): ContainerEngine {
  return discreetEngine(recordingEngine(over).engine, hidden);
}

function entriesOf({ pieces }: Said): LogEntry[] {
  return pieces.map((piece, index) => ({
    ...{ cursor: 'c', time: '2026-11-25T10:00:00.000000001Z', channel: 'stdout', data: Buffer.from(piece) },
    partial: index < pieces.length - 1,
  }));
}

const logs = (said: Said): ContainerEngine['logs'] =>
  async function* () {
    yield* entriesOf(said);
  };

const installed =
  (exitCode: number): Place =>
  async ({ pieces }) => {
    const engine = engineWith({
      exec: async (_name, _argv, { onOutput }) => {
        for (const piece of pieces) onOutput?.('stdout', piece);
        return { exitCode, tail: '', adopted: false };
      },
    });
    const { context, logLines } = taskContext(engine);
    const excerpt = await installPackages(name, ['numpy'], context).catch((error) => failureOf(error));
    return [excerpt, logLines];
  };

function failureOf(error: unknown): unknown {
  return (error as AgentError).toFailure((value) => hidden.clean(value));
}

const answered = (words: string) => new AnswerError(500, { message: words });

/** Where each place has its borders: characters from the beginning, or from the end. */
const places: [string, { readonly first?: number; readonly last?: number }, Place][] = [
  ['what is kept of an installation', { last: 4096 }, installed(0)],
  ['what is kept of an installation that failed', { last: 4096 }, installed(1)],
  ['a line of an installation without an end', { first: 16_384 }, installed(0)],
  ['the tail of a command', { last: 16_384 }, installed(0)],
  [
    'the end of a log, where a container ended',
    { last: 4095 },
    async (said) => failureOf(await explainEnd(engineWith({ logs: logs(said) }), name, signal)),
  ],
  [
    'the end of a log, where a workload does not get ready',
    { last: 4095 },
    async (said) => {
      const exec = async () => ({ exitCode: 1, tail: '', adopted: false });
      const { engine } = recordingEngine({ logs: logs(said), exec });
      const check = { type: 'exec' as const, command: ['true'], timeout_seconds: 0 };
      const options = { engine: discreetEngine(engine, hidden), name, ports: [], signal };
      return await untilReady([check], options).catch((error) => failureOf(error));
    },
  ],
  [
    'why the engine says that a container ended',
    { first: 1024 },
    async ({ text }) => {
      const inspect = async () => containerFacts({ status: 'exited', error: text });
      return failureOf(await explainEnd(engineWith({ inspect }), name, signal));
    },
  ],
  [
    'why a pull failed',
    { first: 1024 },
    async ({ text }) => {
      const cause = answered(text);
      return failureOf(readPullFailure(new AgentError('engine.failed', {}, { cause }), 'image').error);
    },
  ],
  [
    'what the engine says',
    { first: 2048 },
    async ({ text }) => failureOf(toAgentError(answered(text), '', { call: 'create' })),
  ],
  [
    'what the engine says of a full disk',
    { first: 1024 },
    async ({ text }) =>
      failureOf(toAgentError(answered(`no space left on device${text.slice(23)}`), '', { call: 'create' })),
  ],
  ['a fact of a failure', { first: 8192 }, async ({ text }) => failureOf(new AgentError('internal', { fact: text }))],
  [
    'the message of a failure',
    { first: 2048 - 54 },
    async ({ text }) => failureOf(new AgentError('internal', { reason: text })),
  ],
  [
    'output that is kept in pieces',
    { first: 65_536 },
    async (said) => {
      const { context, logLines } = taskContext(engineWith({ logs: logs(said) }));
      await keepOutput(name, context, signal);
      return logLines;
    },
  ],
];

it.each(places)('%s', async (_name, { first = 20_000, last = 20_000 }, place) => {
  // A little further than the secret is long: `…` and the ends of lines count there, too.
  for (let offset = -2; offset <= secret.length + 2; offset += 1) {
    const before = '.'.repeat(first - offset);
    const behind = '.'.repeat(last - offset);
    const text = before + secret + behind;
    const cuts = [0, before.length + offset, before.length + Math.floor(offset / 2), text.length];
    const borders = [...new Set(cuts)].sort((a, b) => a - b);
    const pieces = borders.slice(1).map((end, index) => text.slice(borders[index], end));

    const said = JSON.stringify(await place({ text, pieces }));

    expect(said).toContain('....');
    expect(
      parts.filter((part) => said.includes(part)),
      `at ${offset}`,
    ).toEqual([]);
  }
});
