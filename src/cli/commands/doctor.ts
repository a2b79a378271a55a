/**
 * `node-agent doctor`: whether this host can do its work, and what to do where it cannot; or a bundle of all that somebody needs
 * who helps from afar. Changes nothing on the host.
 */
import { hostPolicyOf, type LoadedConfig, loadConfig } from '../../agent/config.ts';
import { collect } from '../../agent/diagnostics/collect.ts';
import { sampleSkipped } from '../../agent/diagnostics/sample-gpu.ts';
import { HostDoctor } from '../../agent/host-doctor.ts';
import type { LocalClient } from '../../agent/local-api/client.ts';
import { AgentCollectDiagnosticsOutput } from '../../contract/agent-collect-diagnostics.ts';
import { judge } from '../../contract/validate.ts';
import type { CheckResult, CheckStatus } from '../../host/doctor/check.ts';
import { createLog } from '../../kit/log.ts';
import type { HostPolicy } from '../../policy/host-policy.ts';
import type { ContainerEngine } from '../../runtime/engine.ts';
import { agentVersion } from '../agent-version.ts';
import { writeBundle } from '../bundle-file.ts';
import { openEngine } from '../engine-access.ts';
import { exitCodes } from '../exit-codes.ts';
import { agentIfThere } from '../local-agent.ts';
import { printJson, printLine, tell } from '../output.ts';
import { oneLine } from '../printable.ts';

const marks: Readonly<Record<CheckStatus, string>> = { ok: 'ok  ', warn: 'WARN', fail: 'FAIL', skipped: '-   ' };

/** Longest that all checks together may take. */
const doctorTimeoutMs = 60_000;
const bundleTimeoutMs = 120_000;
const sampleTimeoutMs = 180_000;

export interface DoctorOptions {
  readonly config?: string;
  readonly json: boolean;
  /** Has a container look at a free card; only a daemon can. */
  readonly sampleGpu?: boolean;
  /** File for a bundle, instead of a table of checks. */
  readonly bundle?: string;
}

export async function runDoctor({ config: file, json, sampleGpu, bundle }: DoctorOptions): Promise<number> {
  const loaded = await loadConfig(file, process.env);
  const agent = await agentIfThere(loaded.config);
  if (bundle !== undefined) {
    await bundleInto(bundle, loaded, agent, json);
    return exitCodes.ok;
  }
  const signal = AbortSignal.timeout(doctorTimeoutMs);
  const sample = sampleGpu ? [await sampleOf(agent)] : [];
  const results = [...(await findings(loaded, agent, signal)), ...sample];
  const failed = results.filter(({ status }) => status === 'fail').length;
  if (json) {
    printJson({ healthy: failed === 0, checks: results });
  } else {
    printFindings(results, failed);
  }
  return failed === 0 ? exitCodes.ok : exitCodes.failed;
}

/**
 * The daemon's own rights are what matters: it may be another user than whoever types this. What it has no right to look at is
 * looked at by whoever may do everything.
 */
async function findings(
  loaded: LoadedConfig,
  agent: LocalClient | undefined,
  signal: AbortSignal,
): Promise<readonly CheckResult[]> {
  if (agent === undefined) return await onOurOwn(loaded, ({ doctor }) => doctor.examine(signal));
  const { checks } = await agent.ask<{ checks: CheckResult[] }>('/v1/doctor', { signal });
  const open = new Set(checks.filter(({ status }) => status === 'skipped').map(({ name }) => name));
  if (process.getuid?.() !== 0 || open.size === 0) return checks;
  const ours = await onOurOwn(loaded, ({ doctor }) => doctor.examine(signal, open));
  return checks.map((check) => ours.find(({ name }) => name === check.name) ?? check);
}

/** A launch like any other, so it is the daemon's, and takes its time. */
async function sampleOf(agent: LocalClient | undefined): Promise<CheckResult> {
  return agent === undefined
    ? sampleSkipped('No daemon runs that could launch a container.')
    : await agent.ask<CheckResult>('/v1/sample-gpu', { body: {}, signal: AbortSignal.timeout(sampleTimeoutMs) });
}

interface Own {
  readonly doctor: HostDoctor;
  readonly policy: HostPolicy;
  readonly engine: ContainerEngine;
}

async function onOurOwn<T>(loaded: LoadedConfig, work: (own: Own) => Promise<T>): Promise<T> {
  const policy = await hostPolicyOf(loaded);
  const access = await openEngine(loaded.config, policy, createLog({ level: 'error' }), { lookOnly: true });
  try {
    const { engine } = access;
    return await work({ doctor: new HostDoctor({ loaded, policy, engine }), policy, engine });
  } finally {
    await access.close();
  }
}

/** What the daemon knows, and beside it what whoever types this may see. */
async function bundleInto(file: string, loaded: LoadedConfig, agent: LocalClient | undefined, json: boolean) {
  const signal = AbortSignal.timeout(bundleTimeoutMs);
  const wish = {};
  const [ours, theirs] = await Promise.all([
    onOurOwn(loaded, (own) => collect({ loaded, version: agentVersion, ...own }, wish, signal)),
    agent?.ask<unknown>('/v1/diagnose', { body: wish, signal }),
  ]);
  const bundle = theirs === undefined ? ours : joined(judgedBundle(theirs), ours);
  await writeBundle(file, bundle);
  if (json) {
    printJson({ file, files: bundle.files.map(({ name }) => name), left_out: bundle.left_out });
    return;
  }
  for (const line of bundle.left_out) tell(oneLine(`left out: ${line}`));
  printLine(`${bundle.files.length} files in ${file}. Secrets were taken out; read it before you hand it on.`);
}

/** The daemon has fewer rights than root, who may be asking: what it answers is no bundle before it was looked at. */
function judgedBundle(theirs: unknown): AgentCollectDiagnosticsOutput {
  const judged = judge(AgentCollectDiagnosticsOutput, theirs);
  if (judged.ok) return judged.value;
  return { collected_at: new Date().toISOString(), files: [], left_out: ['the agent: what it answered is no bundle.'] };
}

function joined(theirs: AgentCollectDiagnosticsOutput, ours: AgentCollectDiagnosticsOutput) {
  const known = new Set(theirs.files.map(({ name }) => name));
  const more = ours.files
    .map(({ name, text }) => ({ name: name === 'doctor.json' ? 'doctor.own.json' : name, text }))
    .filter(({ name }) => !known.has(name));
  const had = new Set(more.map(({ name }) => name));
  const leftOut = theirs.left_out.filter((line) => !had.has(line.split(':')[0] ?? ''));
  return { ...theirs, files: [...theirs.files, ...more], left_out: leftOut };
}

function printFindings(results: readonly CheckResult[], failed: number): void {
  for (const { name, status, found, why, fix } of results) {
    printLine(oneLine(`${marks[status]}  ${name}: ${found}`));
    if (fix !== null) {
      printLine(oneLine(`        why: ${why}`));
      printLine(oneLine(`        do:  ${fix}`));
    }
  }
  const warnings = results.filter(({ status }) => status === 'warn').length;
  printLine('');
  printLine(`${results.length} checks, ${failed} failed, ${warnings} warnings`);
}
