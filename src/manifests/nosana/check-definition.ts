/**
 * Holds the parts of a job definition against each other: what its shape cannot say. Pure; every fault is reported.
 *
 * The network that the format comes from accepts most of this and then runs nothing, or fails half-way; here it is told to
 * the author at once.
 */
import { maxTogether } from '../../contract/job-plan.ts';
import { pointerToken } from '../../contract/pointer.ts';
import { maxRegexSize, regexSize } from '../../contract/regex-size.ts';
import type { PathError } from '../../contract/validate.ts';
import { readImageName, registryHost } from '../image-name.ts';
import { checkLiterals } from './check-literals.ts';
import { checkResources } from './check-resources.ts';
import type { JobDefinition, Op, RunArgs } from './definition.ts';
import { checkEnv } from './environment.ts';
import { type OpOrder, orderOf } from './op-order.ts';
import { isAbsolute } from './paths.ts';
import { exposedBy, maxPorts } from './ports.ts';
import { readResultRegex } from './result-regex.ts';

/** Of all expressions of a definition: a moment of whoever reads it. */
const maxRegexSizes = 4 * maxRegexSize;

/** Every contradiction in a definition that its schema accepts. */
export function checkDefinition(definition: JobDefinition): PathError[] {
  const tooLarge = checkRegexSizes(definition);
  if (tooLarge.length > 0) return tooLarge;
  const ids = checkIds(definition);
  return [
    ...ids,
    ...checkMeta(definition),
    ...(definition.ssh === undefined
      ? []
      : [{ path: '/ssh', code: 'unsupported', message: 'asks for a login to the host, which no job gets here' }]),
    ...checkEnv(definition.global?.env ?? {}, '/global/env'),
    ...definition.ops.flatMap((op, index) => checkOp(op, `/ops/${index}`, definition)),
    // What depends on what can only be told where each op has a name of its own.
    ...(ids.length > 0 ? [] : [...checkOrder(definition), ...checkLiterals(definition)]),
  ];
}

function checkIds({ ops }: JobDefinition): PathError[] {
  return ops.flatMap(({ id }, index) => {
    const path = `/ops/${index}/id`;
    if (!/^[^\s%\p{Cc}]+$/u.test(id)) {
      return [{ path, code: 'malformed_id', message: 'must be a name without white space and `%`' }];
    }
    return ops.findIndex((other) => other.id === id) < index
      ? [{ path, code: 'duplicate_id', message: 'is the id of an op before' }]
      : [];
  });
}

/** Both spellings are in use. */
function checkMeta({ meta }: JobDefinition): PathError[] {
  const { system_resources: one = {}, system_requirements: other = {} } = meta ?? {};
  const differing = Object.keys(one)
    .filter((key) => Object.hasOwn(other, key) && String(one[key]) !== String(other[key]))
    .map((key) => ({
      path: `/meta/system_requirements/${pointerToken(key)}`,
      code: 'contradiction',
      message: 'says something else than /meta/system_resources',
    }));
  const wrong = Object.entries({ system_resources: one, system_requirements: other }).flatMap(([name, resources]) => {
    const vram = resources['required_vram'];
    return vram === undefined || /^\d{1,6}(\.\d+)?$/.test(String(vram))
      ? []
      : [{ path: `/meta/${name}/required_vram`, code: 'not_a_number', message: 'must be a number of GB' }];
  });
  return [...differing, ...wrong];
}

function checkOp(op: Op, path: string, { global }: JobDefinition): PathError[] {
  if (op.type === 'container/create-volume') {
    return op.results === undefined
      ? []
      : [{ path: `${path}/results`, code: 'no_log', message: 'cannot be: making a volume says nothing' }];
  }
  const { args } = op;
  return [
    ...checkImage(
      args.image || global?.image,
      args.image ? `${path}/args/image` : '/global/image',
      `${path}/args/image`,
    ),
    ...checkEnv(args.env ?? {}, `${path}/args/env`),
    ...checkPaths(args, `${path}/args`),
    ...checkPorts(args, `${path}/args`),
    ...checkAliases(args, `${path}/args/aliases`),
    ...checkResults(op, `${path}/results`),
    ...checkAuthentication(args, args.image ?? global?.image ?? '', `${path}/args/authentication/docker`),
    ...checkResources(args, `${path}/args/resources`),
  ];
}

function checkImage(image: string | undefined, written: string, missing: string): PathError[] {
  if (!image) return [{ path: missing, code: 'required', message: 'is missing, and there is none in /global/image' }];
  return image.includes('%%') || readImageName(image)
    ? []
    : [
        {
          path: written,
          code: 'malformed_image',
          message: 'must be the name of an image, such as ghcr.io/owner/name:tag',
        },
      ];
}

function checkPaths({ volumes = [], work_dir: workDir }: RunArgs, path: string): PathError[] {
  const wrong = (at: string) => ({ path: at, code: 'not_absolute', message: 'must be an absolute path' });
  return [
    ...volumes.flatMap(({ dest }, index) => (isAbsolute(dest) ? [] : [wrong(`${path}/volumes/${index}/dest`)])),
    ...(workDir === undefined || isAbsolute(workDir) ? [] : [wrong(`${path}/work_dir`)]),
  ];
}

