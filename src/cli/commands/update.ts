/**
 * `node-agent update`: what version runs, what there is, and who may change it.
 *
 * Looking and `--now` go through the daemon, which downloads and verifies as for a task of the control plane. What changes root's
 * own files goes through the guard of the host, which is there also where no agent starts any more.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type AgentConfig, defaultConfigFile, loadConfig } from '../../agent/config.ts';
import type { LocalClient } from '../../agent/local-api/client.ts';
import type { RunLine } from '../../agent/local-api/lines.ts';
import type { AvailableUpdate, UpdateState } from '../../agent/local-api/update-state.ts';
import { applyUpdate } from '../../agent/update/apply.ts';
import { type LastUpdate, readLast, readPending } from '../../agent/update/guarded.ts';
import { placesOf, rootPlaces } from '../../agent/update/places.ts';
import { readReleaseFolder } from '../../agent/update/release-folder.ts';
import { runGuard } from '../../agent/update/run-guard.ts';
import { updateStateOf } from '../../agent/update/update-state.ts';
import { AgentError, type FailureCode, failures } from '../../contract/failures.ts';
import type { WorkloadEvent } from '../../contract/workload-output.ts';
import { systemClock } from '../../kit/clock.ts';
import { agentVersion } from '../agent-version.ts';
import { exitCodes } from '../exit-codes.ts';
import { agentIfThere, askAgent } from '../local-agent.ts';
import { failureLines, printJson, printLine, table, tell, tellJson } from '../output.ts';
import { oneLine } from '../printable.ts';

export interface UpdateOptions {
  readonly config?: string;
  readonly json: boolean;
  readonly check: boolean;
  readonly now: boolean;
  readonly to?: string;
  readonly from?: string;
  readonly rollback: boolean;
  readonly skip?: string;
  readonly unskip?: string;
  readonly apply?: string;
  readonly task?: string;
  readonly nonce?: string;
}

export async function update(options: UpdateOptions): Promise<number> {
  if (options.apply !== undefined) {
    return await applyAsRoot(options.apply, options);
  }
  const chosen = (['check', 'now', 'from', 'rollback', 'skip', 'unskip'] as const).filter(
    (name) => options[name] !== undefined && options[name] !== false,
  );
  if (chosen.length > 1 || (options.to !== undefined && !options.now)) {
    const reason = 'Give one of --check, --now, --from, --rollback, --skip and --unskip; --to goes with --now.';
    throw new AgentError('command.invalid', { reason });
  }
  const { config } = await loadConfig(options.config, process.env);
  if (options.now) return await updateNow(config, options);
  if (options.from !== undefined) return await updateFrom(config, options.from, options);
  if (options.rollback) return await guarded(config, ['back'], options);
  if (options.skip !== undefined) return await guarded(config, ['skip', options.skip], options);
  if (options.unskip !== undefined) return await guarded(config, ['unskip', options.unskip], options);
  return await show(config, options);
}

/** The root side of an update; `systemd/guard` runs it, below `GUARD_ROOT` in tests. */
async function applyAsRoot(version: string, { from, task = 'host', nonce = 'host' }: UpdateOptions): Promise<number> {
  const root = process.env['GUARD_ROOT'] ?? '';
  const { config } = await loadConfig(join(root, defaultConfigFile), {});
  const places = rootPlaces(root);
  mkdirSync(places.guarded, { recursive: true, mode: 0o755 });
  await applyUpdate({
    ...{ places, version, task, nonce, from, pinned: config.updates.pinned },
    ...{ arch: process.arch, wallMs: Date.now(), proc: join(root, '/proc') },
  });
  return exitCodes.ok;
}

async function show(config: AgentConfig, { check, json, config: file }: UpdateOptions): Promise<number> {
  const agent = check ? await askAgent(file) : await agentIfThere(config);
  const state = agent
    ? await agent.ask<UpdateState>('/v1/update')
    : updateStateOf(placesOf(config), config, agentVersion);
  const available = check ? await agent?.ask<AvailableUpdate>('/v1/update/available') : undefined;
  if (json) {
    printJson(available ? { ...state, available } : state);
  } else {
    printLine(describe(state, available));
  }
  return exitCodes.ok;
}

