/**
 * Holds a plan against the manifest that it travels with: the host that is to carry it out asks this, and so does whoever accepts a
 * job, so that neither has to believe the other.
 *
 *   plan          manifest
 *   images        payload: the same, and nothing else is run
 *   script        compManifest.script: each command is allowed
 *   transfers     compManifest.net: each address is let through, and none is private
 *   network       compManifest.net: none, or no more than it promises
 *   now           createdAt, expiresAt
 */
import type { ExeScript } from '../../contract/exe-script.ts';
import type { JobEgress } from '../../contract/job-egress.ts';
import type { JobPlan } from '../../contract/job-plan.ts';
import type { PayloadManifest } from '../../contract/payload-manifest.ts';
import type { PathError } from '../../contract/validate.ts';
import type { Finding } from '../refusal.ts';
import { readTransfer, type ScriptTransfer } from '../script-transfers.ts';
import { readCommandRules } from './command-rules.ts';
import { commandText } from './command-text.ts';
import { checkTime } from './dates.ts';
import { shown } from './differences.ts';
import { golemFolder, golemVolumes } from './golem-volumes.ts';
import { judgeScript } from './judge-script.ts';
import { letsThrough, readNetworkRules } from './network-rules.ts';
import { planPayloads } from './payloads.ts';
import { whyNeverAllowed } from './places.ts';

export interface PromiseOptions {
  /** Whether the operator accepts plans that are judged as the programs of the Golem network do (`command_policy: yagna`). */
  readonly compat: boolean;
  /** Milliseconds since 1970. */
  readonly now: number;
}

/**
 * `manifest`: what `readManifest(plan.signed_manifest.manifest)` has read. No errors in any finding: the plan keeps what the manifest
 * promises, at this time. Whose manifest it is, and whether the operator accepts it, is another question.
 *
 * `manifest.expired`, `manifest.broken_promise`, `command.refused`, `policy.refused`; paths in the plan.
 */
export function checkPromises(plan: JobPlan, manifest: PayloadManifest, { compat, now }: PromiseOptions): Finding[] {
  const mode = plan.command_policy ?? 'strict';
  const network = readNetworkRules(manifest);
  const commands = readCommandRules(manifest, mode);
  const unreadable = [network, commands].flatMap((read) => (read.ok ? [] : read.errors));
  const script = plan.steps[0]?.script ?? [];
  return [
    { failure: 'manifest.expired', errors: checkTime(manifest, now).map(inManifest) },
    { failure: 'manifest.broken_promise', errors: [...unreadable.map(inManifest), ...checkWhatRuns(plan, manifest)] },
    { failure: 'policy.refused', errors: mode === 'yagna' && !compat ? [notOffered] : [] },
    { failure: 'command.refused', errors: commands.ok ? errorsOfScript(commands.rules, script, at) : [] },
    {
      failure: 'manifest.broken_promise',
      errors: network.ok ? [...checkTransfers(network.egress, script, at), ...checkNetwork(plan, network.egress)] : [],
    },
  ];
}

const at = '/steps/0/script';
const notOffered: PathError = {
  path: '/command_policy',
  code: 'not_offered',
  message: 'is yagna, which the operator of this host has not switched on',
};

function inManifest({ path, code, message }: PathError): PathError {
  return {
    path: '/signed_manifest/manifest',
    code,
    message: `has a manifest ${path ? `whose ${path}` : 'that'} ${message}`,
  };
}

/** What the rules refuse; paths below `path`. */
export function errorsOfScript(rules: Parameters<typeof judgeScript>[0], script: ExeScript, path: string): PathError[] {
  return judgeScript(rules, script).commands.flatMap(({ index, allowed, rule, reason }) => {
    const command = script[index];
    if (allowed || !command) return [];
    const nearest = rule === null ? '' : `; the nearest rule is ${shown(rule)}`;
    const message = `is not allowed by the manifest: ${shown(commandText(command))}: ${reason}${nearest}`;
    return [{ path: `${path}/${index}`, code: 'refused', message }];
  });
}

