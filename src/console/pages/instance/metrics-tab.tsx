/** What an instance uses: CPU, memory, network and its cards, over the last hour. */
import { useEffect, useMemo, useState } from 'preact/hooks';
import type { InstanceView } from '../../../server/instances/instance-view.ts';
import { useResource } from '../../lib/use-resource.ts';
import { Empty } from '../../parts/empty.tsx';
import { Filter } from '../../parts/field.tsx';
import { Shown } from '../../parts/page.tsx';
import { Timestamp } from '../../parts/timestamp.tsx';
import { chartsOf, type Sample } from './chart-series.ts';
import { cleanLine } from './clean-text.ts';
import { Chart } from './metrics-chart.tsx';

/** Hosts sample about as often. */
const everyMs = 10_000;

export interface MetricsTabProps {
  readonly instance: InstanceView;
  readonly path: string;
}

export function MetricsTab({ instance, path }: MetricsTabProps) {
  const isSeen = useSeen();
  const samples = useResource<{ samples: Sample[] }>(`${path}/metrics`, isSeen ? { everyMs } : {});
  return (
    <Shown of={samples} title="What it uses cannot be shown.">
      {({ samples: some }) =>
        some.length === 0 ? (
          <Empty title="Nothing was measured yet.">{whyEmpty(instance)}</Empty>
        ) : (
          <Charts instance={instance} samples={some} />
        )
      }
    </Shown>
  );
}

function whyEmpty({ state }: InstanceView): string {
  if (state === 'running' || state === 'degraded') {
    return 'Its node sends what it uses a few seconds after it has begun to run, and keeps the last hour.';
  }
  return `It is ${state}. Measured is what runs, and after a restart of the control plane the charts begin anew.`;
}

interface ChartsProps {
  readonly instance: InstanceView;
  readonly samples: readonly Sample[];
}

function Charts({ instance, samples }: ChartsProps) {
  const [service, setService] = useState('');
  const services = useMemo(
    () => [...new Set(samples.flatMap((sample) => (sample.services ?? []).map((each) => each.service)))],
    [samples],
  );
  const charts = useMemo(
    () => chartsOf(samples, instance.resources.cpu_cores, service === '' ? null : service),
    [samples, instance.resources.cpu_cores, service],
  );
  const newest = samples.at(-1);
  return (
    <div class="stack">
      <div class="row">
        {services.length > 0 && (
          <Filter
            label="What is measured"
            value={service}
            onValue={setService}
            choices={[
              { value: '', label: 'The whole instance' },
              ...services.map((name) => ({ value: name, label: `Service ${cleanLine(name)}` })),
            ]}
          />
        )}
        {newest && (
          <span class="muted">
            Newest sample <Timestamp at={newest.at} />
          </span>
        )}
        {instance.resources.gpu_count > 0 && !samples.some(({ gpus }) => gpus?.length) && (
          <span class="muted">Its cards tell nothing of their use.</span>
        )}
      </div>
      <div class="charts">
        {charts.map((chart) => (
          <Chart key={`${chart.id} ${chart.lines.length}`} chart={chart} />
        ))}
      </div>
    </div>
  );
}

/** False while the page is in the background: then nothing is asked for and nothing drawn. */
function useSeen(): boolean {
  const [isSeen, setSeen] = useState(!document.hidden);
  useEffect(() => {
    const look = () => setSeen(!document.hidden);
    document.addEventListener('visibilitychange', look);
    return () => document.removeEventListener('visibilitychange', look);
  }, []);
  return isSeen;
}
