/** Holds the parameters of a profile against themselves, and against what the platform does with the ones it knows. */
import type { PathError } from '../../contract/validate.ts';
import { each, sure } from '../sure-parts.ts';
import { judgeParameter } from './judge-parameter.ts';
import type { ParameterProperty } from './parameter-schema.ts';
import type { WorkloadProfile } from './profile.ts';

const at = '/parameters/schema';

/** Parameters that the platform acts on itself, with the type that they must have. */
const known: Readonly<Record<string, ParameterProperty['type']>> = {
  exposure_mode: 'string',
  host_port: 'integer',
  gpu_count: 'integer',
  cpu_cores: 'number',
  memory_gib: 'number',
  python_packages: 'string',
  shm_gib: 'number',
  tensor_parallel_size: 'integer',
  start_timeout_seconds: 'integer',
};

export function checkParameters(profile: WorkloadProfile): readonly PathError[] {
  const { schema } = profile.parameters;
  const missing = sure(() =>
    each(schema.required ?? [], (name, index) =>
      Object.hasOwn(schema.properties, name)
        ? []
        : [{ path: `${at}/required/${index}`, code: 'undeclared', message: 'is not a declared parameter' }],
    ),
  );
  const wrong = sure(() =>
    each(Object.keys(schema.properties), (name) => {
      const property = schema.properties[name] as ParameterProperty;
      return [
        ...sure(() => checkProperty(property, `${at}/properties/${name}`)),
        ...sure(() => checkKnown(name, property, profile)),
      ];
    }),
  );
  return [...missing, ...wrong];
}

function checkProperty(property: ParameterProperty, path: string): PathError[] {
  const { enum: options, default: standard, minimum, maximum, minLength, maxLength, type } = property;
  const errors: PathError[] = [];
  const isText = type === 'string';
  const isNumber = type === 'integer' || type === 'number';
  for (const [keyword, bound, applies] of [
    ['minimum', minimum, isNumber],
    ['maximum', maximum, isNumber],
    ['minLength', minLength, isText],
    ['maxLength', maxLength, isText],
    ['enum', options, isText || isNumber],
  ] as const) {
    if (bound !== undefined && !applies) {
      errors.push({ path: `${path}/${keyword}`, code: 'no_effect', message: `says nothing about a ${type}` });
    }
  }
  if (minimum !== undefined && maximum !== undefined && minimum > maximum) {
    errors.push({ path: `${path}/maximum`, code: 'empty_range', message: 'must not be below minimum' });
  }
  if (minLength !== undefined && maxLength !== undefined && minLength > maxLength) {
    errors.push({ path: `${path}/maxLength`, code: 'empty_range', message: 'must not be below minLength' });
  }
  for (const [index, option] of (options ?? []).entries()) {
    const { enum: _, ...bounds } = property;
    const wrong = judgeParameter(bounds, option, `${path}/enum/${index}`);
    if (wrong) errors.push(wrong);
  }
  const wrong = standard === undefined ? undefined : judgeParameter(property, standard, `${path}/default`);
  return wrong ? [...errors, wrong] : errors;
}

/** A parameter that the platform knows has the platform's meaning, so it must have a type that can carry it. */
function checkKnown(name: string, { type }: ParameterProperty, { storage, network }: WorkloadProfile): PathError[] {
  const isMount = (storage?.mounts ?? []).some((mount) => name === mountParameter(mount.name));
  const isPort = (network?.endpoints ?? []).some((endpoint) => name === portParameter(endpoint.name));
  const wanted = isMount ? 'string' : isPort ? 'integer' : Object.hasOwn(known, name) ? known[name] : undefined;
  const fits = wanted === undefined || type === wanted || (wanted === 'number' && type === 'integer');
  return fits
    ? []
    : [
        {
          path: `${at}/properties/${name}/type`,
          code: 'type',
          message: `must be ${wanted}: the platform gives it a meaning`,
        },
      ];
}

/** Name of the parameter that chooses the storage of a mount: `workspace` has `workspace_mount`. */
export function mountParameter(mount: string): string {
  return `${mount.replaceAll('-', '_')}_mount`;
}

/** Name of the parameter that chooses the host port of an endpoint; the first endpoint also takes `host_port`. */
export function portParameter(endpoint: string): string {
  return `${endpoint.replaceAll('-', '_')}_host_port`;
}
