/**
 * The part of the second safety function that is about containers of jobs.
 *
 * They run as whoever their image says, root among them. So what they may not reach is not left to file rights: no folder of the
 * allocation's user, no secret file, no volume but those of their own job, and inputs only to be read.
 */
import { serviceNamePattern } from '../contract/compose-document.ts';
import { maxTogether } from '../contract/job-plan.ts';
import { containerName, jobKind, labels, networkName, volumeName } from '../contract/names.ts';
import { judge, type PathError } from '../contract/validate.ts';
import { cachesOf } from './caches.ts';
import { checkCards } from './check-cards.ts';
import {
  checkEndpoints,
  checkEnv,
  checkImage,
  checkLabels,
  checkLimits,
  checkPorts,
  checkRuntime,
  isIdentifier,
} from './check-every-container.ts';
import { jobInputsRoot } from './host-policy.ts';
import { JobContainerRequest } from './job-request.ts';
import { checkTargets, describeBadJobFolder, describeBadVolumes } from './mounts.ts';
import { type JobContext, label, type RequestToCheck, serviceOf, unless, wrong } from './request-check.ts';
import { groupOfLabels } from './service-group.ts';

/** Every path at which the request is not one of a job that this host runs; empty if it may be created. */
export function checkJobRequest({ name, request, policy, image }: RequestToCheck): PathError[] {
  const judged = judge(JobContainerRequest, request);
  if (!judged.ok) {
    return judged.errors;
  }
  const context: JobContext = { name, request: judged.value, policy, image };
  return checks.flatMap((check) => check(context));
}

const checks: readonly ((context: JobContext) => PathError[])[] = [
  checkNames,
  checkJobLabels,
  checkImage,
  checkCards,
  checkEnv,
  checkFolders,
  checkMounts,
  checkPorts,
  checkEndpoints,
  checkNetwork,
  checkLimits,
  checkRuntime,
];

const service = new RegExp(serviceNamePattern);
const alias = /^[a-zA-Z0-9]([a-zA-Z0-9.-]{0,61}[a-zA-Z0-9])?$/;
const maxAliases = 16;

/** Names in a label of a container of a job: its aliases, or its peers. */
export function readNames(text: string | undefined): string[] {
  return (text ?? '').split(',').filter((name) => name !== '');
}

function checkNames(context: JobContext): PathError[] {
  const fine = context.name === containerName(label(context, labels.instance), serviceOf(context) ?? '');
  return unless(fine, '', 'name', 'the name is not that of the labelled job and step');
}

function checkJobLabels(context: JobContext): PathError[] {
  return checkLabels(context, [
    [labels.service, (value) => service.test(value), 'must name a step'],
    [labels.kind, (value) => value === jobKind, `must be ${jobKind}`],
    [labels.caches, () => cachesOf(context.request.Labels) !== undefined, 'must be caches of the labelled revision'],
    [labels.aliases, (value) => areAliases(value), `must be at most ${maxAliases} host names, none twice`],
    [labels.peers, arePeers, `must be at most ${maxTogether} services, none twice`],
  ]);
}

function arePeers(text: string): boolean {
  const names = readNames(text);
  return (
    names.length <= maxTogether && new Set(names).size === names.length && names.every((name) => service.test(name))
  );
}

function areAliases(text: string): boolean {
  const names = text === '' ? [] : text.split(',');
  return names.length <= maxAliases && new Set(names).size === names.length && names.every((name) => alias.test(name));
}

function checkFolders({ request, image }: JobContext): PathError[] {
  const targets = request.HostConfig.Mounts.map(({ Target }) => Target);
  const own = request.WorkingDir === undefined ? undefined : describeBadJobFolder(request.WorkingDir);
  const ofImage = describeBadJobFolder(image.workingDir);
  return [
    ...(own === undefined ? [] : wrong('/WorkingDir', 'folder', own)),
    ...(ofImage === undefined ? [] : wrong('/Image', 'image_refused', `the image ${ofImage}`)),
    ...describeBadVolumes(image.volumes, targets).flatMap((message) => wrong('/Image', 'image_refused', message)),
  ];
}

/** Volumes of this job by name, and caches of its project and revision; of the host nothing but the inputs of this job, to be read. */
function checkMounts(context: JobContext): PathError[] {
  const { HostConfig } = context.request;
  const job = label(context, labels.instance);
  const caches = (cachesOf(context.request.Labels) ?? []).map(({ volume }) => volume);
  const at = (index: number, key: string) => `/HostConfig/Mounts/${index}/${key}`;
  return [
    ...HostConfig.Mounts.flatMap((mount, index) => {
      const root = mount.Type === 'volume' ? volumeName(job, '') : `${jobInputsRoot(context.policy, job)}/`;
      const isCache = mount.Type === 'volume' && caches.includes(mount.Source);
      const isOwn = isCache || (mount.Source.startsWith(root) && isIdentifier(mount.Source.slice(root.length)));
      return [
        ...unless(isOwn, at(index, 'Source'), 'source', 'is neither a volume nor a cache nor the inputs of this job'),
        ...unless(
          mount.Type === 'volume' || mount.ReadOnly,
          at(index, 'ReadOnly'),
          'source',
          'must be true for inputs',
        ),
      ];
    }),
    ...checkTargets(
      HostConfig.Mounts.map(({ Target }) => Target),
      (index) => at(index, 'Target'),
      { ofJob: true },
    ),
  ];
}

/**
 * Its own network, or that of the services that it shares or is one of, or none: then there is nothing to publish, and nobody to be
 * found by. Where other jobs are it is found by its own alone, which is what peers are for.
 */
function checkNetwork(context: JobContext): PathError[] {
  const { NetworkMode: network, PortBindings, Dns } = context.request.HostConfig;
  const path = '/HostConfig/NetworkMode';
  if (Dns !== undefined && network !== networkName(label(context, labels.instance))) {
    return wrong('/HostConfig/Dns', 'network', 'must be absent but in the network of the job');
  }
  if (network === 'none') {
    const isAlone = Object.keys(PortBindings).length === 0 && label(context, labels.aliases) === '';
    return unless(isAlone, path, 'network', 'must be that of the job for a container with ports or aliases');
  }
  const [job, group] = [label(context, labels.instance), groupOfLabels(context.request.Labels)];
  const own = [job, ...(group === undefined ? [] : [group])].map(networkName);
  const hasPeers = context.request.Labels[labels.peers] !== undefined;
  const isFine = network === networkName(job) ? !hasPeers : hasPeers && label(context, labels.aliases) === '';
  return [
    ...unless(own.includes(network), path, 'network', 'must be the network of the labelled job or group, or none'),
    ...unless(
      isFine,
      `/Labels/${labels.peers}`,
      'label',
      'must be there in the network of a group, and without aliases',
    ),
  ];
}
