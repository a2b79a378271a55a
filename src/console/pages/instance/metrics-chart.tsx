/** One chart: lines over time, with a legend that says what they are at the place that is pointed at, or now. */
import { useRef, useState } from 'preact/hooks';
import { clockText } from './amounts.ts';
import { nearest, pathOf, plotOf, type Scale, scaleOf, timeTicks, valueTicks } from './chart-scale.ts';
import type { ChartData, Line } from './chart-series.ts';
import { cleanLine } from './clean-text.ts';
import { useWidth } from './use-width.ts';

const height = 170;

export function Chart({ chart }: { readonly chart: ChartData }) {
  const { title, times, lines, now, text } = chart;
  const box = useRef<HTMLDivElement>(null);
  const [pointed, setPointed] = useState<number | null>(null);
  const plot = plotOf(useWidth(box), height);
  const scale = scaleOf(plot, times, lines, chart.most);
  const at = pointed === null || pointed >= times.length ? null : pointed;
  const point = (event: PointerEvent) => {
    setPointed(nearest(times, scale, event.clientX - (box.current?.getBoundingClientRect().left ?? 0)));
  };
  return (
    <figure class="section chart">
      <figcaption>
        <h3>{title}</h3>
        <p class="muted">{at === null ? now : clockOf(times[at])}</p>
      </figcaption>
      <div ref={box} class="chart-plot" onPointerMove={point} onPointerLeave={() => setPointed(null)}>
        <svg width={plot.width} height={height} role="img" aria-label={`${title}: ${now || 'nothing measured'}`}>
          {valueTicks(scale.highest, chart.isBinary).map((value) => (
            <g key={value}>
              <path class="chart-grid" d={`M${plot.left} ${scale.y(value)}H${plot.right}`} />
              <text x={plot.left - 8} y={scale.y(value) + 4} text-anchor="end">
                {text(value)}
              </text>
            </g>
          ))}
          {timeTicks(times, plot.right - plot.left).map((time) => (
            <text key={time} x={Math.min(scale.x(time), plot.right - 16)} y={height - 4} text-anchor="middle">
              {clockOf(time).slice(0, 5)}
            </text>
          ))}
          {lines.map((line) => (
            <path
              key={line.label}
              class={`chart-line tone-${toneOf(line)}`}
              d={pathOf(times, line, scale)}
              stroke-dasharray={dashOf(line)}
            />
          ))}
          {at !== null && <Pointed at={at} chart={chart} scale={scale} top={plot.top} bottom={plot.bottom} />}
        </svg>
      </div>
      <ul class="chart-legend">
        {lines.map((line) => (
          <li key={line.label} class={`tone-${toneOf(line)}`}>
            <svg viewBox="0 0 20 8" aria-hidden="true">
              <path d="M0 4h20" stroke-dasharray={dashOf(line)} />
            </svg>
            <span class="chart-name" title={cleanLine(line.label)}>
              {cleanLine(line.label)}
            </span>
            <span class="chart-value">{valueText(line, at, text)}</span>
          </li>
        ))}
      </ul>
    </figure>
  );
}

interface PointedProps {
  readonly at: number;
  readonly chart: ChartData;
  readonly scale: Scale;
  readonly top: number;
  readonly bottom: number;
}

function Pointed({ at, chart: { times, lines }, scale, top, bottom }: PointedProps) {
  const x = scale.x(times[at] ?? 0);
  return (
    <>
      <path class="chart-pointed" d={`M${x} ${top}V${bottom}`} />
      {lines.map((line) => {
        const value = line.values[at];
        return typeof value === 'number' ? (
          <circle key={line.label} class={`chart-dot tone-${toneOf(line)}`} cx={x} cy={scale.y(value)} r={3.5} />
        ) : null;
      })}
    </>
  );
}

/** `seconds` since 1970. */
function clockOf(seconds = 0): string {
  return clockText(new Date(seconds * 1000).toISOString());
}

/** At the place, or the newest. */
function valueText({ values }: Line, at: number | null, text: ChartData['text']): string {
  const value = at === null ? values.findLast((each) => each !== null) : values[at];
  return value === null || value === undefined ? '–' : text(value);
}

/** There are colours for so many lines; each has dashes of its own as well. */
const tones = 4;

function toneOf({ tone }: Line): string {
  return tone === 'limit' ? 'limit' : String(tone % tones);
}

function dashOf({ tone }: Line): string | undefined {
  return tone === 'limit' ? '4 4' : [undefined, '6 3', '2 3', '8 3 2 3'][tone % tones];
}
