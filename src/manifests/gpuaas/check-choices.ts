/** Choices that a profile offers and no launch could have: a form full of them would end in refusals that nobody can mend. */
import type { PathError } from '../../contract/validate.ts';
import { mountParameter } from './check-parameters.ts';
import { exposureModes, storageModes, type WorkloadProfile } from './profile.ts';
import { leastOf, resourceNames } from './resolve-values.ts';

const at = '/parameters/schema/properties';

export function checkChoices(profile: WorkloadProfile): PathError[] {
  return [...checkAmounts(profile), ...checkModes(profile)];
}

/** Bounds and defaults against what the app needs at least. */
function checkAmounts(profile: WorkloadProfile): PathError[] {
  const { parameters, resources } = profile;
  const amounts = resourceNames.flatMap(
    (name): [path: string, amount: unknown, name: (typeof resourceNames)[number]][] => {
      const { default: standard, maximum } = parameters.schema.properties[name] ?? {};
      return [
        [`${at}/${name}/default`, standard, name],
        [`${at}/${name}/maximum`, maximum, name],
      ];
    },
  );
  return [...amounts, ['/resources/gpu/default_count', resources?.gpu?.default_count, 'gpu_count'] as const].flatMap(
    ([path, amount, name]) => {
      const least = leastOf(profile, name);
      return typeof amount !== 'number' || amount >= least
        ? []
        : [{ path, code: 'below_minimum', message: `must be at least ${least}, what resources asks for` }];
    },
  );
}

/** Of a choice that the platform understands, every option must be one that it has. */
function checkModes({ storage, parameters }: WorkloadProfile): PathError[] {
  const known = new Map<string, readonly string[]>([
    ['exposure_mode', exposureModes],
    ...(storage?.mounts ?? []).map(({ name, required }): [string, string[]] => [
      mountParameter(name),
      required ? [...storageModes] : [...storageModes, ''],
    ]),
  ]);
  return [...known].flatMap(([name, modes]) => {
    const { enum: options = [], default: standard } = parameters.schema.properties[name] ?? {};
    const offered = options.map((option, index): [string, unknown] => [`enum/${index}`, option]);
    return [...offered, ['default', standard] as const].flatMap(([where, option]) =>
      option === undefined || modes.includes(String(option))
        ? []
        : [
            {
              path: `${at}/${name}/${where}`,
              code: 'unknown_mode',
              message: `must be one of ${modes.filter((mode) => mode !== '').join(', ')}`,
            },
          ],
    );
  });
}
