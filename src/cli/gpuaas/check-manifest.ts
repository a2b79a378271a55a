/** `gpuaas manifest check`: what the rules of a computation payload manifest say of a batch of commands, without a control plane. */
import { readDocument } from '../../agent/read-document.ts';
import { AgentError } from '../../contract/failures.ts';
import type { PathError } from '../../contract/validate.ts';
import { readPayloadManifest } from '../../manifests/golem/read-manifest.ts';
import { readDocument as readManifest } from '../../manifests/read-document.ts';
import { errorsOfOrder } from '../../policy/check-job-plan.ts';
import { checkTransfers } from '../../policy/promises/check-promises.ts';
import { type CommandMode, readCommandRules } from '../../policy/promises/command-rules.ts';
import { commandText } from '../../policy/promises/command-text.ts';
import { type JudgedCommand, judgeScript } from '../../policy/promises/judge-script.ts';
import { readNetworkRules } from '../../policy/promises/network-rules.ts';
import { exitCodes } from '../exit-codes.ts';
import { printJson, printLine, tell } from '../output.ts';
import { oneLine } from '../printable.ts';
import { batchIn } from './batch-file.ts';
import { manifestText } from './version-commands.ts';

interface Options {
  readonly script: string;
  readonly compat?: 'yagna';
  readonly json: boolean;
}

/** 0: all are allowed, 1: some are not. `manifest.invalid` and `file.unusable` for what cannot be judged. */
export async function checkManifest(file: string, { script: batch, compat, json }: Options): Promise<number> {
  const mode: CommandMode = compat ?? 'strict';
  const document = readManifest(await manifestText(file));
  if (!document.ok) throw notValid(file, document.errors);
  const read = readPayloadManifest(document.value, { mode, now: Date.now() });
  if (!read.ok) throw notValid(file, read.errors);
  const { manifest } = read;
  const rules = readCommandRules(manifest, mode);
  if (!rules.ok) throw notValid(file, rules.errors);

  const given = await readDocument(batch, { mayBeQuoted: true });
  const signed = Array.isArray(given) ? given.map(isSign) : [];
  // No host carries a `sign` out, and rules know it: it stands here as another command that always is allowed.
  const commands = batchIn(
    batch,
    Array.isArray(given) ? given.map((each) => (isSign(each) ? { start: {} } : each)) : given,
  );
  const judged = judgeScript(rules.rules, commands);
  const told = judged.commands.map((each) =>
    signed[each.index] ? { ...each, reason: 'sign is always allowed' } : each,
  );

  if (json) printJson({ allowed: judged.allowed, commands: told });
  else {
    for (const each of told) {
      const command = commands[each.index];
      printLine(lineOf(each, signed[each.index] || !command ? 'sign' : commandText(command)));
    }
  }
  const network = readNetworkRules(manifest);
  // A `sign` has no place in the order, as it is nothing that is carried out.
  const order = signed.includes(true) ? [] : errorsOfOrder(commands);
  for (const { path, message } of [...order, ...(network.ok ? checkTransfers(network.egress, commands, '') : [])]) {
    tell(`warning: ${path} ${message}; hosts refuse the batch`);
  }
  return judged.allowed ? exitCodes.ok : exitCodes.failed;
}

function isSign(command: unknown): boolean {
  return typeof command === 'object' && command !== null && Object.keys(command).join() === 'sign';
}

function notValid(file: string, errors: readonly PathError[]): AgentError {
  const [first] = errors;
  const more = errors.length > 1 ? ` (and ${errors.length - 1} more)` : '';
  const reason = `${file}: ${first?.path || '/'} ${first?.message}${more}.`;
  return new AgentError('manifest.invalid', { reason, errors: errors.map((error) => ({ ...error })) });
}

function lineOf({ index, allowed, rule, reason }: JudgedCommand, text: string): string {
  if (allowed) return oneLine(`${index} allowed  ${text}${rule === null ? ` (${reason})` : ''}`);
  return oneLine(`${index} refused  ${text}: ${reason}${rule === null ? '' : `; nearest rule: ${rule}`}`);
}
