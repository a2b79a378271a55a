/**
 * What the renderer `vllm_openai` asks of a profile: a server that answers as OpenAI does, on cards of one host, behind a
 * key of its own.
 *
 * Every value becomes one argument of the server, so each is a word of a known kind. There is no parameter for arguments,
 * and none that lets the code of a model run. A model is one that the profile lists, or a folder below the first folder of
 * the service: whoever may choose any name could make the server fetch and run what nobody has looked at.
 */
import { pointerToken } from '../../contract/pointer.ts';
import type { PathError } from '../../contract/validate.ts';
import { each } from '../sure-parts.ts';
import type { ParameterProperty } from './parameter-schema.ts';
import type { WorkloadProfile } from './profile.ts';
import type { StackRules } from './stack-rules.ts';
import { namePart } from './vllm-values.ts';

/** Parameters that become arguments of the server, with the type that each must have. */
export const vllmParameters: Readonly<Record<string, ParameterProperty['type']>> = {
  model: 'string',
  model_path: 'string',
  served_model_name: 'string',
  max_model_len: 'integer',
  tensor_parallel_size: 'integer',
  gpu_memory_utilization: 'number',
  dtype: 'string',
  quantization: 'string',
  max_num_seqs: 'integer',
};

/** Variable of the key that the server asks for. */
export const apiKeyEnv = 'VLLM_API_KEY';

/** They open the server, or let a request run code in it; the key is not for the manifest to say. */
const forbidden = [
  'VLLM_SERVER_DEV_MODE',
  'VLLM_ALLOW_RUNTIME_LORA_UPDATING',
  'VLLM_ALLOW_INSECURE_SERIALIZATION',
  apiKeyEnv,
];

/** Words whose only values are these. Empty text leaves the choice to the server. */
const listed: Readonly<Record<string, readonly string[]>> = {
  dtype: ['auto', 'half', 'float16', 'bfloat16', 'float', 'float32'],
  quantization: ['none', 'awq', 'awq_marlin', 'gptq', 'gptq_marlin', 'fp8', 'bitsandbytes', 'compressed-tensors'],
};

const hubName = new RegExp(`^${namePart}(/${namePart})?$`);

export const vllmOpenai: StackRules = {
  services: 1,
  leastCards: 1,
  checkProfile: (profile) =>
    each([checkModel, checkParameters, checkKey, checkVariables, checkFolder], (check) => check(profile)),
};

const at = '/parameters/schema/properties';

function checkModel({ parameters }: WorkloadProfile): PathError[] {
  const { model, model_path: path } = parameters.schema.properties;
  if (model === undefined) {
    return path ? [] : [{ path: `${at}/model`, code: 'required', message: 'is missing, and so is model_path' }];
  }
  if (model.enum === undefined) {
    return [
      { path: `${at}/model/enum`, code: 'required', message: 'is missing: only models that are listed are served' },
    ];
  }
  return model.enum.flatMap((name, index) =>
    (name === '' && path !== undefined) || hubName.test(String(name))
      ? []
      : [{ path: `${at}/model/enum/${index}`, code: 'pattern', message: 'is not a name of a model' }],
  );
}

function checkParameters({ parameters }: WorkloadProfile): readonly PathError[] {
  const { properties } = parameters.schema;
  return each(Object.keys(properties), (name) => {
    const property = properties[name] as ParameterProperty;
    const type = Object.hasOwn(vllmParameters, name) ? vllmParameters[name] : property.type;
    const path = `${at}/${pointerToken(name)}`;
    if (property.type !== type) {
      return [{ path: `${path}/type`, code: 'type', message: `must be ${type}: it is an argument of the server` }];
    }
    const words = Object.hasOwn(listed, name) ? listed[name] : undefined;
    const isListed = property.enum?.every((word) => words?.includes(String(word))) ?? false;
    return words === undefined || isListed
      ? []
      : [{ path: `${path}/enum`, code: 'enum', message: `must be there, with some of ${words.join(', ')}` }];
  });
}

/** What listens on the port of a host answers everybody who may log in there: without a key, any of them. */
function checkKey({ network }: WorkloadProfile): PathError[] {
  const endpoints = network?.endpoints ?? [];
  const [{ protocol, auth } = {}] = endpoints;
  if (endpoints.length !== 1 || protocol !== 'http') {
    return [{ path: '/network/endpoints', code: 'one_endpoint', message: 'must be one, of protocol http' }];
  }
  return auth?.mode === 'generated_token' && auth.token_env === apiKeyEnv
    ? []
    : [
        {
          path: '/network/endpoints/0/auth',
          code: 'no_key',
          message: `must be of mode generated_token with token_env ${apiKeyEnv}: the server asks for a key`,
        },
      ];
}

function checkVariables({ execution }: WorkloadProfile): PathError[] {
  return forbidden
    .filter((name) => Object.hasOwn(execution.container_env ?? {}, name))
    .map((name) => ({
      ...{ path: `/execution/container_env/${name}`, code: 'forbidden_variable' },
      message: 'must not be set: it opens the server',
    }));
}

/** Models and caches are larger than what a container may write to itself. */
function checkFolder({ execution, storage }: WorkloadProfile): PathError[] {
  const [first] = execution.compose?.topology.services[0]?.mounts ?? [];
  const isThere = storage?.mounts.some(({ name, required }) => name === first && required);
  const path = '/execution/compose/topology/services/0/mounts';
  return isThere ? [] : [{ path, code: 'required', message: 'must begin with a required mount: it holds the models' }];
}
