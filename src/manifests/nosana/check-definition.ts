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
import { checkTargets } from '../../policy/mounts.ts';
import { readImageName, registryHost } from '../image-name.ts';
import { each, ifSure, sure } from '../sure-parts.ts';
import { checkLiterals } from './check-literals.ts';
import { checkResources } from './check-resources.ts';
import type { JobDefinition, Op, RunArgs } from './definition.ts';
import { checkEnv } from './environment.ts';
import { groupNameOf, type OpOrder, orderOf } from './op-order.ts';
import { isAbsolute, mountPath } from './paths.ts';
import { exposedIn, maxPorts } from './ports.ts';
import { resourcesOf, targetOf } from './resources.ts';
import { readResultRegex } from './result-regex.ts';

/** Of all expressions of a definition: a moment of whoever reads it. */
const maxRegexSizes = 4 * maxRegexSize;

/** Every contradiction in a definition that its schema accepts, or in what is sure of one that it refuses. */
export function checkDefinition(definition: JobDefinition): readonly PathError[] {
  const { ops } = definition;
  const order = orderOf(definition);
  const tooLarge = checkRegexSizes(definition);
  return [
    ...each(ops, (op, index) => checkId(op, index, ops)),
    ...sure(() => checkMeta(definition)),
    ...sure(() =>
      definition.ssh === undefined
        ? []
        : [{ path: '/ssh', code: 'unsupported', message: 'asks for a login to the host, which no job gets here' }],
    ),
    ...sure(() => checkEnv(definition.global?.env ?? {}, '/global/env')),
    ...each(ops, (op, index) => checkOp(op, `/ops/${index}`, definition)),
    ...tooLarge,
    ...(tooLarge.length > 0 ? [] : each(ops, (op, index) => checkResults(op, `/ops/${index}/results`))),
    ...each(ops, (op, index) => checkOrder(op, `/ops/${index}/execution`, order)),
    ...sure(() => checkCycles(definition, order)),
    ...checkGroupSizes(definition),
    ...checkLiterals(definition, order),
  ];
}

function checkId({ id }: Op, index: number, ops: readonly Op[]): PathError[] {
  const path = `/ops/${index}/id`;
  if (!/^[^\s%\p{Cc}]+$/u.test(id)) {
    return [{ path, code: 'malformed_id', message: 'must be a name without white space and `%`' }];
  }
  const isTaken = Array.from({ length: index }, (_, other) => other).some(
    (other) => ifSure(() => ops[other]?.id) === id,
  );
  return isTaken ? [{ path, code: 'duplicate_id', message: 'is the id of an op before' }] : [];
}

/** Both spellings are in use. */
function checkMeta({ meta }: JobDefinition): readonly PathError[] {
  const differing = sure(() => {
    const { system_resources: one = {}, system_requirements: other = {} } = meta ?? {};
    return each(Object.keys(one), (key) =>
      Object.hasOwn(other, key) && String(one[key]) !== String(other[key])
        ? [
            {
              path: `/meta/system_requirements/${pointerToken(key)}`,
              code: 'contradiction',
              message: 'says something else than /meta/system_resources',
            },
          ]
        : [],
    );
  });
  const wrong = each(['system_resources', 'system_requirements'] as const, (name) => {
    const vram = meta?.[name]?.['required_vram'];
    return vram === undefined || /^\d{1,6}(\.\d+)?$/.test(String(vram))
      ? []
      : [{ path: `/meta/${name}/required_vram`, code: 'not_a_number', message: 'must be a number of GB' }];
  });
  return [...differing, ...wrong];
}

