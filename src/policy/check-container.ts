/**
 * The second safety function: judges a finished create request, whoever wrote it.
 *
 * It belongs to the gate and assumes nothing about the first one: it shares the rules of `policy/` (what is a plain
 * target, what is a forbidden variable) but no code that renders. Whatever the schema of the request does not name is
 * refused by the schema; what it does name is held here against host policy, against the image and against itself. An
 * engine must be sent the judged value written anew, never the bytes it was read from: engines read JSON more loosely.
 */

import { serviceNamePattern } from '../contract/compose-document.ts';
import { identifierPattern } from '../contract/identifiers.ts';
import { containerName, labels, networkName } from '../contract/names.ts';
import { pointerToken } from '../contract/pointer.ts';
import { judge, type PathError } from '../contract/validate.ts';
import { checkCards, checkCardVariable } from './check-cards.ts';
import { checkComposeLabels, checkHealthcheck, checkNetworking } from './check-service.ts';
import { ContainerRequest } from './container-request.ts';
import { describeBadImageEnv, nameOf, noDevices, whyForbidden } from './environment.ts';
import { projectRoot, recordedImage, secretsRoot, workloadRoot } from './host-policy.ts';
import { isRepoDigestOf, readAllowedImage } from './image-reference.ts';
import { checkTargets, describeBadVolumes, describeBadWorkingDir, secretsTarget } from './mounts.ts';
import { isReadinessLabel } from './readiness-label.ts';
import { type CheckContext, label, type RequestToCheck, serviceOf, unless, wrong } from './request-check.ts';

/** Every path at which the request is not one this host runs; empty if it may be created. */
export function checkContainerRequest({ name, request, policy, image }: RequestToCheck): PathError[] {
  const judged = judge(ContainerRequest, request);
  if (!judged.ok) {
    return judged.errors;
  }
  const context: CheckContext = { name, request: judged.value, policy, image };
  return checks.flatMap((check) => check(context));
}

const checks: readonly ((context: CheckContext) => PathError[])[] = [
  checkNames,
  checkLabels,
  checkComposeLabels,
  checkHealthcheck,
  checkNetworking,
  checkImage,
  checkUser,
  checkCards,
  checkEnv,
  checkImageFolders,
  checkMounts,
  checkPorts,
  checkEndpoints,
  checkLimits,
  checkRuntime,
];

const identifier = new RegExp(identifierPattern);
const service = new RegExp(serviceNamePattern);
const specPattern = /^[0-9a-f]{64}$/;
const restartPattern = /^(no|on_failure|always):(0|[1-9][0-9]?|100)$/;
const countPattern = /^(0|[1-9][0-9]{0,15})$/;
const envName = /^[A-Za-z_][A-Za-z0-9_]*$/;
const maxLogMib = 1024;
const maxLogFiles = 20;

/** Container and network are the instance's own. */
function checkNames(context: CheckContext): PathError[] {
  const instance = label(context, labels.instance);
  const network = context.request.HostConfig.NetworkMode;
  return [
    ...unless(
      context.name === containerName(instance, serviceOf(context)),
      '',
      'name',
      'the name is not that of the labelled instance or service',
    ),
    ...unless(
      network === networkName(instance),
      '/HostConfig/NetworkMode',
      'network',
      'must be the network of the labelled instance',
    ),
  ];
}

function checkLabels(context: CheckContext): PathError[] {
  const rules: readonly [label: string, fine: (value: string) => boolean, message: string][] = [
    [labels.instance, (value) => identifier.test(value), 'must be an identifier'],
    [labels.project, (value) => identifier.test(value), 'must be an identifier'],
    [labels.task, (value) => identifier.test(value), 'must be an identifier'],
    [labels.allocation, (value) => value === context.policy.allocation.id, 'must be the allocation of this host'],
    [labels.spec, (value) => specPattern.test(value), 'must be a sha256 in hex'],
    [
      labels.fencing,
      (value) => countPattern.test(value) && Number.isSafeInteger(Number(value)),
      'must be a number in plain digits',
    ],
    [labels.restart, (value) => restartPattern.test(value), 'must be policy:retries, as on_failure:3'],
    [labels.readiness, isReadinessLabel, 'must be readiness checks'],
    [labels.service, (value) => serviceOf(context) === undefined || service.test(value), 'must name a service'],
  ];
  return rules.flatMap(([name, fine, message]) =>
    unless(fine(label(context, name)), `/Labels/${pointerToken(name)}`, 'label', message),
  );
}

