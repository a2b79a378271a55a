/**
 * Holds the fields of a profile against each other: what the schema cannot say. Pure; every fault is reported.
 *
 * Container paths, environment and readiness are judged by the same policy that judges a launch on the host, so that a
 * manifest that is accepted here is not refused there.
 */
import { type PathError, pointerToken } from '../../contract/validate.ts';
import { checkEnvironment } from '../../policy/environment.ts';
import { checkMounts } from '../../policy/mounts.ts';
import { checkParameters } from './check-parameters.ts';
import { checkUi } from './check-ui.ts';
import { authOf } from './endpoint-auth.ts';
import type { WorkloadProfile } from './profile.ts';

/** Every contradiction in a profile that its schema accepts. */
export function checkProfile(profile: WorkloadProfile): PathError[] {
  return [
    ...checkArtifacts(profile),
    ...checkParameters(profile),
    ...checkUi(profile),
    ...checkStorage(profile),
    ...checkEndpoints(profile),
    ...checkExecution(profile),
    ...checkOutputs(profile),
    ...checkReadiness(profile),
  ];
}

/** What is accepted and probably not meant. */
export function warnAbout(profile: WorkloadProfile): PathError[] {
  const { artifacts, network, parameters, resources } = profile;
  const unpinned = Object.entries(artifacts)
    .filter(([, { digest_required }]) => !digest_required)
    .map(([name]) => ({
      path: `/artifacts/${name}/digest_required`,
      code: 'always_pinned',
      message: 'has no effect: nothing runs that is not pinned by digest',
    }));
  const open = (network?.endpoints ?? []).flatMap((endpoint, index) =>
    authOf(profile, endpoint).mode === 'none'
      ? [
          {
            path: `/network/endpoints/${index}/auth`,
            code: 'no_auth_endpoint',
            message: 'the platform makes no token for it: whoever reaches the port on the host is let in',
          },
        ]
      : [],
  );
  const count = parameters.schema.properties['gpu_count']?.default;
  const other = resources?.gpu?.default_count;
  const differing =
    count !== undefined && other !== undefined && count !== other
      ? [
          {
            path: '/resources/gpu/default_count',
            code: 'unused',
            message: 'differs from the default of gpu_count, which wins',
          },
        ]
      : [];
  return [...unpinned, ...open, ...differing];
}

function checkArtifacts({ artifacts }: WorkloadProfile): PathError[] {
  return Object.hasOwn(artifacts, 'primary_image')
    ? []
    : [{ path: '/artifacts/primary_image', code: 'required', message: 'is missing' }];
}

function checkStorage({ storage, execution }: WorkloadProfile): PathError[] {
  const mounts = storage?.mounts ?? [];
  const asMounted = mounts.map(({ name, path, modes: [mode = 'scratch'] }) => ({ name, path, mode, read_only: false }));
  return [
    ...repeated(mounts, 'name', '/storage/mounts'),
    ...below('/storage', checkMounts(asMounted)).filter(({ code }) => code !== 'repeated'),
    ...below('/execution', checkEnvironment(execution.container_env ?? {}, '/container_env')),
  ];
}

function checkEndpoints({ network, execution }: WorkloadProfile): PathError[] {
  const endpoints = network?.endpoints ?? [];
  const uselessAuth = endpoints.flatMap(({ auth, protocol }, index) =>
    auth?.mode === 'generated_token' && auth.url_query !== undefined && protocol !== 'http'
      ? [
          {
            path: `/network/endpoints/${index}/auth/url_query`,
            code: 'protocol',
            message: 'is for http endpoints only',
          },
        ]
      : [],
  );
  const variables = endpoints.flatMap(({ auth }, index) => {
    const name = auth?.token_file_env;
    if (name === undefined) return [];
    const path = `/network/endpoints/${index}/auth/token_file_env`;
    return Object.hasOwn(execution.container_env ?? {}, name)
      ? [{ path, code: 'repeated', message: 'is in container_env as well' }]
      : checkEnvironment({ [name]: '' }, '').map(({ code, message }) => ({ path, code, message }));
  });
  return [
    ...repeated(endpoints, 'name', '/network/endpoints'),
    ...repeated(endpoints, 'port', '/network/endpoints'),
    ...uselessAuth,
    ...variables,
  ];
}

