/** What the control plane tells Prometheus: its requests, and what it has of everything. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { instanceStates } from '../../contract/instance-state.ts';
import type { ReadTx, Store } from '../db/store.ts';

export interface HttpMetrics {
  /** `route` is the path of the declaration, never the address that was asked for: series stay few. */
  /** Refusals that were not written into the audit log. */
  readonly unwrittenRefusals: Counter;
  observe(method: string, route: string, status: number, milliseconds: number): void;
}

export interface ServerMetrics extends HttpMetrics {
  /** Requests that were refused since there were too many, by limit. */
  readonly rateLimited: Counter<'limit'>;
  /** For parts that have their own to add. */
  readonly registry: Registry;
  /** All of it as Prometheus text. */
  text(store: Store): Promise<string>;
}

export function createMetrics(): ServerMetrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const labelNames = ['method', 'route', 'status'];
  const requests = new Counter({
    ...{ name: 'gpuaas_http_requests_total', help: 'Requests answered.', labelNames, registers: [registry] },
  });
  const seconds = new Histogram({
    ...{ name: 'gpuaas_http_request_seconds', help: 'Time to answer.', labelNames: ['route'], registers: [registry] },
    buckets: [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5],
  });
  const rateLimited = new Counter({
    ...{ name: 'gpuaas_http_rate_limited_total', help: 'Requests refused since there were too many.' },
    ...{ labelNames: ['limit'] as const, registers: [registry] },
  });
  const unwrittenRefusals = new Counter({
    ...{ name: 'gpuaas_audit_unwritten_total', help: 'Refusals that were not written into the audit log.' },
    registers: [registry],
  });
  const things = new Gauge({
    ...{ name: 'gpuaas_things', help: 'What the store holds.', labelNames: ['kind', 'state'], registers: [registry] },
  });

  return {
    ...{ registry, rateLimited, unwrittenRefusals },
    observe: (method, route, status, milliseconds) => {
      requests.inc({ method, route, status: String(status) });
      seconds.observe({ route }, milliseconds / 1000);
    },
    text: async (store) => {
      for (const { kind, state, count } of await store.read(counts)) {
        things.set({ kind, state }, count);
      }
      return registry.metrics();
    },
  };
}

async function counts(tx: ReadTx): Promise<{ kind: string; state: string; count: number }[]> {
  const found: { kind: string; state: string; count: number }[] = [];
  for (const state of instanceStates) {
    found.push({ kind: 'app_instance', state, count: await tx.app_instances.count({ state }) });
  }
  for (const state of ['queued', 'leased', 'accepted'] as const) {
    found.push({ kind: 'task', state, count: await tx.tasks.count({ state }) });
  }
  for (const state of ['enrolled', 'quarantined', 'revoked'] as const) {
    found.push({ kind: 'node', state, count: await tx.nodes.count({ status: state }) });
  }
  for (const state of ['active', 'releasing'] as const) {
    found.push({ kind: 'allocation', state, count: await tx.allocations.count({ state }) });
  }
  return found;
}
