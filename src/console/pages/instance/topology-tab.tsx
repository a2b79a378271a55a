/** What an instance consists of, drawn: services, endpoints, folders and cards, with what each is now (G-185). */
import { useMemo, useRef } from 'preact/hooks';
import type { InstanceTopology } from '../../../server/instances/instance-topology.ts';
import type { InstanceView } from '../../../server/instances/instance-view.ts';
import { cut, words } from '../../lib/format.ts';
import { Link } from '../../lib/router.tsx';
import { useResource } from '../../lib/use-resource.ts';
import { toneOf } from '../../parts/badge.tsx';
import { Empty } from '../../parts/empty.tsx';
import { Shown } from '../../parts/page.tsx';
import { cleanLine } from './clean-text.ts';
import { type PlacedPart, placeTopology, shapeOf, topologyWords } from './topology-layout.ts';
import { useWidth } from './use-width.ts';

export interface TopologyTabProps {
  readonly instance: InstanceView;
  readonly path: string;
}

export function TopologyTab({ instance, path }: TopologyTabProps) {
  const topology = useResource<InstanceTopology>(`${path}/topology`, { subjects: [instance.id], everyMs: 15_000 });
  return (
    <Shown of={topology} title="What it consists of cannot be shown.">
      {(data) =>
        data.services.length === 0 ? (
          <Empty title="Nobody said what it consists of." />
        ) : (
          <div class="stack">
            {data.description !== '' && <p>{cleanLine(data.description)}</p>}
            <Drawing topology={data} instance={instance} />
            <InWords topology={data} instance={instance} />
          </div>
        )
      }
    </Shown>
  );
}

interface PictureProps {
  readonly topology: InstanceTopology;
  readonly instance: InstanceView;
}

function Drawing({ topology, instance }: PictureProps) {
  const box = useRef<HTMLDivElement>(null);
  const room = useWidth(box);
  const { parts, links } = useMemo(() => shapeOf(topology, instance), [topology, instance]);
  const { width, height, ...drawing } = useMemo(() => placeTopology(parts, links, room), [parts, links, room]);
  return (
    <div ref={box} class="topology section">
      <svg
        class="topology-drawing"
        width={width}
        height={height}
        viewBox={`0 0 ${width} ${height}`}
        role="img"
        aria-label="Drawing of what it consists of; the same in words is below."
      >
        {drawing.links.map(({ from, to, path }) => (
          <path key={`${from} ${to}`} class="topology-link" d={path} />
        ))}
        {drawing.parts.map((part) => (
          <PartBox key={part.id} part={part} />
        ))}
      </svg>
    </div>
  );
}

function PartBox({ part }: { readonly part: PlacedPart }) {
  const { kind, x, y, width, height, title, detail, state } = part;
  const name = cleanLine(title);
  const stateRoom = state === null ? 0 : 28 + state.length * 6.8;
  return (
    <g class={`topology-part topology-${kind}`} transform={`translate(${x} ${y})`}>
      <title>
        {[name, state === null ? '' : words(state), cleanLine(detail)].filter((each) => each !== '').join(' · ')}
      </title>
      <rect width={width} height={height} rx={8} />
      <text x={12} y={detail === '' ? height / 2 + 5 : 25} class="topology-title">
        {cut(name, width - 24 - stateRoom, 7.6)}
      </text>
      {detail !== '' && (
        <text x={12} y={45} class="topology-detail">
          {cut(cleanLine(detail), width - 24, 6.4)}
        </text>
      )}
      {state !== null && (
        <g class={`topology-state topology-state-${toneOf(state)}`}>
          <circle cx={width - 20 - state.length * 6.8} cy={20.5} r={4} />
          <text x={width - 12} y={25} text-anchor="end">
            {words(state)}
          </text>
        </g>
      )}
    </g>
  );
}

function InWords({ topology, instance }: PictureProps) {
  const isStack = instance.members.some(({ name }) => name !== 'main');
  return (
    <details>
      <summary>The same in words</summary>
      <ul class="topology-words">
        {topologyWords(topology, instance).map(({ service, facts }) => (
          <li key={service}>
            <strong>{cleanLine(service)}</strong>{' '}
            {isStack && (
              <Link
                to={`/instances/${encodeURIComponent(instance.id)}/logs?service=${encodeURIComponent(service)}`}
                aria-label={`Log of ${cleanLine(service)}`}
              >
                log
              </Link>
            )}
            <ul>
              {facts.map((fact) => (
                <li key={fact}>{cleanLine(fact)}</li>
              ))}
            </ul>
          </li>
        ))}
      </ul>
    </details>
  );
}
