/** From the samples of a host to what its charts draw. Where nothing was sampled the line is broken, never bridged. */
import { bytesText, shortNumber } from './amounts.ts';

/** One sample as the interface answers it. */
export interface Sample {
  readonly at: string;
  readonly interval_seconds: number;
  readonly cpu_cores: number;
  readonly memory_bytes: number;
  readonly memory_limit_bytes: number;
  readonly network_received_bytes: number;
  readonly network_sent_bytes: number;
  readonly services?: readonly ({ readonly service: string } & Use)[];
  readonly gpus?: readonly CardSample[];
}

type Use = Pick<
  Sample,
  'cpu_cores' | 'memory_bytes' | 'memory_limit_bytes' | 'network_received_bytes' | 'network_sent_bytes'
>;

export interface CardSample {
  readonly uuid: string;
  readonly utilization_percent: number | null;
  readonly memory_used_mib: number | null;
  readonly memory_total_mib: number | null;
  readonly temperature_celsius: number | null;
}

type Values = readonly (number | null)[];

export interface Line {
  readonly label: string;
  readonly values: Values;
  /** Number of its colour; `limit` for the line of what it may use. */
  readonly tone: number | 'limit';
}

export interface ChartData {
  readonly id: string;
  readonly title: string;
  /** Seconds since 1970, increasing. */
  readonly times: readonly number[];
  readonly lines: readonly Line[];
  /** Top of the scale, where the highest value does not decide. */
  readonly most: number | null;
  readonly text: (value: number) => string;
  /** True for bytes, which are counted in powers of two. */
  readonly isBinary: boolean;
  /** The newest values in a sentence; empty where there are none. */
  readonly now: string;
}

const mib = 1024 ** 2;

/** All charts of an instance, or of one service of it. Cards have theirs where the host tells of any. */
export function chartsOf(samples: readonly Sample[], cores: number, service: string | null): ChartData[] {
  const uses = samples.map((sample) => useOf(sample, service));
  const { times, at } = withGaps(samples);
  const some = (pick: (use: Use) => number): Values =>
    at.map((index) => {
      const use = index === null ? undefined : uses[index];
      return use ? pick(use) : null;
    });
  const cpu = some(({ cpu_cores }) => cpu_cores);
  const memory = some(({ memory_bytes }) => memory_bytes);
  const limit = some(({ memory_limit_bytes }) => memory_limit_bytes);
  const received = rates(at, samples, uses, (use) => use.network_received_bytes);
  const sent = rates(at, samples, uses, (use) => use.network_sent_bytes);
  const isWhole = service === null;
  return [
    {
      ...{ id: 'cpu', title: 'CPU', times, most: isWhole ? cores : null, text: coresText, isBinary: false },
      lines: [
        line('In use', cpu, 0),
        ...(isWhole
          ? [
              line(
                'Limit',
                at.map(() => cores),
                'limit',
              ),
            ]
          : []),
      ],
      now: sentence(cpu, (value) =>
        isWhole && cores > 0
          ? `${coresText(value)} of ${shortNumber(cores)}, ${Math.round((value / cores) * 100)} % of its limit`
          : coresText(value),
      ),
    },
    {
      ...{ id: 'memory', title: 'Memory', times, most: newest(limit) ?? null, text: bytesText, isBinary: true },
      lines: [line('In use', memory, 0), line('Limit', limit, 'limit')],
      now: sentence(memory, (value) => {
        const most = newest(limit);
        return most
          ? `${bytesText(value)} of ${bytesText(most)}, ${Math.round((value / most) * 100)} %`
          : bytesText(value);
      }),
    },
    {
      ...{ id: 'network', title: 'Network', times, most: null, text: rateText, isBinary: true },
      lines: [line('Received', received, 0), line('Sent', sent, 1)],
      now: sentence(received, (value) => `${rateText(value)} received, ${rateText(newest(sent) ?? 0)} sent`),
    },
    ...cardCharts(samples, times, at),
  ];
}

