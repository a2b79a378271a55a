/** What workloads, their services and the cards of all hosts use now, for Prometheus. */
import { Gauge, type Registry } from 'prom-client';
import type { RecordBody } from '../../contract/records.ts';
import type { MetricsBoard } from './metrics-board.ts';

/** What is older says nothing of now: its host is away, or has stopped to sample since nothing runs. */
const freshMs = 120_000;

type Body = RecordBody<'metrics'>;
type Use = Body['workloads'][number];
type Card = NonNullable<Body['gpus']>[number];

/** A single container has no service; a stack has a line for each beside its sum. */
const uses: readonly [name: string, help: string, value: (use: Pick<Use, 'cpu_cores' | 'memory_bytes'>) => number][] = [
  ['gpuaas_workload_cpu_cores', 'CPU in use, in cores.', ({ cpu_cores }) => cpu_cores],
  ['gpuaas_workload_memory_bytes', 'Memory in use, page cache left out.', ({ memory_bytes }) => memory_bytes],
];

/** As the agents name them. Null where the card does not tell: then it has no line. */
const cards: readonly [name: string, help: string, value: (card: Card) => number | null][] = [
  [
    'gpuaas_gpu_utilization_ratio',
    'Share of the time at work.',
    ({ utilization_percent }) => scaled(utilization_percent, 0.01),
  ],
  [
    'gpuaas_gpu_memory_used_bytes',
    'Memory of the card in use.',
    ({ memory_used_mib }) => scaled(memory_used_mib, 2 ** 20),
  ],
  ['gpuaas_gpu_memory_bytes', 'Memory of the card.', ({ memory_total_mib }) => scaled(memory_total_mib, 2 ** 20)],
  ['gpuaas_gpu_temperature_celsius', 'Temperature of the card.', ({ temperature_celsius }) => temperature_celsius],
  ['gpuaas_gpu_power_watts', 'Power that the card draws.', ({ power_watts }) => power_watts],
];

function scaled(value: number | null, factor: number): number | null {
  return value === null ? null : value * factor;
}

/** Reads the board whenever the metrics are asked for. `now` is in milliseconds. */
export function exposeSamples(registry: Registry, board: Pick<MetricsBoard, 'latest'>, now: () => number): void {
  const registers = [registry];
  for (const [name, help, value] of uses) {
    new Gauge({
      ...{ name, help, registers, labelNames: ['node', 'instance', 'service'] },
      collect() {
        this.reset();
        for (const [node, { workloads }] of board.latest(now(), freshMs)) {
          for (const { workload_id: instance, services = [], ...whole } of workloads) {
            this.set({ node, instance, service: '' }, value(whole));
            for (const { service, ...use } of services) this.set({ node, instance, service }, value(use));
          }
        }
      },
    });
  }
  for (const [name, help, value] of cards) {
    new Gauge({
      ...{ name, help, registers, labelNames: ['node', 'gpu', 'instance'] },
      collect() {
        this.reset();
        for (const [node, { gpus = [] }] of board.latest(now(), freshMs)) {
          for (const card of gpus) {
            const known = value(card);
            if (known !== null) this.set({ node, gpu: card.uuid, instance: card.workload_id ?? '' }, known);
          }
        }
      },
    });
  }
}