/** Transfers that lead elsewhere than the network of the manifest does, or to what it may never name; paths below `path`. */
export function checkTransfers(egress: JobEgress | 'none', script: ExeScript, path: string): PathError[] {
  return script.flatMap(({ transfer }, index) => {
    if (!transfer) return [];
    const read = readTransfer(transfer, ownPlaces, { ...ownPlaces, ...(egress !== 'none' && { egress }) });
    const errors = read.ok ? errorsOfPrivate(read.transfer) : read.errors;
    return errors.map(({ path: end, code, message }) => ({
      ...{ path: `${path}/${index}/transfer${end}`, code },
      message: code === 'not_listed' ? `${message}: list it in compManifest.net of the manifest` : message,
    }));
  });
}

const ownPlaces = {
  mounts: golemVolumes.map((volume) => ({ volume, path: `${golemFolder}/${volume}`, read_only: false })),
  volumes: golemVolumes.map((name) => ({ name })),
};

function errorsOfPrivate({ isInward, place }: ScriptTransfer): PathError[] {
  const never = whyNeverAllowed(place);
  if (never === undefined) return [];
  return [{ path: isInward ? '/from' : '/to', code: 'private', message: `${never}, which is never let through` }];
}

/** Nothing but the payload runs, and nothing around it makes a command mean something else than its rule says. */
function checkWhatRuns(plan: JobPlan, manifest: PayloadManifest): PathError[] {
  const wrong = (isWrong: boolean, path: string, message: string): PathError[] =>
    isWrong ? [{ path, code: 'promise', message }] : [];
  const { images, services, checks, init, inputs, steps, caches = [], preflight = [] } = plan;
  const payload = JSON.stringify(planPayloads(manifest));
  const others = { services, checks, init, inputs, caches, preflight };
  return [
    ...wrong(images.length !== 1, '/images', 'must be the payload of the manifest and nothing else'),
    ...images.flatMap(({ source }, index) =>
      wrong(
        source.kind !== 'payload' || JSON.stringify(planPayloads(source)) !== payload,
        `/images/${index}/source`,
        'is not the payload of the manifest',
      ),
    ),
    ...Object.entries(others).flatMap(([key, list]) =>
      wrong(list.length > 0, `/${key}`, 'must be empty: the manifest promises that only its script is run'),
    ),
    ...wrong(steps.length !== 1, '/steps', 'must be one, with the script'),
    ...steps.flatMap(({ script, env, work_dir: folder, mounts }, index) => [
      ...wrong(!script, `/steps/${index}/script`, 'is missing: the manifest promises that only its script is run'),
      ...wrong(
        Object.keys(env.values).length + env.merge.length > 0,
        `/steps/${index}/env`,
        'must be empty: a command has the environment that its rule says',
      ),
      ...wrong(folder !== undefined, `/steps/${index}/work_dir`, 'must be left out: it is that of the image'),
      ...mounts.flatMap(({ path }, mount) =>
        wrong(
          !golemVolumes.some((name) => path === `${golemFolder}/${name}`),
          `/steps/${index}/mounts/${mount}/path`,
          'would hide what the payload has there',
        ),
      ),
    ]),
  ];
}

function checkNetwork({ network, egress }: JobPlan, promised: JobEgress | 'none'): PathError[] {
  if (network === 'none') return [];
  const path = network === 'bridge' ? '/network' : '/egress';
  const wider = (where: string) => ({ path: where, code: 'promise', message: 'is more than the manifest promises' });
  if (network === 'bridge' || !egress || promised === 'none') return [wider(path)];
  return [
    ...egress.any_public.flatMap((scheme, index) =>
      promised.any_public.includes(scheme) ? [] : [wider(`/egress/any_public/${index}`)],
    ),
    ...egress.rules.flatMap((rule, index) => (letsThrough(promised, rule) ? [] : [wider(`/egress/rules/${index}`)])),
  ];
}