function checkExecution({ execution, network, storage }: WorkloadProfile): PathError[] {
  const { default_engine: engine, supported_engines: engines, compose } = execution;
  const errors = repeated(engines, 'engine', '/execution/supported_engines');
  if (engines.find((one) => one.engine === engine)?.status !== 'active') {
    errors.push({
      path: '/execution/default_engine',
      code: 'engine_not_active',
      message: 'must be one of supported_engines with status active',
    });
  }
  if (engine === 'docker_compose' && !compose) {
    errors.push({ path: '/execution/compose', code: 'required', message: 'is missing: it says how the stack is made' });
  }
  const services = compose?.topology.services ?? [];
  const endpoints = new Set((network?.endpoints ?? []).map(({ name }) => name));
  const mounts = new Set((storage?.mounts ?? []).map(({ name }) => name));
  const at = '/execution/compose/topology/services';
  return [
    ...errors,
    ...repeated(services, 'name', at),
    ...services.flatMap((service, index) => [
      ...undeclared(service.endpoints ?? [], endpoints, `${at}/${index}/endpoints`, 'endpoint'),
      ...undeclared(service.mounts ?? [], mounts, `${at}/${index}/mounts`, 'mount'),
    ]),
  ];
}

function checkOutputs({ outputs, network }: WorkloadProfile): PathError[] {
  const endpoints = new Set((network?.endpoints ?? []).map(({ name }) => name));
  const dangling = (outputs?.endpoints ?? []).flatMap(({ source }, index) =>
    endpoints.has(source.replace('network.endpoints.', ''))
      ? []
      : [{ path: `/outputs/endpoints/${index}/source`, code: 'undeclared', message: 'names no declared endpoint' }],
  );
  return [
    ...dangling,
    ...repeated(outputs?.endpoints ?? [], 'name', '/outputs/endpoints'),
    ...repeated(outputs?.commands ?? [], 'name', '/outputs/commands'),
  ];
}

function checkReadiness({ validation, network }: WorkloadProfile): PathError[] {
  const checks = validation?.readiness ?? [];
  const wrong = checks.flatMap(({ endpoint, path }, index) => {
    const declared = network?.endpoints.find(({ name }) => name === endpoint);
    const at = `/validation/readiness/${index}`;
    if (!declared) return [{ path: `${at}/endpoint`, code: 'undeclared', message: 'is not a declared endpoint' }];
    if (declared.protocol !== 'http') {
      return [
        { path: `${at}/type`, code: 'protocol', message: `asks ${endpoint} over http, which is declared as tcp` },
      ];
    }
    return path.startsWith('//') || path.includes('\\')
      ? [{ path: `${at}/path`, code: 'other_host', message: 'must not begin with `//` or hold a backslash' }]
      : [];
  });
  return [
    ...wrong,
    ...repeated(checks, 'name', '/validation/readiness'),
    ...repeated(validation?.smoke ?? [], 'name', '/validation/smoke'),
  ];
}

function undeclared(names: readonly string[], known: ReadonlySet<string>, path: string, what: string): PathError[] {
  return names.flatMap((name, index) =>
    known.has(name) ? [] : [{ path: `${path}/${index}`, code: 'undeclared', message: `is not a declared ${what}` }],
  );
}

/** Every entry whose `key` an earlier entry has already. */
export function repeated<K extends string>(
  list: readonly { readonly [key in K]: string | number }[],
  key: K,
  path: string,
): PathError[] {
  const firstOf = new Map<string | number, number>();
  return list.flatMap((entry, index) => {
    const first = firstOf.get(entry[key]);
    firstOf.set(entry[key], first ?? index);
    return first === undefined
      ? []
      : [
          {
            path: `${path}/${index}/${pointerToken(key)}`,
            code: 'repeated',
            message: `is already that of ${path}/${first}`,
          },
        ];
  });
}

function below(prefix: string, errors: readonly PathError[]): PathError[] {
  return errors.map(({ path, code, message }) => ({
    path: `${prefix}${path}`,
    code,
    message: message.replaceAll('/mounts/', `${prefix}/mounts/`),
  }));
}
