/** A computation payload manifest as whoever takes jobs in wants it. What it runs comes beside it, as a batch of commands. */
import type { ExeScript } from '../../contract/exe-script.ts';
import { ManifestAbout, type PayloadManifest } from '../../contract/payload-manifest.ts';
import type { PathError } from '../../contract/validate.ts';
import { checkTransfers, errorsOfScript } from '../../policy/promises/check-promises.ts';
import { type CommandMode, readCommandRules } from '../../policy/promises/command-rules.ts';
import { readNetworkRules } from '../../policy/promises/network-rules.ts';
import { architecturesFor } from '../../policy/promises/platforms.ts';
import type { JobReading, ReadJob } from '../job-dialects.ts';
import { readPayloadManifest } from './read-manifest.ts';
import { planOf, scriptStep } from './to-plan.ts';

export function readGolemJob(document: unknown, { command_policy: mode = 'strict', now }: JobReading = {}): ReadJob {
  const read = readPayloadManifest(document, { mode, ...(now !== undefined && { now }) });
  if (!read.ok) return read;
  const { manifest, warnings } = read;
  const architectures = architecturesFor(manifest.payload);
  return {
    ...{ ok: true, warnings, hidden: {} },
    // Nothing of a manifest asks for cards, and what strangers run is kept apart as far as that goes.
    usual: { sandbox: 'gvisor', gpu_count: 0 },
    ...(architectures && { architectures }),
    ...(manifest.metadata && { about: aboutOf(manifest.metadata) }),
    checkScript: (script) => checkScript(manifest, script, mode),
    plan: (wish) => planOf(manifest, wish),
    nameOf: () => manifest.metadata?.name.replaceAll(/\p{Cc}/gu, ' ').trim() || scriptStep,
  };
}

function aboutOf(metadata: NonNullable<PayloadManifest['metadata']>): ManifestAbout {
  const known = Object.entries(metadata).filter(([key]) => Object.hasOwn(ManifestAbout.properties, key));
  return Object.fromEntries(known) as ManifestAbout;
}

function checkScript(manifest: PayloadManifest, script: ExeScript, mode: CommandMode): readonly PathError[] {
  const [commands, network] = [readCommandRules(manifest, mode), readNetworkRules(manifest)];
  return [
    ...(commands.ok ? errorsOfScript(commands.rules, script, '') : commands.errors),
    ...(network.ok ? checkTransfers(network.egress, script, '') : network.errors),
  ];
}
