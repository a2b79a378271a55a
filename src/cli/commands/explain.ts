/**
 * `node-agent explain ID`: why an instance, a job or a task is as it is, and what to do next.
 *
 * By the daemon where one runs, else by this process from what is on the disk, the engine and the kernel: a daemon that
 * is down is one of the things that need explaining. What the kernel says is added here where the daemon may not read it and
 * the caller, root, may.
 */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hostPolicyOf, type LoadedConfig, loadConfig } from '../../agent/config.ts';
import { explain, withKernelLog } from '../../agent/explain/explain.ts';
import type { Explanation } from '../../agent/explain/explanation.ts';
import { explainSources } from '../../agent/explain/sources.ts';
import { jobOutputsFolder } from '../../agent/host-jobs.ts';
import type { Journal } from '../../agent/journal/journal.ts';
import { openJournal } from '../../agent/journal/open-journal.ts';
import { taskLogFolder } from '../../agent/task-log.ts';
import { AgentError } from '../../contract/failures.ts';
import { type KernelLine, readKernelLog } from '../../host/kernel-log.ts';
import { createLog } from '../../kit/log.ts';
import { UntrustedFolder } from '../../kit/untrusted-folder.ts';
import { openEngine } from '../engine-access.ts';
import { exitCodes } from '../exit-codes.ts';
import { explanationText } from '../explain-text.ts';
import { untilInterrupted } from '../interruption.ts';
import { agentIfThere } from '../local-agent.ts';
import { printJson, printLine } from '../output.ts';

export async function printExplanation(
  id: string,
  { config, json }: { config?: string; json: boolean },
  kernelLog: () => readonly KernelLine[] | undefined = readKernelLog,
) {
  const loaded = await loadConfig(config, process.env);
  const { signal, stopListening } = untilInterrupted();
  try {
    const agent = await agentIfThere(loaded.config);
    const explanation = agent
      ? withKernelLog(await agent.ask<Explanation>('/v1/explain', { query: { id }, signal }), kernelLog())
      : await explainAlone(id, loaded, signal);
    if (json) {
      printJson(explanation);
    } else {
      printLine(explanationText(explanation));
    }
    return exitCodes.ok;
  } finally {
    stopListening();
  }
}

async function explainAlone(id: string, loaded: LoadedConfig, signal: AbortSignal): Promise<Explanation> {
  const { config } = loaded;
  await using undo = new AsyncDisposableStack();
  const copy = copyOfJournal(config.state_dir);
  undo.defer(() => copy?.remove());
  const access = await openEngine(config, await hostPolicyOf(loaded), createLog({ level: 'silent' }), {
    lookOnly: true,
  });
  undo.defer(access.close);
  const places = { taskLogs: taskLogFolder(config), outputs: jobOutputsFolder(config) };
  const sources = explainSources({ engine: access.engine, journal: copy?.journal, ...places });
  const explanation = await explain(id, sources, signal);
  return { ...explanation, notes: ['No daemon answers; this was put together without it.', ...explanation.notes] };
}

const mostOfJournal = 2 ** 30;

/**
 * Reading the journal itself would repair it on the way; and it is the agent's, so that root, who may be asking, opens no link in
 * place of it. Undefined where there is none.
 */
function copyOfJournal(stateDir: string): { journal: Journal; remove(): void } | undefined {
  const file = 'agent.db';
  if (!existsSync(join(stateDir, file))) {
    return undefined;
  }
  const folder = mkdtempSync(join(tmpdir(), 'gpuaas-look-'));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  try {
    copyFiles(stateDir, [file, `${file}-wal`], folder);
    const journal = openJournal({ stateDir: folder, reserveBytes: 0 });
    return {
      journal,
      remove: () => {
        journal.close();
        remove();
      },
    };
  } catch (error) {
    remove();
    throw error;
  }
}

function copyFiles(from: string, names: readonly string[], to: string): void {
  const source = new UntrustedFolder(from, (name, reason) => {
    return new AgentError('file.unusable', { reason: `${join(from, name)}: ${reason}`, file: join(from, name) });
  });
  try {
    for (const name of names.filter((each) => existsSync(join(from, each)))) {
      source.copy(name, join(to, name), mostOfJournal, () => undefined);
    }
  } finally {
    source.close();
  }
}
