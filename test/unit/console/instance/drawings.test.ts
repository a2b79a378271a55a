import { describe, expect, it } from 'vitest';
import { useOf } from '../../../../src/console/pages/instance/access-steps.ts';
import { bytesText, secondsText, shortNumber } from '../../../../src/console/pages/instance/amounts.ts';
import {
  nearest,
  pathOf,
  plotOf,
  scaleOf,
  timeTicks,
  valueTicks,
} from '../../../../src/console/pages/instance/chart-scale.ts';
import { chartsOf, type Sample } from '../../../../src/console/pages/instance/chart-series.ts';
import { placeTopology, shapeOf, topologyWords } from '../../../../src/console/pages/instance/topology-layout.ts';
import type { InstanceTopology } from '../../../../src/server/instances/instance-topology.ts';
import { sampleGpu } from '../../../support/gpus.ts';

const gpu = sampleGpu();
const service = {
  ...{
    name: 'vllm',
    role: 'model server',
    endpoints: ['api'],
    mounts: ['models'],
    state: 'running',
    health: 'healthy',
  },
  ...{ restarts: 0, gpus: [gpu.uuid] },
} as const;
const proxy = { ...service, name: 'proxy', role: 'front', endpoints: ['web'], health: null, gpus: [], restarts: 2 };
const topology = { description: 'Two parts.', services: [service, proxy], members: [] } as unknown as InstanceTopology;
const { name, vendor, memory_mib, health, reason } = gpu;
const instance = {
  about: {
    ...({ app: 'vLLM', support_level: 'platform_curated', artifact: 'vllm', allocation: 'a', node: 'n' } as const),
    ...{ exposure_mode: 'private', storage: [{ name: 'models', path: '/models', mode: 'project_storage' as const }] },
  },
  gpus: [{ uuid: gpu.uuid, service: 'vllm', card: { name, vendor, memory_mib, health, reason } }],
  host_ports: { api: 8001, web: 8002 },
  endpoints: [],
};

describe('the drawing of an instance (G-185)', () => {
  it('has every part once and every connection', () => {
    const { parts, links } = shapeOf(topology, instance);

    expect(parts.map(({ id }) => id)).toEqual([
      ...['you', 'endpoint api', 'service vllm', 'mount models', `card ${gpu.uuid}`, 'endpoint web', 'service proxy'],
    ]);
    expect(links).toContainEqual({ from: 'service proxy', to: 'mount models' });
    expect(links).toContainEqual({ from: 'you', to: 'endpoint web' });
    expect(parts.find(({ id }) => id === 'mount models')?.detail).toBe('/models · project storage');
    expect(parts.find(({ id }) => id === 'service proxy')?.detail).toBe('front · 2 restarts');
  });

  it.each([360, 700, 1200])('lets nothing overlap or leave the drawing in %d pixels', (room) => {
    const { parts, links } = shapeOf(topology, instance);

    const drawing = placeTopology(parts, links, room);

    expect(drawing.parts).toHaveLength(parts.length);
    expect(drawing.links).toHaveLength(links.length);
    expect(drawing.width).toBeLessThanOrEqual(room);
    for (const [index, one] of drawing.parts.entries()) {
      expect(one.x >= 0 && one.x + one.width <= drawing.width).toBe(true);
      expect(one.y >= 0 && one.y + one.height <= drawing.height).toBe(true);
      for (const other of drawing.parts.slice(index + 1)) {
        const isApart =
          one.x + one.width <= other.x ||
          other.x + other.width <= one.x ||
          one.y + one.height <= other.y ||
          other.y + other.height <= one.y;
        expect(isApart).toBe(true);
      }
    }
  });

  it('says the same in words', () => {
    expect(topologyWords(topology, instance)[0]).toEqual({
      service: 'vllm',
      facts: [
        'is running (model server · healthy)',
        'serves endpoint api (127.0.0.1:8001)',
        'uses folder models (/models · project storage)',
        expect.stringMatching(/^holds card /),
      ],
    });
  });

  it('of nothing is empty', () => {
    expect(placeTopology([], [], 500)).toEqual({ width: 0, height: 0, parts: [], links: [] });
  });
});