function cardCharts(samples: readonly Sample[], times: readonly number[], at: readonly (number | null)[]): ChartData[] {
  const uuids = [...new Set(samples.flatMap(({ gpus = [] }) => gpus.map(({ uuid }) => uuid)))];
  const values = (uuid: string, pick: (card: CardSample) => number | null): Values =>
    at.map((index) => {
      const card = index === null ? undefined : samples[index]?.gpus?.find((each) => each.uuid === uuid);
      return card ? pick(card) : null;
    });
  const chart = (
    id: string,
    title: string,
    most: number | null,
    text: ChartData['text'],
    pick: (card: CardSample) => number | null,
  ): ChartData[] => {
    const lines = uuids.map((uuid, tone) => line(`GPU ${tone + 1}, …${uuid.slice(-6)}`, values(uuid, pick), tone));
    // What no card tells has no chart.
    if (!lines.some((each) => each.values.some((value) => value !== null))) return [];
    const now = lines
      .flatMap((each) => newest(each.values) ?? [])
      .map(text)
      .join(', ');
    return [{ id, title, times, lines, most, text, isBinary: text === bytesText, now }];
  };
  const total = Math.max(0, ...samples.flatMap(({ gpus = [] }) => gpus.map((card) => card.memory_total_mib ?? 0)));
  return [
    ...chart('gpu', 'GPU utilisation', 100, percentText, (card) => card.utilization_percent),
    ...chart('gpu-memory', 'GPU memory', total > 0 ? total * mib : null, bytesText, ({ memory_used_mib }) =>
      memory_used_mib === null ? null : memory_used_mib * mib,
    ),
    ...chart('gpu-temperature', 'GPU temperature', null, degreesText, (card) => card.temperature_celsius),
  ];
}

function useOf(sample: Sample, service: string | null): Use | undefined {
  return service === null ? sample : sample.services?.find((each) => each.service === service);
}

/**
 * Times with the sample of each, and a time without one where the host was silent: `null` breaks the lines. Samples that
 * came twice, or late, are left out.
 */
function withGaps(samples: readonly Sample[]): { readonly times: number[]; readonly at: (number | null)[] } {
  const times: number[] = [];
  const at: (number | null)[] = [];
  for (const [index, { at: said, interval_seconds }] of samples.entries()) {
    const time = Date.parse(said) / 1000;
    const last = times.at(-1);
    if (Number.isNaN(time) || (last !== undefined && time <= last)) continue;
    if (last !== undefined && time - last > 3 * Math.max(1, interval_seconds)) {
      times.push(last + 1);
      at.push(null);
    }
    times.push(time);
    at.push(index);
  }
  return { times, at };
}

/** Bytes a second; null behind a gap, and where the count began anew because the container did. */
function rates(
  at: readonly (number | null)[],
  samples: readonly Sample[],
  uses: readonly (Use | undefined)[],
  count: (use: Use) => number,
): Values {
  return at.map((index, place) => {
    const before = place === 0 ? null : at[place - 1];
    if (index === null || before === null || before === undefined) return null;
    const [use, last] = [uses[index], uses[before]];
    const seconds = (Date.parse(samples[index]?.at ?? '') - Date.parse(samples[before]?.at ?? '')) / 1000;
    if (!use || !last || !(seconds > 0) || count(use) < count(last)) return null;
    return (count(use) - count(last)) / seconds;
  });
}

function line(label: string, values: Values, tone: Line['tone']): Line {
  return { label, values, tone };
}

function newest(values: Values): number | undefined {
  return values.findLast((value) => value !== null) ?? undefined;
}

function sentence(values: Values, words: (value: number) => string): string {
  const value = newest(values);
  return value === undefined ? '' : words(value);
}

const coresText = (value: number) => `${shortNumber(value)} ${value === 1 ? 'core' : 'cores'}`;
const rateText = (value: number) => `${bytesText(value)}/s`;
const percentText = (value: number) => `${Math.round(value)} %`;
const degreesText = (value: number) => `${Math.round(value)} °C`;
