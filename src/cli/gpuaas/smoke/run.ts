/** What every verb of a smoke run has in common: its inputs, its checks, and the exit status that stands for it. */
import { AgentError } from '../../../contract/failures.ts';
import { exitCodeOf, exitCodes } from '../../exit-codes.ts';
import { failureLines, printJson, printLine } from '../../output.ts';
import { oneLine } from '../../printable.ts';
import type { ControlPlaneClient } from '../client.ts';
import type { Instance } from '../instance.ts';
import type { SmokeInputs } from './inputs.ts';

/** Which verb failed, so that a pipeline need not read what was said. Contract, beside the statuses of all commands. */
export const smokeStatus = { observe: 10, deploy: 11, access: 12, decommission: 13 } as const;
export type SmokeVerb = keyof typeof smokeStatus;

export interface SmokeRun {
  readonly client: ControlPlaneClient;
  readonly inputs: SmokeInputs;
  /** File that the verbs hand on. */
  readonly state: string;
  readonly json: boolean;
}

export interface Check {
  readonly check: string;
  readonly ok: boolean;
  readonly detail: string;
}

/** Told one by one; a verb stops at the first that fails where the next would say nothing new. */
export class Checks {
  readonly all: Check[] = [];
  readonly #json: boolean;

  constructor(json: boolean) {
    this.#json = json;
  }

  /** Returns `ok`. */
  note(check: string, ok: boolean, detail: string): boolean {
    this.all.push({ check, ok, detail });
    if (!this.#json) printLine(`${ok ? 'ok  ' : 'FAIL'}  ${check}: ${oneLine(detail)}`);
    return ok;
  }

  get ok(): boolean {
    return this.all.every(({ ok }) => ok);
  }
}

export type SmokeWork = (run: SmokeRun, checks: Checks) => Promise<void>;

/** Runs one verb and prints its result; whatever stands in its way is a check that failed. */
export async function runVerb(verb: SmokeVerb, run: SmokeRun, work: SmokeWork): Promise<number> {
  const checks = new Checks(run.json);
  let status: number = exitCodes.ok;
  try {
    await work(run, checks);
    if (!checks.ok) status = smokeStatus[verb];
  } catch (error) {
    if (!(error instanceof AgentError)) throw error;
    const failure = error.toFailure();
    const code = exitCodeOf(failure);
    // What is wrong with the command line, the token or the connection says nothing about the platform.
    const saysNothing = code === exitCodes.unusable || code === exitCodes.unreachable;
    if (failure.code === 'request.unauthenticated') status = exitCodes.unusable;
    else status = saysNothing ? code : smokeStatus[verb];
    checks.note(verb, false, failureLines(failure).join(' '));
  }
  if (run.json) printJson({ verb, ok: checks.ok, status, checks: checks.all });
  return status;
}

/** The living instance of the run; the name decides, as the file may be lost. */
export async function present({ client, inputs }: SmokeRun): Promise<Instance | undefined> {
  const allocation = await allocationOf(client, inputs);
  for await (const instance of client.list<Instance>('/api/v1/app-instances', { allocation_id: allocation.id })) {
    if (instance.display_name === inputs.name && instance.state !== 'decommissioned') return instance;
  }
  return undefined;
}

export interface Allocation {
  readonly id: string;
  readonly name: string;
  readonly state: string;
  readonly node_id: string | null;
  readonly project_id: string;
}

/** `file.unusable` unless exactly one allocation has the name. */
export async function allocationOf(
  client: ControlPlaneClient,
  { placement, project }: SmokeInputs,
): Promise<Allocation> {
  const wanted = placement.allocation;
  const all = await Array.fromAsync(client.list<Allocation>('/api/v1/allocations'));
  const projectId = project === undefined ? undefined : await projectOf(client, project);
  const found = all.filter(
    ({ id, name, state, project_id }) =>
      state !== 'ended' && (id === wanted || name === wanted) && (projectId ?? project_id) === project_id,
  );
  const [only] = found;
  if (only && found.length === 1) return only;
  const reason = `${found.length} allocations that this token sees have the name or id ${JSON.stringify(wanted)}.`;
  throw new AgentError('file.unusable', { reason });
}

async function projectOf(client: ControlPlaneClient, wanted: string): Promise<string> {
  for await (const { id, name } of client.list<{ id: string; name: string }>('/api/v1/projects')) {
    if (id === wanted || name === wanted) return id;
  }
  throw new AgentError('file.unusable', { reason: `There is no project ${JSON.stringify(wanted)}.` });
}
