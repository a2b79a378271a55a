/** `node-agent doctor`: whether this host can do its work, and what to do where it cannot. Changes nothing. */
import { hostPolicyOf, type LoadedConfig, loadConfig } from '../../agent/config.ts';
import { type CheckResult, type CheckStatus, runChecks } from '../../host/doctor/check.ts';
import { hostChecks } from '../../host/doctor.ts';
import { createLog } from '../../kit/log.ts';
import { openEngine } from '../engine-access.ts';
import { exitCodes } from '../exit-codes.ts';
import { agentIfThere } from '../local-agent.ts';
import { printJson, printLine } from '../output.ts';
import { oneLine } from '../printable.ts';

const marks: Readonly<Record<CheckStatus, string>> = { ok: 'ok  ', warn: 'WARN', fail: 'FAIL', skipped: '-   ' };

/** Longest that all checks together may take. */
const doctorTimeoutMs = 60_000;

export async function runDoctor({ config: file, json }: { config?: string; json: boolean }): Promise<number> {
  const loaded = await loadConfig(file, process.env);
  const signal = AbortSignal.timeout(doctorTimeoutMs);
  const agent = await agentIfThere(loaded.config);
  // The daemon's own rights are what matters: it may be another user than whoever types this.
  const results = agent
    ? (await agent.ask<{ checks: CheckResult[] }>('/v1/doctor', { signal })).checks
    : await ownFindings(loaded, signal);
  const failed = results.filter(({ status }) => status === 'fail').length;
  if (json) {
    printJson({ healthy: failed === 0, checks: results });
  } else {
    printFindings(results, failed);
  }
  return failed === 0 ? exitCodes.ok : exitCodes.failed;
}

async function ownFindings(loaded: LoadedConfig, signal: AbortSignal): Promise<CheckResult[]> {
  const { config } = loaded;
  const policy = await hostPolicyOf(loaded);
  const access = await openEngine(config, policy, createLog({ level: 'error' }), { lookOnly: true });
  try {
    const checks = hostChecks({
      ...{ policy, stateDir: config.state_dir, path: process.env['PATH'] },
      pluginFolders: config.stacks.plugin_folders,
      askEngine: (limit) => access.engine.facts(limit),
    });
    return await runChecks(checks, { signal });
  } finally {
    await access.close();
  }
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
