/** `node-agent trust test`: whether this host would carry a manifest out, step by step. The daemon asks the same. */
import { configFileOf } from '../../agent/config.ts';
import { readTrust, trustPlaces } from '../../agent/trust/trust-files.ts';
import { AgentError } from '../../contract/failures.ts';
import type { PayloadManifest } from '../../contract/payload-manifest.ts';
import { type CommandMode, readCommandRules } from '../../policy/promises/command-rules.ts';
import { timeOf } from '../../policy/promises/dates.ts';
import { readNetworkRules } from '../../policy/promises/network-rules.ts';
import { readManifest } from '../../policy/promises/read-manifest.ts';
import { judgeTrust } from '../../policy/trust/judge-trust.ts';
import { exitCodes } from '../exit-codes.ts';
import { printJson, printLine, table } from '../output.ts';
import { type ProofFiles, readSignedManifest } from '../signed-manifest.ts';

interface TestOptions extends ProofFiles {
  readonly config?: string;
  readonly json: boolean;
  readonly project?: string;
  /** RFC 3339. */
  readonly at?: string;
}

export async function testTrust(file: string, options: TestOptions): Promise<number> {
  const now = nowOf(options.at);
  const signed = await readSignedManifest(file, options);
  const read = readManifest(signed.manifest);
  if (!read.ok) {
    const errors = read.errors.map((error) => ({ ...error }));
    throw new AgentError('file.unusable', { reason: `${file} is no computation payload manifest.`, file, errors });
  }
  const manifest = read.value;
  const trust = await readTrust(trustPlaces(configFileOf(options.config, process.env)));
  const rules = stepOfRules(manifest, trust.settings.compat);
  const judged = judgeTrust({ ...trust, manifest, signed, project: options.project ?? 'any project', now });
  const accepted = judged.accepted && rules.outcome !== 'refused';
  const verdict = { accepted, steps: [rules, ...judged.steps] };
  if (options.json) printJson({ file, ...verdict });
  else {
    printLine(`${verdict.accepted ? 'accepted' : 'refused'}  ${manifest.metadata?.name ?? file}`);
    printLine('');
    printLine(table(verdict.steps.map(({ what, outcome, why }) => [`  ${what}`, outcome, why])));
  }
  return verdict.accepted ? exitCodes.ok : exitCodes.failed;
}

/** What a host refuses of every plan with it, before it asks whose manifest it is. */
function stepOfRules(manifest: PayloadManifest, mode: CommandMode) {
  const errors = [readCommandRules(manifest, mode), readNetworkRules(manifest)].flatMap((read) =>
    read.ok ? [] : read.errors,
  );
  const why = errors.map(({ path, message }) => `Its ${path} ${message}.`).join(' ');
  return errors.length > 0
    ? { what: 'rules', outcome: 'refused', why }
    : { what: 'rules', outcome: 'passed', why: 'What it says of commands and of the network can be held to.' };
}

function nowOf(at: string | undefined): number {
  const now = at === undefined ? Date.now() : timeOf(at);
  if (now !== undefined) return now;
  throw new AgentError('command.invalid', { reason: '--at wants a time such as 2027-01-31T12:00:00Z.' });
}