function checkPorts(args: RunArgs, path: string): PathError[] {
  const { ranges } = exposedBy(args);
  const errors: PathError[] = [];
  let count = 0;
  for (const [index, { path: at, first, last }] of ranges.entries()) {
    count += last - first + 1;
    if (first < 1 || last > 65_535 || first > last) {
      errors.push({
        path: path + at,
        code: 'port_range',
        message: 'must be ports from 1 to 65535, the lower one first',
      });
    } else if (ranges.slice(0, index).some((other) => first <= other.last && other.first <= last)) {
      errors.push({ path: path + at, code: 'duplicate_port', message: 'is exposed by another entry as well' });
    }
  }
  return count > maxPorts && errors.length === 0
    ? [{ path: `${path}/expose`, code: 'too_many_ports', message: `must not be more than ${maxPorts} ports` }]
    : errors;
}

const hostName = /^[a-zA-Z0-9]([a-zA-Z0-9.-]{0,61}[a-zA-Z0-9])?$/;

function checkAliases({ aliases = [] }: RunArgs, path: string): PathError[] {
  return aliasesOf(aliases).every((name) => hostName.test(name))
    ? []
    : [{ path, code: 'malformed_name', message: 'must be host names of letters, digits, dots and dashes' }];
}

/** A text holds several, separated by commas. */
export function aliasesOf(aliases: NonNullable<RunArgs['aliases']>): readonly string[] {
  const names = typeof aliases === 'string' ? aliases.split(',') : aliases;
  return names.map((name) => name.trim()).filter((name) => name !== '');
}

/** Before any of them is read: reading them takes time like that. */
function checkRegexSizes({ ops }: JobDefinition): PathError[] {
  const regexes = ops.flatMap(({ results = {} }) =>
    Object.values(results).map((result) => (typeof result === 'string' ? result : result.regex)),
  );
  // One that is too large by itself is not read, and is told of by its place.
  const sizes = regexes.map(regexSize).filter((size) => size <= maxRegexSize);
  return sizes.reduce((sum, size) => sum + size, 0) <= maxRegexSizes
    ? []
    : [{ path: '/ops', code: 'regex', message: 'have results whose expressions are too long together' }];
}

function checkResults({ results = {} }: Op, path: string): PathError[] {
  return Object.entries(results).flatMap(([name, result]) => {
    const at = `${path}/${pointerToken(name)}`;
    const [text, place] = typeof result === 'string' ? [result, at] : [result.regex, `${at}/regex`];
    const read = readResultRegex(text);
    return read.ok ? [] : [{ path: place, code: 'regex', message: read.message }];
  });
}

/** A credential goes to the registry of the image and to no other. */
function checkAuthentication({ authentication }: RunArgs, image: string, path: string): PathError[] {
  const { username, password, server } = authentication?.docker ?? {};
  if ((username === undefined) !== (password === undefined)) {
    const lacks = username === undefined ? 'username' : 'password';
    return [{ path: `${path}/${lacks}`, code: 'required', message: 'is missing beside the other' }];
  }
  const host = readImageName(image)?.host;
  return server === undefined || host === undefined || registryHost(server) === host
    ? []
    : [{ path: `${path}/server`, code: 'other_registry', message: 'is not the registry of the image' }];
}

function checkOrder(definition: JobDefinition): PathError[] {
  const order = orderOf(definition);
  const known = new Set(definition.ops.map(({ id }) => id));
  const errors = definition.ops.flatMap(({ id, execution }, index) =>
    (execution?.depends_on ?? []).flatMap((other, entry) => {
      const path = `/ops/${index}/execution/depends_on/${entry}`;
      if (!known.has(other)) return [{ path, code: 'unknown_op', message: 'is the id of no op' }];
      if (other === id) return [{ path, code: 'cycle', message: 'is the op itself' }];
      return order.groupOf(other) === order.groupOf(id)
        ? []
        : [{ path, code: 'other_group', message: 'is an op of another group; groups wait for each other as they are' }];
    }),
  );
  const serving = definition.ops.flatMap(({ execution }, index) =>
    execution?.stop_if_dependent_stops && execution.depends_on === undefined
      ? [
          {
            path: `/ops/${index}/execution/stop_if_dependent_stops`,
            code: 'required',
            message: 'says nothing without depends_on',
          },
        ]
      : [],
  );
  const { cycle } = order;
  const first = definition.ops.findIndex(({ id }) => id === cycle[0]);
  const turning =
    errors.length > 0 || first === -1
      ? []
      : [
          {
            path: `/ops/${first}/execution/depends_on`,
            code: 'cycle',
            message: `makes ops wait for each other for good: ${cycle.join(', ')}`,
          },
        ];
  return [...errors, ...serving, ...turning, ...checkGroupSizes(definition, order)];
}

/** Each container has an address on the network of the job. */
function checkGroupSizes({ ops }: JobDefinition, { groups, groupOf }: OpOrder): PathError[] {
  return groups.flatMap((group) => {
    const members = ops.flatMap(({ id, type }, index) =>
      type === 'container/run' && groupOf(id) === group ? [index] : [],
    );
    const surplus = members[maxTogether];
    return surplus === undefined
      ? []
      : [
          {
            path: `/ops/${surplus}/execution/group`,
            code: 'too_many_together',
            message: `makes a group of more than ${maxTogether} containers`,
          },
        ];
  });
}
