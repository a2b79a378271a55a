/**
 * Configuration of agent and gate: one file, checked by schema, with an environment variable for every value.
 *
 * Precedence is environment, file, default. Each effective value remembers where it came from, so that an operator is
 * never left guessing which of the three won.
 */
import { hostname } from 'node:os';
import { type Static, type TSchema, Type } from 'typebox';
import { AgentError } from '../contract/failures.ts';
import { identifierPattern } from '../contract/identifiers.ts';
import { judge } from '../contract/validate.ts';
import { pluginFolders } from '../host/compose.ts';
import { findUser, type HostUser } from '../host/user.ts';
import { HostPolicy } from '../policy/host-policy.ts';
import { subnetsOf } from '../policy/network-request.ts';
import { SpelledOutUser } from './allocation-user.ts';
import {
  defaultsOf,
  isObject,
  type JsonObject,
  merge,
  nest,
  parseValue,
  type Variable,
  variablesOf,
} from './config-layers.ts';
import { invalid, missing, plainErrors, type Sources } from './config-refusals.ts';
import { hostPath } from './host-path.ts';
import { readDocument } from './read-document.ts';
import { UpdateConfig } from './update/update-config.ts';

const closed = { additionalProperties: false } as const;

const policy = HostPolicy.properties;

function withDefault<S extends TSchema>(schema: S, value: Static<S>): S {
  return { ...schema, default: value };
}

export const AgentConfig = Type.Object(
  {
    node_id: Type.String({
      pattern: identifierPattern,
      description: "Name of this host. Default: the machine's host name.",
    }),
    state_dir: hostPath('/var/lib/gpuaas-node-agent', 'What the agent must not lose: identity, task logs. Mode 0700.'),
    run_dir: hostPath('/run/gpuaas-node-agent', 'Sockets of the agent; may be empty after a boot.'),
    log_level: Type.Enum(['debug', 'info', 'warn', 'error'], {
      default: 'info',
      description: 'Least severe log line.',
    }),
    allocation: Type.Object(
      {
        id: Type.String({ pattern: identifierPattern, description: 'The allocation this host serves.' }),
        user: Type.Union(
          [Type.String({ minLength: 1, maxLength: 256, description: 'Name of a user of this host.' }), SpelledOutUser],
          { description: 'User that workloads run as and whose home holds their data. Never root.' },
        ),
      },
      { ...closed, description: 'Allocation and its user.' },
    ),
    gate: Type.Object(
      {
        socket: hostPath('/run/gpuaas-node-agent-gate/gate.sock', 'Where the gate listens.'),
        state_dir: hostPath(
          '/var/lib/gpuaas-node-agent-gate',
          "The gate's key. Mode 0700, apart from the agent's state.",
        ),
        engine_socket: hostPath('/var/run/docker.sock', "The engine's socket. Only the gate opens it."),
        socket_gid: Type.Optional(
          Type.Integer({
            minimum: 1,
            maximum: 4294967294,
            description: "Group that may connect to the gate: the agent's own. Absent: only the user the gate runs as.",
          }),
        ),
      },
      { ...closed, default: {}, description: 'The engine gate.' },
    ),
    stacks: Type.Object(
      {
        plugin_folders: Type.Array(Type.String({ pattern: '^/[^\\u0000]*[^/\\u0000]$' }), {
          default: [...pluginFolders],
          description: 'Folders where the Compose plugin is looked for, in this order.',
        }),
      },
      { ...closed, default: {}, description: 'What stacks are run with.' },
    ),
    control_plane: Type.Optional(
      Type.Object(
        {
          url: Type.Optional(
            Type.String({
              maxLength: 256,
              pattern: '^https?://[^/?#@\\s]+/?$',
              description: 'Origin of the control plane. Absent: the one that the host was enrolled with; else none.',
            }),
          ),
          ca_file: Type.Optional(
            Type.String({
              pattern: '^/[^\\u0000]*[^/\\u0000]$',
              description: "PEM of the only CA to trust. Absent: the one learnt at enrolment, else the system's.",
            }),
          ),
        },
        { ...closed, description: 'Where tasks come from.' },
      ),
    ),
    tasks: Type.Object(
      {
        parallel: Type.Integer({
          minimum: 1,
          maximum: 64,
          default: 4,
          description: 'Tasks that change something and are at work at once; those of one workload never are.',
        }),
      },
      { ...closed, default: {}, description: 'How tasks are carried out.' },
    ),
    registries: withDefault(policy.registries, []),
    local_images: withDefault(policy.local_images, []),
    builds: policy.builds,
    payloads: policy.payloads,
    caches: policy.caches,
    service_idle_seconds: policy.service_idle_seconds,
    project_storage: withDefault(policy.project_storage, false),
    network_pool: withDefault(policy.network_pool, '10.213.0.0/20'),
    approved_engines: withDefault(policy.approved_engines, ['docker']),
    sandboxes: withDefault(policy.sandboxes, { runc: 'runc' }),
    gvisor_cards: policy.gvisor_cards,
    reserves: withDefault(policy.reserves, { cpu_cores: 0, memory_gib: 1, disk_gib: 2 }),
    limits: withDefault(policy.limits, { pids: 4096, open_files: 16384 }),
    secrets_dir: withDefault(policy.secrets_dir, '/run/gpuaas-node-agent-gate/secrets'),
    inputs: withDefault(policy.inputs, {
      ...{ dir: '/var/lib/gpuaas-node-agent-inputs', max_gib: 200, max_age_hours: 168 },
      ...{ allow: [], endpoints: {} },
    }),
    egress: policy.egress,
    task_logs: Type.Object(
      {
        max_size_mib: Type.Integer({ minimum: 1, maximum: 1024, default: 8, description: 'Size of one task log.' }),
        max_tasks: Type.Integer({
          minimum: 1,
          maximum: 100000,
          default: 500,
          description: 'Task logs kept; oldest go first.',
        }),
      },
      { ...closed, default: {}, description: 'Structured task logs on disk.' },
    ),
    gpus: Type.Object(
      {
        interval_seconds: Type.Integer({
          minimum: 1,
          maximum: 3600,
          default: 60,
          description: 'Time between two looks at the cards, on a host that has a driver for any.',
        }),
        kernel_log: hostPath('/dev/kmsg', "Where the kernel's messages are read, for what its drivers say of cards."),
      },
      { ...closed, default: {}, description: 'How the cards of the host are looked after.' },
    ),
    updates: UpdateConfig,
    telemetry: Type.Object(
      {
        port: Type.Integer({
          minimum: 0,
          maximum: 65535,
          default: 9464,
          description: 'Port on 127.0.0.1 for /metrics, /healthz and /readyz; 0: none.',
        }),
        interval_seconds: Type.Integer({
          minimum: 1,
          maximum: 3600,
          default: 15,
          description: 'Time between two samples while a workload runs.',
        }),
      },
      { ...closed, default: {}, description: 'Metrics and health.' },
    ),
  },
  { ...closed, description: 'Configuration of node-agent: /etc/gpuaas-node-agent/agent.json.' },
);
export type AgentConfig = Static<typeof AgentConfig>;