function checkOp(op: Op, path: string, definition: JobDefinition): readonly PathError[] {
  if (op.type === 'container/create-volume') {
    return op.results === undefined
      ? []
      : [{ path: `${path}/results`, code: 'no_log', message: 'cannot be: making a volume says nothing' }];
  }
  const { args } = op;
  return [
    ...sure(() => checkImage(args, `${path}/args/image`, definition)),
    ...sure(() => checkEnv(args.env ?? {}, `${path}/args/env`)),
    ...checkPaths(args, `${path}/args`),
    ...sure(() => checkPorts(args, `${path}/args`)),
    ...sure(() => checkAliases(args, `${path}/args/aliases`)),
    ...sure(() => checkAuthentication(args, definition, `${path}/args/authentication/docker`)),
    ...sure(() => checkResources(args, `${path}/args/resources`, definition)),
  ];
}

function checkImage({ image: own }: RunArgs, path: string, definition: JobDefinition): PathError[] {
  const image = own || definition.global?.image;
  if (!image) return [{ path, code: 'required', message: 'is missing, and there is none in /global/image' }];
  return image.includes('%%') || readImageName(image)
    ? []
    : [
        {
          path: own ? path : '/global/image',
          code: 'malformed_image',
          message: 'must be the name of an image, such as ghcr.io/owner/name:tag',
        },
      ];
}

function checkPaths(args: RunArgs, path: string): readonly PathError[] {
  const wrong = (at: string) => ({ path: at, code: 'not_absolute', message: 'must be an absolute path' });
  const judged = (text: string | undefined, at: string) => (text === undefined || isAbsolute(text) ? [] : [wrong(at)]);
  return [
    ...sure(() => each(args.volumes ?? [], ({ dest }, index) => judged(dest, `${path}/volumes/${index}/dest`))),
    ...sure(() => judged(args.work_dir, `${path}/work_dir`)),
    ...sure(() => judged(args.output, `${path}/output`)),
    ...checkMounts(args, path),
  ];
}

/** Where data is mounted, as a host judges it. Several resources may share a place, and an output may be a volume. */
function checkMounts(args: RunArgs, path: string): readonly PathError[] {
  const placed: { readonly target: string; readonly at: string }[] = [];
  const place = (target: string, at: string) => {
    // Whatever else is wrong with it is told already.
    if (target.startsWith('/')) placed.push({ target, at });
    return [];
  };
  sure(() => each(args.volumes ?? [], ({ dest }, index) => place(mountPath(dest), `${path}/volumes/${index}/dest`)));
  const volumes = new Set(placed.map(({ target }) => target));
  const fetched = new Set<string>();
  sure(() =>
    each(args.resources ?? [], (entry, index) => {
      const [known] = resourcesOf({ resources: [entry] });
      if (!known) return [];
      const target = targetOf(known.resource);
      if (fetched.has(target)) return [];
      fetched.add(target);
      return place(target, `${path}/resources/${index}${known.resource.target === undefined ? '' : '/target'}`);
    }),
  );
  sure(() => {
    const folder = args.output === undefined ? undefined : mountPath(args.output);
    return folder === undefined || volumes.has(folder) ? [] : place(folder, `${path}/output`);
  });
  const pathOf = (index: number) => placed[index]?.at ?? '';
  return checkTargets(
    placed.map(({ target }) => target),
    pathOf,
    { ofJob: true },
  );
}

function checkPorts(args: RunArgs, path: string): readonly PathError[] {
  const taken: { readonly first: number; readonly last: number }[] = [];
  const errors = each(exposedIn(args), (entry) => {
    const exposed = entry();
    if ('literal' in exposed) return [];
    const { path: at, first, last } = exposed;
    if (first < 1 || last > 65_535 || first > last) {
      return [{ path: path + at, code: 'port_range', message: 'must be ports from 1 to 65535, the lower one first' }];
    }
    if (taken.some((other) => first <= other.last && other.first <= last)) {
      return [{ path: path + at, code: 'duplicate_port', message: 'is exposed by another entry as well' }];
    }
    taken.push({ first, last });
    return [];
  });
  const count = taken.reduce((sum, { first, last }) => sum + last - first + 1, 0);
  return count > maxPorts
    ? [
        ...errors,
        { path: `${path}/expose`, code: 'too_many_ports', message: `must not be more than ${maxPorts} ports` },
      ]
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
  let sum = 0;
  each(ops, ({ results = {} }) =>
    each(Object.keys(results), (name) => {
      const size = regexSize(regexOf(results[name] as Result));
      // One that is too large by itself is not read, and is told of by its place.
      if (size <= maxRegexSize) sum += size;
      return [];
    }),
  );
  return sum <= maxRegexSizes
    ? []
    : [{ path: '/ops', code: 'regex', message: 'have results whose expressions are too long together' }];
}

