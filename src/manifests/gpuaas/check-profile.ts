/**
 * Holds the fields of a profile against each other: what the schema cannot say. Pure; every fault is reported.
 *
 * Container paths, environment and readiness are judged by the same policy that judges a launch on the host, so that a
 * manifest that is accepted here is not refused there.
 */
import type { PathError } from '../../contract/validate.ts';
import { checkEnvironment } from '../../policy/environment.ts';
import { checkMounts } from '../../policy/mounts.ts';
import { checkChoices } from './check-choices.ts';
import { checkParameters } from './check-parameters.ts';
import { checkStack } from './check-stack.ts';
import { checkUi } from './check-ui.ts';
import { authOf } from './endpoint-auth.ts';
import {
  asksFor,
  controlPlaneVariable,
  isPlatformSecret,
  platformSecretNames,
  platformSecrets,
} from './platform-secrets.ts';
import type { WorkloadProfile } from './profile.ts';
import { repeated } from './repeated.ts';

/** Every contradiction in a profile that its schema accepts. */
export function checkProfile(profile: WorkloadProfile): PathError[] {
  return [
    ...checkArtifacts(profile),
    ...checkParameters(profile),
    ...checkChoices(profile),
    ...checkUi(profile),
    ...checkStorage(profile),
    ...checkEndpoints(profile),
    ...checkSecretVariables(profile),
    ...checkExecution(profile),
    ...checkStack(profile),
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

function checkEndpoints({ network }: WorkloadProfile): PathError[] {
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
  return [
    ...repeated(endpoints, 'name', '/network/endpoints'),
    ...repeated(endpoints, 'port', '/network/endpoints'),
    ...uselessAuth,
  ];
}

function checkExecution({ execution }: WorkloadProfile): PathError[] {
  const { default_engine: engine, supported_engines: engines } = execution;
  const isActive = engines.find((one) => one.engine === engine)?.status === 'active';
  return [
    ...repeated(engines, 'engine', '/execution/supported_engines'),
    ...(isActive
      ? []
      : [
          {
            path: '/execution/default_engine',
            code: 'engine_not_active',
            message: 'must be one of supported_engines with status active',
          },
        ]),
  ];
}

/** Those that the platform sets where the wizard asks for what they name. */
function platformVariables(profile: WorkloadProfile): string[] {
  const asked = platformSecretNames.filter((name) => asksFor(profile, name) !== undefined);
  return [
    ...asked.map((name) => platformSecrets[name].env),
    ...(asked.includes('service_account_token') ? [controlPlaneVariable] : []),
  ];
}

/** Variables that tell of secrets: none is taken already, and a host would accept each. */
function checkSecretVariables(profile: WorkloadProfile): PathError[] {
  const { network, parameters, execution } = profile;
  const secrets = parameters.secrets ?? [];
  const told = [
    ...(network?.endpoints ?? []).flatMap(({ auth }, index) => [
      { path: `/network/endpoints/${index}/auth/token_file_env`, name: auth?.token_file_env },
      { path: `/network/endpoints/${index}/auth/token_env`, name: auth?.token_env },
    ]),
    ...secrets.map(({ file_env }, index) => ({ path: `/parameters/secrets/${index}/file_env`, name: file_env })),
    ...platformVariables(profile).map((name) => ({ path: '/parameters/ui/launch_wizard', name })),
  ].flatMap(({ path, name }) => (name === undefined ? [] : [{ path, name }]));
  const wrong = told.flatMap(({ path, name }, index) => {
    if (Object.hasOwn(execution.container_env ?? {}, name)) {
      return [{ path, code: 'repeated', message: 'is in container_env as well' }];
    }
    if (told.findIndex((one) => one.name === name) < index) {
      return [{ path, code: 'repeated', message: 'tells of another secret already' }];
    }
    return checkEnvironment({ [name]: '' }, '').map(({ code, message }) => ({ path, code, message }));
  });
  const reserved = secrets.flatMap(({ name }, index) =>
    isPlatformSecret(name)
      ? [{ path: `/parameters/secrets/${index}/name`, code: 'reserved', message: 'is a name of the platform' }]
      : [],
  );
  return [...wrong, ...repeated(secrets, 'name', '/parameters/secrets'), ...reserved];
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
  const wrong = checks.flatMap(({ endpoint, path, bearer_env: bearer }, index) => {
    const declared = network?.endpoints.find(({ name }) => name === endpoint);
    const at = `/validation/readiness/${index}`;
    if (!declared) return [{ path: `${at}/endpoint`, code: 'undeclared', message: 'is not a declared endpoint' }];
    if (declared.protocol !== 'http') {
      return [
        { path: `${at}/type`, code: 'protocol', message: `asks ${endpoint} over http, which is declared as tcp` },
      ];
    }
    if (bearer !== undefined && bearer !== declared.auth?.token_env) {
      return [{ path: `${at}/bearer_env`, code: 'undeclared', message: `is not the token_env of ${endpoint}` }];
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

function below(prefix: string, errors: readonly PathError[]): PathError[] {
  return errors.map(({ path, code, message }) => ({
    path: `${prefix}${path}`,
    code,
    message: message.replaceAll('/mounts/', `${prefix}/mounts/`),
  }));
}