export const defaultConfigFile = '/etc/gpuaas-node-agent/agent.json';

/** The file that is read: the one that is named, by option or variable, or the usual one. */
export function configFileOf(file: string | undefined, env: NodeJS.ProcessEnv): string {
  return file ?? env['GPUAAS_AGENT_CONFIG'] ?? defaultConfigFile;
}

export interface LoadedConfig {
  /** Where it was looked for; it need not be there. */
  readonly file: string;
  readonly config: AgentConfig;
  /** JSON pointer of each leaf → `default`, `file /etc/…` or `env GPUAAS_AGENT_…`. */
  readonly sources: Sources;
}

/** Runtimes that engines and their toolkits register under names of their own. */
const otherRuntimes: ReadonlySet<string> = new Set(['runc', 'crun', 'youki', 'nvidia', 'nvidia-cdi', 'nvidia-legacy']);

/** Reads file and environment; `config.invalid` with every wrong path at once. */
export async function loadConfig(file: string | undefined, env: NodeJS.ProcessEnv): Promise<LoadedConfig> {
  const named = file ?? env['GPUAAS_AGENT_CONFIG'];
  const chosen = configFileOf(file, env);
  const sources: Record<string, string> = {};
  const config: JsonObject = {};

  const { sandboxes, ...defaults } = defaultsOf(AgentConfig);
  merge(config, { node_id: hostname().replaceAll(/[^a-zA-Z0-9_-]/g, '-'), ...defaults }, 'default', sources);
  const content = await readConfigFile(chosen, named !== undefined);
  merge(config, content ?? {}, `file ${chosen}`, sources);
  for (const { name, keys, schema } of variablesOf(AgentConfig)) {
    const value = env[name];
    if (value !== undefined) {
      merge(config, nest(keys, parseValue(value, schema)), `env ${name}`, sources);
    }
  }

  if (!Object.hasOwn(config, 'sandboxes')) {
    // A list of what is allowed: giving one replaces the default, it does not add to it.
    merge(config, { sandboxes }, 'default', sources);
  }

  refuseUnknownVariables(env);
  const judged = judge(AgentConfig, config);
  if (!judged.ok) {
    const errors = plainErrors(judged.errors, config);
    const isFirstContact = content === undefined && !Object.hasOwn(config, 'allocation');
    throw isFirstContact ? missing(errors, sources, chosen) : invalid(errors, sources, chosen);
  }
  const { gvisor } = judged.value.sandboxes;
  if (gvisor !== undefined && otherRuntimes.has(gvisor)) {
    const message = `is the runtime ${gvisor}, which is not gVisor`;
    throw invalid([{ path: '/sandboxes/gvisor', code: 'other_runtime', message }], sources, chosen);
  }
  if (!isPool(judged.value.network_pool)) {
    const error = { path: '/network_pool', code: 'range', message: 'must begin at its own first address' };
    throw invalid([error], sources, chosen);
  }
  return { file: chosen, config: judged.value, sources };
}

