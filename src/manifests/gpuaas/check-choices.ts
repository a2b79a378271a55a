/** Choices that a profile offers and no launch could have: a form full of them would end in refusals that nobody can mend. */
import type { PathError } from '../../contract/validate.ts';
import { each, sure } from '../sure-parts.ts';
import { mountParameter } from './check-parameters.ts';
import { exposureModes, storageModes, type WorkloadProfile } from './profile.ts';
import { leastOf, resourceNames } from './resolve-values.ts';

const at = '/parameters/schema/properties';

export function checkChoices(profile: WorkloadProfile): readonly PathError[] {
  return [...checkAmounts(profile), ...sure(() => checkModes(profile))];
}

/** Bounds and defaults against what the app needs at least. */
function checkAmounts(profile: WorkloadProfile): readonly PathError[] {
  const bounds = resourceNames.flatMap((name) =>
    (['default', 'maximum'] as const).map((bound) => ({
      ...{ name, path: `${at}/${name}/${bound}` },
      amount: (): unknown => profile.parameters.schema.properties[name]?.[bound],
    })),
  );
  const standard = {
    ...{ name: 'gpu_count' as const, path: '/resources/gpu/default_count' },
    amount: () => profile.resources?.gpu?.default_count,
  };
  return each([...bounds, standard], ({ name, path, amount: read }) => {
    const amount = read();
    const least = leastOf(profile, name);
    return typeof amount !== 'number' || amount >= least
      ? []
      : [{ path, code: 'below_minimum', message: `must be at least ${least}, what resources asks for` }];
  });
}

/** Of a choice that the platform understands, every option must be one that it has. */
function checkModes({ storage, parameters }: WorkloadProfile): readonly PathError[] {
  const known = new Map<string, readonly string[]>([
    ['exposure_mode', exposureModes],
    ...(storage?.mounts ?? []).map(({ name, required }): [string, string[]] => [
      mountParameter(name),
      required ? [...storageModes] : [...storageModes, ''],
    ]),
  ]);
  return each([...known], ([name, modes]) => {
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