/** A verified digest of an allowed repository, or an image id that the operator listed. */
function checkImage({ request, policy, image }: CheckContext): PathError[] {
  if (request.Image.startsWith('sha256:')) {
    const fine = request.Image === image.id && recordedImage(policy, image.id) !== undefined;
    return unless(fine, '/Image', 'local_image', 'is not among `local_images` of this host');
  }
  const read = readAllowedImage(request.Image, policy.registries);
  if (!read.ok) {
    return wrong('/Image', read.code, `is refused: ${read.reason}`);
  }
  const verified = image.repoDigests.some((digest) => isRepoDigestOf(digest, read.ref));
  return unless(verified, '/Image', 'image.digest_mismatch', 'the engine holds no image of this digest');
}

function checkUser({ request, policy: { allocation } }: CheckContext): PathError[] {
  const expected = `${allocation.uid}:${allocation.gid}`;
  return unless(request.User === expected, '/User', 'user', `must be the user of the allocation, ${expected}`);
}

/**
 * No name twice: an engine keeps both entries, and programs differ in which one they see. A bare name may only remove
 * what is forbidden, and must for all that the image sets.
 */
function checkEnv(context: CheckContext): PathError[] {
  const { request, image } = context;
  const names = request.Env.map(nameOf);
  const present = new Set(names);
  const errors = request.Env.flatMap((entry, index) => {
    const message = describeBadEntry(entry) ?? (names.indexOf(nameOf(entry)) < index ? 'is set twice' : undefined);
    return message === undefined ? [] : wrong(`/Env/${index}`, 'variable', message);
  });
  const left = new Set(image.env.map(nameOf).filter((name) => whyForbidden(name) !== undefined && !present.has(name)));
  return [
    ...errors,
    ...checkCardVariable(context),
    ...[...left].flatMap((name) => wrong('/Env', 'variable', `must remove ${name}, which the image sets`)),
    ...describeBadImageEnv(image.env).flatMap((message) => wrong('/Image', 'image_refused', message)),
  ];
}

function describeBadEntry(entry: string): string | undefined {
  const name = nameOf(entry);
  const forbidden = whyForbidden(name) !== undefined;
  if (entry === name) {
    return forbidden ? undefined : 'must be NAME=value; only forbidden variables may be removed';
  }
  if (!envName.test(name)) {
    return 'has no proper name';
  }
  return forbidden && entry !== noDevices ? 'must not be set' : undefined;
}

function checkImageFolders({ request, image }: CheckContext): PathError[] {
  const targets = request.HostConfig.Mounts.map(({ Target }) => Target);
  const sentences = [
    ...describeBadVolumes(image.volumes, targets),
    ...describeBadWorkingDir(image.workingDir, targets),
  ];
  return sentences.flatMap((message) => wrong('/Image', 'image_refused', message));
}

/** Every source is one folder of this instance or its project, by name; only secrets may be mounted at their place. */
function checkMounts(context: CheckContext): PathError[] {
  const mounts = context.request.HostConfig.Mounts;
  const secrets = secretsRoot(context.policy, label(context, labels.instance), serviceOf(context));
  const declared = [...mounts.entries()].filter(([, { Source }]) => Source !== secrets);
  const sources = mounts.map(({ Source }) => Source);
  return [
    ...declared.flatMap(([index, { Source }]) =>
      unless(isWorkloadFolder(Source, context), sourcePath(index), 'source', 'is no folder of this workload'),
    ),
    ...mounts.flatMap(({ Source }, index) =>
      unless(sources.indexOf(Source) === index, sourcePath(index), 'repeated', 'is mounted twice'),
    ),
    ...mounts.flatMap(({ Source, Target, ReadOnly }, index) =>
      unless(
        Source !== secrets || (Target === secretsTarget && ReadOnly),
        `/HostConfig/Mounts/${index}/Target`,
        'secrets',
        `must be ${secretsTarget}, read-only`,
      ),
    ),
    ...checkTargets(
      declared.map(([, { Target }]) => Target),
      (position) => `/HostConfig/Mounts/${declared[position]?.[0]}/Target`,
    ),
  ];
}

function sourcePath(index: number): string {
  return `/HostConfig/Mounts/${index}/Source`;
}