/** The part of the configuration that decides what may run, with the user looked up. Shared by agent and gate. */
export async function hostPolicyOf({ config, sources }: LoadedConfig): Promise<HostPolicy> {
  const user = await userOf(config, sources);
  const said = Object.keys(policy).map((key) => [key, config[key as keyof HostPolicy]] as const);
  const judged = judge(HostPolicy, {
    ...Object.fromEntries(said.filter(([, value]) => value !== undefined)),
    allocation: { id: config.allocation.id, uid: user.uid, gid: user.gid, home: user.home },
  });
  if (!judged.ok) {
    throw invalid(judged.errors, sources);
  }
  return judged.value;
}

async function userOf({ allocation: { user } }: AgentConfig, sources: Sources): Promise<HostUser> {
  const path = '/allocation/user';
  if (typeof user !== 'string') {
    return user;
  }
  let found: HostUser;
  try {
    found = await findUser(user);
  } catch (error) {
    if (error instanceof AgentError && error.code === 'config.invalid') {
      const message = `${JSON.stringify(user)} is not a user of this host`;
      throw invalid([{ path, code: 'unknown_user', message }], sources, undefined, error);
    }
    throw error;
  }
  if (found.uid === 0 || found.gid === 0) {
    const message = `must not be root, and ${user} has uid ${found.uid} and gid ${found.gid}`;
    throw invalid([{ path, code: 'root', message }], sources);
  }
  return found;
}

function isPool(pool: string): boolean {
  try {
    return subnetsOf(pool).next().done !== true;
  } catch (error) {
    if (error instanceof AgentError) {
      return false;
    }
    throw error;
  }
}

/** Undefined where there is no file and none was asked for. */
async function readConfigFile(file: string, required: boolean): Promise<JsonObject | undefined> {
  let value: unknown;
  try {
    value = await readDocument(file, { mayBeQuoted: true, failure: 'config.invalid' });
  } catch (error) {
    if (!required && error instanceof AgentError && isAbsent(error)) {
      return undefined;
    }
    throw error;
  }
  if (!isObject(value)) {
    throw new AgentError('config.invalid', { reason: `${file} must hold one JSON object.`, file });
  }
  return value;
}

function isAbsent({ cause }: Error): boolean {
  return cause instanceof Error && (cause as NodeJS.ErrnoException).code === 'ENOENT';
}

/** The variables that this configuration knows, with what each sets. */
export function configVariables(): readonly Variable[] {
  return variablesOf(AgentConfig);
}

function refuseUnknownVariables(env: NodeJS.ProcessEnv): void {
  const known = new Set(['GPUAAS_AGENT_CONFIG', ...variablesOf(AgentConfig).map(({ name }) => name)]);
  const unknown = Object.keys(env).filter((name) => name.startsWith('GPUAAS_AGENT_') && !known.has(name));
  if (unknown.length > 0) {
    throw new AgentError('config.invalid', {
      reason: `Unknown environment variable ${unknown.join(', ')}.`,
      errors: unknown.map((name) => ({ path: '', code: 'unknown_variable', message: `${name} sets nothing` })),
    });
  }
}
