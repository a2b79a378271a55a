/** The steps of a job, drawn: what runs side by side, what waits for what, and how each stands. Each step is a link. */
import { useMemo, useRef } from 'preact/hooks';
import { cut } from '../../lib/format.ts';
import { toneOf } from '../../parts/badge.tsx';
import { type IconName, iconShapes } from '../../parts/icon.tsx';
import { cleanLine } from '../instance/clean-text.ts';
import { useWidth } from '../instance/use-width.ts';
import { type GraphStep, type PlacedStep, placeSteps } from './graph-layout.ts';

/** How a step looks; without a state it is only planned. */
export interface StepLook {
  readonly state: string;
  readonly sign: IconName;
  readonly detail: string;
  /** Address of what is known of it. */
  readonly to: string;
}

export interface StepGraphProps {
  readonly steps: readonly GraphStep[];
  readonly lookOf?: (id: string) => StepLook | undefined;
  readonly chosen?: string | undefined;
}

export function StepGraph({ steps, lookOf, chosen }: StepGraphProps) {
  const box = useRef<HTMLDivElement>(null);
  const room = useWidth(box);
  // What is told of steps changes all the time, and where they stand does not.
  const shape = JSON.stringify(steps.map(({ id, group, depends_on }) => [id, group, depends_on]));
  const graph = useMemo(() => placeSteps(steps, room), [shape, room]);
  const names = new Map(steps.map(({ id, name }) => [id, cleanLine(name)]));
  return (
    <div ref={box} class="graph">
      {/* biome-ignore lint/a11y/useSemanticElements: a drawing of links is no fieldset. */}
      <svg
        class="graph-drawing"
        width={graph.width}
        height={graph.height}
        viewBox={`0 0 ${graph.width} ${graph.height}`}
        role="group"
        aria-label="Steps, and what each waits for"
      >
        <defs>
          <marker
            id="graph-arrow"
            viewBox="0 0 8 8"
            refX="7"
            refY="4"
            markerWidth="9"
            markerHeight="9"
            markerUnits="userSpaceOnUse"
            orient="auto"
          >
            <path class="graph-arrow" d="M0 0L8 4L0 8z" />
          </marker>
        </defs>
        {graph.groups.map(({ name, title, x, y, width, height }) => (
          <g key={name} class={title === null ? 'graph-group graph-alone' : 'graph-group'}>
            <rect {...{ x, y, width, height }} rx={10} />
            {title !== null && (
              <text x={x + 14} y={y + 24}>
                {cut(cleanLine(title), width - 28, 7)}
              </text>
            )}
          </g>
        ))}
        {graph.links.map(({ from, to, kind, path }) => (
          <path
            key={`${kind} ${from} ${to}`}
            class={`graph-link graph-link-${kind} ${chosen === from || chosen === to ? 'graph-link-chosen' : ''}`}
            d={path}
            marker-end="url(#graph-arrow)"
          />
        ))}
        {graph.steps.map((step) => (
          <StepNode
            key={step.id}
            step={step}
            name={names.get(step.id) ?? step.id}
            look={lookOf?.(step.id)}
            isChosen={step.id === chosen}
          />
        ))}
      </svg>
    </div>
  );
}

interface NodeProps {
  readonly step: PlacedStep;
  readonly name: string;
  readonly look: StepLook | undefined;
  readonly isChosen: boolean;
}

function StepNode({ step: { x, y, width, height }, name, look, isChosen }: NodeProps) {
  const inside = (
    <>
      <rect width={width} height={height} rx={8} />
      {look && (
        <svg class="graph-sign" x={12} y={17} width={24} height={24} viewBox="0 0 24 24" aria-hidden="true">
          <path d={iconShapes[look.sign]} />
        </svg>
      )}
      <text x={look ? 46 : 14} y={look ? 25 : 34} class="graph-name">
        {cut(name, width - (look ? 58 : 28), 7.6)}
      </text>
      {look && (
        <text x={46} y={44} class="graph-detail">
          {cut(look.detail, width - 58, 6.3)}
        </text>
      )}
    </>
  );
  const place = `translate(${x} ${y})`;
  if (!look) {
    return (
      <g class="graph-step" transform={place}>
        <title>{name}</title>
        {inside}
      </g>
    );
  }
  return (
    <a
      class={`graph-step graph-${toneOf(look.state)} graph-state-${look.state}`}
      href={`#${look.to}`}
      aria-current={isChosen ? 'true' : undefined}
    >
      <title>{`Step ${name}: ${look.detail}`}</title>
      <g transform={place}>{inside}</g>
    </a>
  );
}