type Result = NonNullable<Op['results']>[string];

function regexOf(result: Result): string {
  return typeof result === 'string' ? result : result.regex;
}

function checkResults({ results = {} }: Op, path: string): readonly PathError[] {
  return each(Object.keys(results), (name) => {
    const result = results[name] as Result;
    const read = readResultRegex(regexOf(result));
    const at = `${path}/${pointerToken(name)}`;
    return read.ok
      ? []
      : [{ path: typeof result === 'string' ? at : `${at}/regex`, code: 'regex', message: read.message }];
  });
}

/** A credential goes to the registry of the image and to no other. */
function checkAuthentication(args: RunArgs, definition: JobDefinition, path: string): readonly PathError[] {
  const account = args.authentication?.docker ?? {};
  const half = sure(() => {
    const { username, password } = account;
    if ((username === undefined) === (password === undefined)) return [];
    const lacks = username === undefined ? 'username' : 'password';
    return [{ path: `${path}/${lacks}`, code: 'required', message: 'is missing beside the other' }];
  });
  const other = sure(() => {
    const { server } = account;
    if (server === undefined) return [];
    const host = readImageName(args.image ?? definition.global?.image ?? '')?.host;
    return host === undefined || registryHost(server) === host
      ? []
      : [{ path: `${path}/server`, code: 'other_registry', message: 'is not the registry of the image' }];
  });
  return [...half, ...other];
}

function checkOrder(op: Op, path: string, order: OpOrder): readonly PathError[] {
  const waits = sure(() =>
    each(op.execution?.depends_on ?? [], (other, entry) => {
      const at = `${path}/depends_on/${entry}`;
      if (other === op.id) return [{ path: at, code: 'cycle', message: 'is the op itself' }];
      if (!order.opOf(other)) return [{ path: at, code: 'unknown_op', message: 'is the id of no op' }];
      const message = 'is an op of another group; groups wait for each other as they are';
      return order.groupOf(other) === order.groupOf(op.id) ? [] : [{ path: at, code: 'other_group', message }];
    }),
  );
  const serves = sure(() =>
    op.execution?.stop_if_dependent_stops && op.execution.depends_on === undefined
      ? [
          {
            path: `${path}/stop_if_dependent_stops`,
            code: 'required',
            message: 'says nothing without depends_on',
          },
        ]
      : [],
  );
  return [...waits, ...serves];
}

function checkCycles({ ops }: JobDefinition, order: OpOrder): readonly PathError[] {
  const cycles = order.cycles();
  return each(ops, ({ id }, index) => {
    const cycle = cycles.find((members) => members.includes(id));
    const message = `makes ops wait for each other for good: ${cycle?.join(', ')}`;
    return cycle?.[0] === id ? [{ path: `/ops/${index}/execution/depends_on`, code: 'cycle', message }] : [];
  });
}

/** Each container has an address on the network of the job. */
function checkGroupSizes({ ops }: JobDefinition): readonly PathError[] {
  const sizes = new Map<string, number>();
  return each(ops, (op, index) => {
    if (op.type !== 'container/run') return [];
    const group = groupNameOf(op);
    const size = (sizes.get(group) ?? 0) + 1;
    sizes.set(group, size);
    const message = `makes a group of more than ${maxTogether} containers`;
    return size > maxTogether ? [{ path: `/ops/${index}/execution/group`, code: 'too_many_together', message }] : [];
  });
}