function sample(second: number, given: Partial<Sample> = {}): Sample {
  return {
    at: new Date(1_790_000_000_000 + second * 1000).toISOString(),
    ...{ interval_seconds: 10, cpu_cores: 1, memory_bytes: 512 * 1024 ** 2, memory_limit_bytes: 1024 ** 3 },
    ...{ network_received_bytes: second * 1024, network_sent_bytes: 0 },
    ...given,
  };
}

describe('the charts of an instance', () => {
  it('draw what it uses beside its limits, in words as well', () => {
    const [cpu, memory, network] = chartsOf([sample(0), sample(10)], 4, null);

    expect(cpu?.lines.map(({ label, values }) => [label, values])).toEqual([
      ['In use', [1, 1]],
      ['Limit', [4, 4]],
    ]);
    expect(cpu?.now).toBe('1 core of 4, 25 % of its limit');
    expect(memory?.now).toBe('512 MiB of 1 GiB, 50 %');
    expect(network?.lines[0]?.values).toEqual([null, 1024]);
    expect(network?.now).toBe('1 KiB/s received, 0 B/s sent');
  });

  it('break where nothing was sampled, and where a container began to count anew', () => {
    const samples = [sample(0), sample(10), sample(100), sample(110, { network_received_bytes: 0 })];

    const [cpu, , network] = chartsOf(samples, 4, null);

    expect(cpu?.times.map((time) => time - 1_790_000_000)).toEqual([0, 10, 11, 100, 110]);
    expect(cpu?.lines[0]?.values).toEqual([1, 1, null, 1, 1]);
    expect(network?.lines[0]?.values).toEqual([null, 1024, null, null, null]);
  });

  it('leave out samples that came twice or late, and one with no time', () => {
    const [cpu] = chartsOf([sample(10), sample(10), sample(0), sample(20), { ...sample(30), at: 'then' }], 4, null);

    expect(cpu?.times).toHaveLength(2);
  });

  it('are of one service where one is chosen', () => {
    const use = {
      service: 'api',
      cpu_cores: 0.5,
      memory_bytes: 1,
      memory_limit_bytes: 2,
      network_received_bytes: 0,
      network_sent_bytes: 0,
    };

    const [cpu] = chartsOf([sample(0, { services: [use] }), sample(10)], 4, 'api');

    expect(cpu?.lines.map(({ values }) => values)).toEqual([[0.5, null]]);
  });

  it('show each card, and nothing of what no card tells', () => {
    const card = {
      uuid: gpu.uuid,
      utilization_percent: 50,
      memory_used_mib: 1024,
      memory_total_mib: 2048,
      temperature_celsius: null,
    };

    const charts = chartsOf(
      [sample(0, { gpus: [card, { ...card, uuid: 'GPU-2', utilization_percent: null }] })],
      4,
      null,
    );

    expect(charts.map(({ id }) => id)).toEqual(['cpu', 'memory', 'network', 'gpu', 'gpu-memory']);
    expect(charts[3]).toMatchObject({ most: 100, now: '50 %', lines: [{ values: [50] }, { values: [null] }] });
    expect(charts[4]).toMatchObject({ most: 2 * 1024 ** 3, now: '1 GiB, 1 GiB' });
  });

  it('of nothing say nothing', () => {
    expect(chartsOf([], 4, null).map(({ times, now }) => [times, now])).toEqual([
      [[], ''],
      [[], ''],
      [[], ''],
    ]);
  });
});

