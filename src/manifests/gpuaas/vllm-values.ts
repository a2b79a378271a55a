/** What the renderer `vllm_openai` asks of the values of a launch. Pure, and without what only a profile is judged by. */
import type { PathError } from '../../contract/validate.ts';
import type { ParameterValue } from './judge-parameter.ts';

/** Of a name of a model, or of a path to one. */
export const namePart = '[A-Za-z0-9][A-Za-z0-9._-]{0,95}';
const folder = new RegExp(`^${namePart}(/${namePart}){0,7}$`);
const servedName = /^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$/;

/** Paths are pointers into a launch request. */
export function judgeVllmValues(parameters: Readonly<Record<string, ParameterValue>>): PathError[] {
  const { model = '', model_path: path = '', served_model_name: served = '', ...rest } = parameters;
  const { gpu_memory_utilization: share } = rest;
  return [
    ...(model === '' && path === ''
      ? [wrong('model', 'required', 'is missing: choose a model, or give its folder')]
      : []),
    ...(path === '' || folder.test(String(path))
      ? []
      : [wrong('model_path', 'path', 'must be names of folders between slashes, below the folder of the app')]),
    ...(served === '' || servedName.test(String(served))
      ? []
      : [wrong('served_model_name', 'pattern', 'must be a name of letters, digits and `._:/-`')]),
    ...(share === undefined || (Number(share) >= 0.05 && Number(share) <= 1)
      ? []
      : [wrong('gpu_memory_utilization', 'range', 'must be from 0.05 to 1: a share of the memory')]),
  ];
}

function wrong(name: string, code: string, message: string): PathError {
  return { path: `/config/${name}`, code, message };
}
