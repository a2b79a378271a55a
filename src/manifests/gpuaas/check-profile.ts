/**
 * Holds the fields of a profile against each other: what the schema cannot say. Pure; every fault is reported.
 *
 * Container paths, environment and readiness are judged by the same policy that judges a launch on the host, so that a
 * manifest that is accepted here is not refused there.
 */
import type { PathError } from '../../contract/validate.ts';
import { checkEnvironment } from '../../policy/environment.ts';
import { checkMounts } from '../../policy/mounts.ts';
import { each, sure } from '../sure-parts.ts';
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

/** Every contradiction in a profile that its schema accepts, or in what is sure of one that it refuses. */
export function checkProfile(profile: WorkloadProfile): readonly PathError[] {
  const checks = [
    ...[checkArtifacts, checkParameters, checkChoices, checkUi, checkMountPoints, checkVariables, checkEndpoints],
    ...[checkSecretVariables, checkExecution, checkStack, checkOutputs, checkReadiness],
  ];
  return each(checks, (check) => check(profile));
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

function checkMountPoints({ storage }: WorkloadProfile): readonly PathError[] {
  const mounts = storage?.mounts ?? [];
  const points = sure(() => {
    const asMounted = mounts.map(({ name, path, modes: [mode = 'scratch'] }) => ({
      ...{ name, path, mode, read_only: false },
    }));
    return below('/storage', checkMounts(asMounted)).filter(({ code }) => code !== 'repeated');
  });
  return [...repeated(mounts, 'name', '/storage/mounts'), ...points];
}

function checkVariables({ execution }: WorkloadProfile): readonly PathError[] {
  const { container_env: env = {} } = execution;
  return each(Object.keys(env), (name) =>
    checkEnvironment({ [name]: env[name] as string }, '/execution/container_env'),
  );
}

function checkEndpoints({ network }: WorkloadProfile): readonly PathError[] {
  const endpoints = network?.endpoints ?? [];
  const uselessAuth = each(endpoints, ({ auth, protocol }, index) =>
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

function checkExecution({ execution }: WorkloadProfile): readonly PathError[] {
  const active = sure(() => {
    const { default_engine: engine, supported_engines: engines } = execution;
    return engines.find((one) => one.engine === engine)?.status === 'active'
      ? []
      : [
          {
            path: '/execution/default_engine',
            code: 'engine_not_active',
            message: 'must be one of supported_engines with status active',
          },
        ];
  });
  const twice = sure(() => repeated(execution.supported_engines, 'engine', '/execution/supported_engines'));
  return [...twice, ...active];
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
function checkSecretVariables(profile: WorkloadProfile): readonly PathError[] {
  const { parameters } = profile;
  const wrong = sure(() => {
    const told = toldVariables(profile);
    return each(told, ({ path, name }, index) => {
      if (Object.hasOwn(profile.execution.container_env ?? {}, name)) {
        return [{ path, code: 'repeated', message: 'is in container_env as well' }];
      }
      if (told.findIndex((one) => one.name === name) < index) {
        return [{ path, code: 'repeated', message: 'tells of another secret already' }];
      }
      return checkEnvironment({ [name]: '' }, '').map(({ code, message }) => ({ path, code, message }));
    });
  });
  const reserved = sure(() =>
    each(parameters.secrets ?? [], ({ name }, index) =>
      isPlatformSecret(name)
        ? [{ path: `/parameters/secrets/${index}/name`, code: 'reserved', message: 'is a name of the platform' }]
        : [],
    ),
  );
  const twice = sure(() => repeated(parameters.secrets ?? [], 'name', '/parameters/secrets'));
  return [...wrong, ...twice, ...reserved];
}

function toldVariables(profile: WorkloadProfile): { readonly path: string; readonly name: string }[] {
  const { network, parameters } = profile;
  return [
    ...(network?.endpoints ?? []).flatMap(({ auth }, index) => [
      { path: `/network/endpoints/${index}/auth/token_file_env`, name: auth?.token_file_env },
      { path: `/network/endpoints/${index}/auth/token_env`, name: auth?.token_env },
    ]),
    ...(parameters.secrets ?? []).map(({ file_env }, index) => ({
      ...{ path: `/parameters/secrets/${index}/file_env`, name: file_env },
    })),
    ...platformVariables(profile).map((name) => ({ path: '/parameters/ui/launch_wizard', name })),
  ].flatMap(({ path, name }) => (name === undefined ? [] : [{ path, name }]));
}

function checkOutputs(profile: WorkloadProfile): readonly PathError[] {
  const { endpoints = [], commands = [] } = profile.outputs ?? {};
  const dangling = each(endpoints, ({ source }, index) =>
    profile.network?.endpoints.some(({ name }) => source === `network.endpoints.${name}`)
      ? []
      : [{ path: `/outputs/endpoints/${index}/source`, code: 'undeclared', message: 'names no declared endpoint' }],
  );
  return [
    ...dangling,
    ...repeated(endpoints, 'name', '/outputs/endpoints'),
    ...repeated(commands, 'name', '/outputs/commands'),
  ];
}

function checkReadiness(profile: WorkloadProfile): readonly PathError[] {
  const { readiness = [], smoke = [] } = profile.validation ?? {};
  const wrong = each(readiness, ({ endpoint, path, bearer_env: bearer }, index) => {
    const declared = profile.network?.endpoints.find(({ name }) => name === endpoint);
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
    ...repeated(readiness, 'name', '/validation/readiness'),
    ...repeated(smoke, 'name', '/validation/smoke'),
  ];
}

function below(prefix: string, errors: readonly PathError[]): PathError[] {
  return errors.map(({ path, code, message }) => ({
    path: `${prefix}${path}`,
    code,
    message: message.replaceAll('/mounts/', `${prefix}/mounts/`),
  }));
}