describe('the scale of a chart', () => {
  const plot = plotOf(400, 170);
  const line = { label: 'In use', tone: 0, values: [0, 2, null, 4] };
  const times = [0, 10, 11, 20];

  it('holds every value and the limit, from edge to edge', () => {
    const scale = scaleOf(plot, times, [line], 8);

    expect([scale.x(0), scale.x(20)]).toEqual([plot.left, plot.right]);
    expect(scale.y(0)).toBe(plot.bottom);
    expect(scale.y(8)).toBeGreaterThanOrEqual(plot.top);
  });

  it('breaks a line where it has no value', () => {
    expect(pathOf(times, line, scaleOf(plot, times, [line], null)).match(/[ML]/g)).toEqual(['M', 'L', 'M']);
  });

  it('has a few round numbers at each edge', () => {
    expect(valueTicks(8.4, false)).toEqual([0, 5]);
    expect(valueTicks(100, false)).toEqual([0, 50, 100]);
    expect(valueTicks(3.2 * 1024 ** 3, true)).toEqual([0, 1, 2, 3].map((gib) => gib * 1024 ** 3));
    expect(valueTicks(0.00106, false).length).toBeGreaterThan(1);
    expect(timeTicks([7, 130], 400)).toEqual([30, 60, 90, 120]);
    expect(timeTicks([], 400)).toEqual([]);
  });

  it('of one moment or of nothing is a scale still', () => {
    for (const few of [[], [5]]) {
      const scale = scaleOf(plot, few, [{ ...line, values: few.map(() => 0) }], null);
      expect([scale.x(5), scale.y(0), scale.highest].every(Number.isFinite)).toBe(true);
    }
  });

  it('finds the time that is pointed at', () => {
    const scale = scaleOf(plot, times, [line], null);

    expect([nearest(times, scale, -50), nearest(times, scale, scale.x(19)), nearest([], scale, 3)]).toEqual([
      0,
      3,
      null,
    ]);
  });
});

describe('amounts', () => {
  it('are short and exact enough', () => {
    expect([0, 1, 1536, 5 * 1024 ** 3, 1e15].map(bytesText)).toEqual(['0 B', '1 B', '1.5 KiB', '5 GiB', '909 TiB']);
    expect([0, 0.42, 3.14, 42, 59.6, 60, 185, 7800, 90_000].map(secondsText)).toEqual([
      ...['0 s', '0.42 s', '3.1 s', '42 s', '1 min', '1 min', '3 min 5 s', '2 h 10 min', '1 d 1 h'],
    ]);
    expect([0, 0.051, 1.499, 12.34, 640.4].map(shortNumber)).toEqual(['0', '0.05', '1.5', '12.3', '640']);
  });
});

describe('the way to an endpoint', () => {
  const access = { endpoint: 'web', url: 'http://127.0.0.1:8888/', bearer_path: null, tunnel: 'ssh -N -L …' };
  const credential = { endpoint: 'web', token: 'abc', url_query: 'token', bearer_path: null };

  it('is an address, with the token while it is known (G-210, G-229)', () => {
    expect(useOf(access, 8888, credential)).toEqual({
      kind: 'open',
      text: 'http://127.0.0.1:8888/?token=abc',
      needsToken: false,
    });
    expect(useOf(access, 8888)).toEqual({ kind: 'open', text: 'http://127.0.0.1:8888/', needsToken: true });
  });

  it('is a request with a bearer where no browser can bring it', () => {
    const api = { ...access, bearer_path: '/v1/models' };

    expect(useOf(api, 8888, { ...credential, url_query: null, bearer_path: '/v1/models' })).toEqual({
      ...{
        kind: 'ask',
        text: 'curl -H "Authorization: Bearer abc" http://127.0.0.1:8888/v1/models',
        needsToken: false,
      },
    });
    expect(useOf(api, 8888).text).toContain('Bearer $TOKEN');
    expect(useOf({ ...api, bearer_path: "/a'b c" }, 8888).text).toContain("'http://127.0.0.1:8888/a'\\''b%20c'");
  });

  it('is an address and a port for what is no page', () => {
    expect(useOf({ ...access, url: null }, 8888)).toEqual({
      kind: 'connect',
      text: '127.0.0.1:8888',
      needsToken: false,
    });
  });
});
