/** Holds the stack of a profile against the rest of it: what is not part of a service is nowhere, however well declared. */
import type { PathError } from '../../contract/validate.ts';
import { each, sure } from '../sure-parts.ts';
import { asksFor, platformSecretNames } from './platform-secrets.ts';
import type { WorkloadProfile } from './profile.ts';
import type { ProfileService } from './profile-execution.ts';
import { repeated } from './repeated.ts';
import { leastOf } from './resolve-values.ts';
import { rulesOf, type StackRules } from './stack-rules.ts';

const at = '/execution/compose/topology/services';

export function checkStack(profile: WorkloadProfile): readonly PathError[] {
  const missing = sure(() =>
    profile.execution.default_engine === 'docker_compose' && !profile.execution.compose
      ? [{ path: '/execution/compose', code: 'required', message: 'is missing: it says how the stack is made' }]
      : [],
  );
  const services = () => profile.execution.compose?.topology.services ?? [];
  return [
    ...missing,
    ...sure(() => repeated(services(), 'name', at)),
    ...sure(() => checkUse(services(), 'endpoints', () => profile.network?.endpoints ?? [])),
    ...sure(() => checkUse(services(), 'mounts', () => profile.storage?.mounts ?? [])),
    ...sure(() => checkUse(services(), 'secrets', () => secretsOf(profile))),
    ...sure(() => {
      const rules = rulesOf(profile);
      return rules ? checkLaunched(profile, services(), rules) : [];
    }),
  ];
}

type Part = 'endpoints' | 'mounts' | 'secrets';
const words = { endpoints: 'endpoint', mounts: 'mount', secrets: 'secret' } as const;

/** Services speak of declared parts only, each once. */
function checkUse(
  services: readonly ProfileService[],
  part: Part,
  declared: () => readonly { name: string }[],
): readonly PathError[] {
  return each(services, (service, index) => {
    const all = service[part] ?? [];
    return each(all, (name, place) => {
      const path = `${at}/${index}/${part}/${place}`;
      if (!declared().some((one) => one.name === name)) {
        return [{ path, code: 'undeclared', message: `is not a declared ${words[part]}` }];
      }
      return all.indexOf(name) < place ? [{ path, code: 'repeated', message: 'is there already' }] : [];
    });
  });
}

/** What a launch on this engine needs to be whole. */
function checkLaunched(
  profile: WorkloadProfile,
  services: readonly ProfileService[],
  rules: StackRules,
): readonly PathError[] {
  const users = (part: Part, name: string) => services.filter((service) => service[part]?.includes(name)).length;
  const parts = [
    () =>
      each(profile.network?.endpoints ?? [], ({ name }, index) =>
        users('endpoints', name) === 1
          ? []
          : [{ path: `/network/endpoints/${index}`, code: 'one_service', message: 'must be of exactly one service' }],
      ),
    () =>
      each(profile.storage?.mounts ?? [], ({ name }, index) =>
        users('mounts', name) > 0
          ? []
          : [{ path: `/storage/mounts/${index}`, code: 'unused', message: 'is not a mount of any service' }],
      ),
    () =>
      each(secretsOf(profile), ({ name, path }) =>
        users('secrets', name) > 0 ? [] : [{ path, code: 'unused', message: `${name} is not a secret of any service` }],
      ),
    () =>
      Object.hasOwn(profile.parameters.schema.properties, 'python_packages')
        ? [
            {
              path: '/parameters/schema/properties/python_packages',
              code: 'no_effect',
              message: 'is for single containers',
            },
          ]
        : [],
    () =>
      services.length === rules.services
        ? []
        : [{ path: at, code: 'services', message: `must be ${rules.services}: so many does the renderer make` }],
    () =>
      leastOf(profile, 'gpu_count') >= rules.leastCards
        ? []
        : [{ path: '/resources/gpu/min_count', code: 'minimum', message: `must be at least ${rules.leastCards}` }],
    () => rules.checkProfile(profile),
  ];
  return each(parts, (check) => check());
}

/** Of the app and of the platform, each with the place that asks for it. */
function secretsOf(profile: WorkloadProfile): { readonly name: string; readonly path: string }[] {
  const own = (profile.parameters.secrets ?? []).map(({ name }, index) => ({
    ...{ name, path: `/parameters/secrets/${index}` },
  }));
  const taken = platformSecretNames.filter((name) => asksFor(profile, name) !== undefined);
  return [...own, ...taken.map((name) => ({ name, path: '/parameters/ui/launch_wizard' }))];
}