function isWorkloadFolder(source: string, context: CheckContext): boolean {
  const { policy } = context;
  const slash = source.lastIndexOf('/');
  const folder = source.slice(0, slash);
  const shared = policy.project_storage && folder === projectRoot(policy, label(context, labels.project));
  const own = folder === workloadRoot(policy, label(context, labels.instance));
  return (own || shared) && identifier.test(source.slice(slash + 1));
}

function checkPorts({ request }: CheckContext): PathError[] {
  const { ExposedPorts: exposed, HostConfig } = request;
  const bindings = Object.entries(HostConfig.PortBindings);
  const hostPorts = bindings.map(([, [binding]]) => binding?.HostPort ?? '');
  return [
    ...Object.keys(exposed).flatMap((key) =>
      unless(isPort(key.slice(0, -'/tcp'.length), 1), `/ExposedPorts/${pointerToken(key)}`, 'port', 'is no port'),
    ),
    ...bindings.flatMap(([key], index) => {
      const path = `/HostConfig/PortBindings/${pointerToken(key)}`;
      const hostPort = hostPorts[index] ?? '';
      return [
        ...unless(Object.hasOwn(exposed, key), path, 'port', 'is not exposed'),
        ...unless(isPort(hostPort, 1024), `${path}/0/HostPort`, 'port', 'must be a port from 1024 to 65535'),
        ...unless(hostPorts.indexOf(hostPort) === index, `${path}/0/HostPort`, 'repeated', 'is bound twice'),
      ];
    }),
  ];
}

function isPort(text: string, minimum: number): boolean {
  const port = Number(text);
  return String(port) === text && port >= minimum && port <= 65535;
}

/** The label is what others believe about the endpoints, so it must not name a port that is not bound. */
function checkEndpoints(context: CheckContext): PathError[] {
  const value = label(context, labels.endpoints);
  const bindings = Object.values(context.request.HostConfig.PortBindings);
  const bound = bindings.map(([binding]) => binding?.HostPort);
  const entries = value === '' ? [] : value.split(',').map((entry) => entry.split(':'));
  const fine = entries.every(
    ([name = '', protocol = '', port, ...more]) =>
      identifier.test(name) && ['http', 'tcp'].includes(protocol) && bound.includes(port) && more.length === 0,
  );
  const unique = [0, 2].every((part) => new Set(entries.map((entry) => entry[part])).size === entries.length);
  return unless(
    fine && unique,
    `/Labels/${pointerToken(labels.endpoints)}`,
    'label',
    'must name bound ports as name:protocol:host_port',
  );
}

function checkLimits({ request: { HostConfig: config }, policy: { limits } }: CheckContext): PathError[] {
  const { 'max-size': size, 'max-file': files } = config.LogConfig.Config;
  return [
    ...unless(config.MemorySwap === config.Memory, '/HostConfig/MemorySwap', 'limit', 'must equal Memory'),
    ...unless(config.ShmSize <= config.Memory, '/HostConfig/ShmSize', 'limit', 'must not exceed Memory'),
    ...unless(config.PidsLimit <= limits.pids, '/HostConfig/PidsLimit', 'limit', `must not exceed ${limits.pids}`),
    ...checkUlimits(config.Ulimits, limits.open_files),
    ...unless(
      Number.parseInt(size, 10) <= maxLogMib && Number(files) <= maxLogFiles,
      '/HostConfig/LogConfig/Config',
      'limit',
      `must not exceed ${maxLogFiles} files of ${maxLogMib}m`,
    ),
  ];
}

function checkUlimits(ulimits: ContainerRequest['HostConfig']['Ulimits'], openFiles: number): PathError[] {
  const errors = ulimits.flatMap(({ Name, Soft, Hard }, index) => {
    const [least, most] = Name === 'core' ? [0, 0] : [1, openFiles];
    const fine = Soft >= least && Soft <= Hard && Hard <= most;
    return unless(fine, `/HostConfig/Ulimits/${index}`, 'limit', `must be between ${least} and ${most}, soft to hard`);
  });
  const names = new Set(ulimits.map(({ Name }) => Name));
  return [...errors, ...unless(names.size === 2, '/HostConfig/Ulimits', 'limit', 'must set nofile and core')];
}

/** A runtime that stands for no sandbox could be any program of the host. */
function checkRuntime({ request, policy }: CheckContext): PathError[] {
  const offered = Object.values(policy.sandboxes);
  return unless(offered.includes(request.HostConfig.Runtime), '/HostConfig/Runtime', 'runtime', 'is no sandbox here');
}
