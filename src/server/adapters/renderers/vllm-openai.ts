/**
 * Renderer `vllm_openai`: vLLM's server on the cards of one host, answering as OpenAI does.
 *
 * The key is in the environment and never an argument, which every process of the host could read. `/v1` asks for it, and
 * the other routes ask for nothing: the port is on the loopback address of the host alone. /dev/shm carries what the cards
 * of one model tell each other, so its size is a parameter, and the host's own is never shared.
 */
import type { ComposeService } from '../../../contract/compose-document.ts';
import { vllmParameters } from '../../../manifests/gpuaas/vllm-rules.ts';
import { baseOf, gib, type PlacedService, type Renderer, type StackInput } from './renderer.ts';

const defaultShmGib = 4;
/** A large model over several cards takes a quarter of an hour. */
const defaultStartSeconds = 1800;

export const vllmOpenai: Renderer = {
  parameters: Object.keys(vllmParameters),
  render: (input) => {
    const [service] = input.services;
    if (!service) throw new Error('vllm_openai makes one service, and the manifest has none');
    return { [service.name]: server(input, service) };
  },
};

function server(input: StackInput, service: PlacedService): ComposeService {
  const { image, resources, parameters, startSeconds = defaultStartSeconds } = input;
  const port = service.exposure[0]?.container_port ?? 8000;
  const shm = Number(parameters['shm_gib'] ?? Math.min(defaultShmGib, resources.memory_gib));
  return {
    ...baseOf(service, image),
    entrypoint: ['vllm', 'serve'],
    command: argumentsOf(input, service, port),
    environment: { ...service.environment, ...folders(service) },
    cpus: resources.cpu_cores,
    mem_limit: Math.round(resources.memory_gib * gib),
    shm_size: Math.round(shm * gib),
    deploy: {
      resources: { reservations: { devices: [{ capabilities: ['gpu'], count: resources.gpu_count }] } },
    },
    // The port is closed until the model is loaded, and answers 503 when the engine behind it has died.
    healthcheck: {
      test: [
        'CMD',
        'python3',
        '-c',
        `import urllib.request as r; r.urlopen('http://127.0.0.1:${port}/health', timeout=5)`,
      ],
      interval: '30s',
      timeout: '10s',
      retries: 3,
      start_period: `${startSeconds}s`,
    },
  };
}

/**
 * Models, compiled kernels and whatever else it keeps, below its first folder: nothing large is written to the container,
 * and the next start finds it. `USER` is for libraries that want a name for a user who has none in the image.
 */
function folders({ storage: [first] }: PlacedService): Record<string, string> {
  const root = first?.path ?? '/tmp';
  return {
    HOME: root,
    USER: 'vllm',
    HF_HOME: `${root}/huggingface`,
    VLLM_CACHE_ROOT: `${root}/vllm`,
    VLLM_NO_USAGE_STATS: '1',
    HF_HUB_DISABLE_TELEMETRY: '1',
  };
}

function argumentsOf({ parameters, resources }: StackInput, service: PlacedService, port: number): string[] {
  const text = (name: string) => String(parameters[name] ?? '');
  const path = text('model_path');
  const model = path === '' ? text('model') : `${service.storage[0]?.path ?? ''}/${path}`;
  const name = text('served_model_name') || (path === '' ? model : (path.split('/').at(-1) ?? path));
  const options: [name: string, value: string][] = [
    ['host', '0.0.0.0'],
    ['port', String(port)],
    ['served-model-name', name],
    ['tensor-parallel-size', String(parameters['tensor_parallel_size'] ?? resources.gpu_count)],
    ['gpu-memory-utilization', String(parameters['gpu_memory_utilization'] ?? 0.9)],
    ['dtype', text('dtype') || 'auto'],
    ['quantization', text('quantization')],
    ['max-model-len', text('max_model_len')],
    ['max-num-seqs', text('max_num_seqs')],
  ];
  const said = options.filter(([, value]) => value !== '' && value !== 'none' && value !== '0');
  return [model, ...said.map(([option, value]) => `--${option}=${value}`), ...(formats[model] ?? [])];
}

const mistral = ['--tokenizer-mode=mistral', '--config-format=mistral', '--load-format=mistral'];

/** Models whose files are in a format of their own, by their name on the hub. */
const formats: Readonly<Record<string, readonly string[]>> = {
  'mistralai/Mistral-Small-3.2-24B-Instruct-2506': mistral,
};