/** As text, for people. */
export function describe(state: UpdateState, available: AvailableUpdate | undefined): string {
  const { version, previous, pending, last, skipped, settings } = state;
  const facts = [
    ['version', version],
    ['before it', pending?.from ?? previous ?? 'none to go back to'],
    ['on trial', pending ? `${pending.to}, start ${pending.attempts}, after ${pending.from}` : 'none'],
    ['last update', last ? `${last.version}: ${last.outcome.replaceAll('_', ' ')}. ${last.reason}`.trim() : 'none'],
    ['skipped', skipped.map((each) => `${each.version} (${each.reason})`).join('; ') || 'none'],
    ['pinned', settings.pinned ?? 'no'],
    ['automatic', settings.automatic ? `yes, channel ${settings.channel}` : 'no'],
    ...(available ? [['available', availableWords(available, version)]] : []),
  ];
  return table(facts.map((row) => row.map(oneLine)));
}

function availableWords({ version, refused }: AvailableUpdate, current: string): string {
  if (version === current) return `${version}, which runs`;
  return refused === null
    ? `${version}; \`node-agent update --now\` takes it`
    : `${version}, not for this host: ${refused.message}`;
}

/** As a task of the daemon, which ends in the process after this one. */
async function updateNow(config: AgentConfig, { to, json, config: file }: UpdateOptions): Promise<number> {
  const agent = await askAgent(file);
  const before = readLast(placesOf(config));
  const version = to ?? (await agent.ask<AvailableUpdate>('/v1/update/available')).version;
  const onEvent = (event: WorkloadEvent) => (json ? tellJson(event) : tell(oneLine(event.message)));
  const ended = await runTask(agent, { type: 'agent.self_update', params: { version, urgent: true } }, onEvent);
  if (ended === undefined) {
    tell('The agent is restarted; the new version proves itself now.');
    return await outcome(config, before, version, json);
  }
  if (json) {
    printJson(ended);
  } else if (ended.failure) {
    tell(failureLines(ended.failure).join('\n'));
  } else {
    printLine(`Version ${version} runs.`);
  }
  return ended.status === 'succeeded'
    ? exitCodes.ok
    : ended.status === 'rejected'
      ? exitCodes.rejected
      : exitCodes.failed;
}

/** Undefined where the daemon went away before the task ended, which is what an update does. */
async function runTask(agent: LocalClient, task: unknown, onEvent: (event: WorkloadEvent) => void) {
  try {
    for await (const line of agent.stream<RunLine>('/v1/run-task', { body: { task } })) {
      if ('result' in line) return line.result;
      if ('event' in line) onEvent(line.event);
    }
  } catch (error) {
    if (!(error instanceof AgentError) || error.code !== 'agent.absent') throw error;
  }
  return undefined;
}

async function updateFrom(config: AgentConfig, folder: string, options: UpdateOptions): Promise<number> {
  const version = readReleaseFolder(folder);
  const before = readLast(placesOf(config));
  const ended = await runGuard(placesOf(config), ['apply', version, folder], tell);
  if (ended !== 0) {
    throw failureOf(lastSince(before, config, version));
  }
  tell(`Version ${version} is in place and proves itself now.`);
  return await outcome(config, before, version, options.json);
}

/** Waits until the version is on trial no more. */
async function outcome(
  config: AgentConfig,
  before: LastUpdate | undefined,
  version: string,
  json: boolean,
): Promise<number> {
  const places = placesOf(config);
  while (readPending(places)?.to === version) {
    await systemClock.pause(500);
  }
  const last = lastSince(before, config, version);
  if (last?.outcome !== 'committed') {
    throw failureOf(last);
  }
  if (json) {
    printJson(last);
  } else {
    printLine(`Version ${version} has proven itself and stays.`);
  }
  return exitCodes.ok;
}

/** What became of this try at the version, not of one that is told of since before it. */
function lastSince(before: LastUpdate | undefined, config: AgentConfig, version: string): LastUpdate | undefined {
  const last = readLast(placesOf(config));
  return last?.version === version && last.nonce !== before?.nonce ? last : undefined;
}

function failureOf(last: LastUpdate | undefined): AgentError {
  const { code = '', reason = 'Nothing says why.', version = null } = last ?? {};
  return new AgentError(Object.hasOwn(failures, code) ? (code as FailureCode) : 'update.failed', { reason, version });
}

async function guarded(config: AgentConfig, args: readonly string[], { json }: UpdateOptions): Promise<number> {
  const places = placesOf(config);
  const said: string[] = [];
  const ended = await runGuard(places, args, (line) => void said.push(line));
  if (ended !== 0) {
    throw new AgentError('update.failed', { reason: said.join(' ') || `The guard ended with ${ended}.` });
  }
  const state = updateStateOf(places, config, agentVersion);
  if (json) {
    printJson(state);
  } else {
    printLine(describe(state, undefined));
  }
  return exitCodes.ok;
}
