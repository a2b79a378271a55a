/**
 * What a manifest becomes together with a batch of commands: one container of its payload in which they are carried out, with no
 * more of the network than it promises. Pure. docs/golem.md has the table of what each field becomes.
 */
import type { ExeScript } from '../../contract/exe-script.ts';
import type { JobPlan } from '../../contract/job-plan.ts';
import type { PayloadManifest, SignedManifest } from '../../contract/payload-manifest.ts';
import { golemFolder, golemVolumes } from '../../policy/promises/golem-volumes.ts';
import { readNetworkRules } from '../../policy/promises/network-rules.ts';
import { planPayloads } from '../../policy/promises/payloads.ts';
import type { PlannedJob, PlanWish } from '../planned-job.ts';

const image = 'payload';
export const scriptStep = 'script';
/** Stands for the batch where a manifest is only looked at. */
const noScript: ExeScript = [{ deploy: {} }];
const logLimits = { max_size_mib: 64, max_files: 2 };

/** Only for a manifest that `readPayloadManifest` has accepted. */
export function planOf(manifest: PayloadManifest, wish: PlanWish): PlannedJob {
  const { batch } = wish;
  const network = readNetworkRules(manifest);
  const egress = network.ok ? network.egress : 'none';
  const plan: JobPlan = {
    ...{ identity: wish.identity, sandbox: wish.sandbox, resources: wish.resources },
    images: [{ id: image, source: { kind: 'payload', payload: planPayloads(manifest) } }],
    volumes: golemVolumes.map((name) => ({ name })),
    ...{ inputs: [], services: [], checks: [], init: [] },
    steps: [
      {
        ...{ id: scriptStep, group: scriptStep, image, env: { values: {}, merge: [] }, resources: wish.resources },
        mounts: golemVolumes.map((volume) => ({ volume, path: `${golemFolder}/${volume}`, read_only: false })),
        script: [...(batch?.script ?? noScript)],
        ...{ aliases: [], depends_on: [], stops_with: [], expose: [], results: [], needs: [] },
        restart: { policy: 'no', max_retries: 0 },
      },
    ],
    outputs: [{ name: 'output', volume: 'output', path: '.', type: 'artifact', required: false }],
    read_only_root: false,
    ...(egress === 'none' ? { network: 'none' } : { network: 'allow_list', egress }),
    signed_manifest: batch?.signed_manifest ?? unsigned(manifest),
    ...(batch?.command_policy !== undefined && { command_policy: batch.command_policy }),
    ...{ on_failure: wish.on_failure, deadline_seconds: wish.deadline_seconds, stop_grace_seconds: 10 },
    ...{ keep: wish.keep, log_limits: logLimits },
  };
  const unresolved = batch ? [] : [{ path: '', reference: 'the batch of commands that is carried out' }];
  return { plan, unresolved, secrets: [], imagePaths: { [image]: '/payload' } };
}

/** Whoever signs it signs other bytes. */
function unsigned(manifest: PayloadManifest): SignedManifest {
  const bytes = new TextEncoder().encode(JSON.stringify(manifest));
  return { manifest: btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join('')) };
}
