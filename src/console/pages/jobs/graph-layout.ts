/**
 * Where the steps of a job are drawn: groups below one another, in the order in which they run; within a group what waits for
 * something below that. Nothing overlaps, whatever a plan looks like and however little room there is.
 */
export interface GraphStep {
  readonly id: string;
  readonly name: string;
  readonly group: string;
  readonly depends_on: readonly string[];
}

interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

export interface PlacedStep extends Box {
  readonly id: string;
}

export interface PlacedGroup extends Box {
  readonly name: string;
  /** Null where its author gave it none. */
  readonly title: string | null;
}

export interface StepLink {
  /** Ids of steps; names of groups for what leads from one group to the next. */
  readonly from: string;
  readonly to: string;
  readonly kind: 'step' | 'group';
  /** As an SVG path has it. */
  readonly path: string;
}

export interface PlacedGraph {
  readonly width: number;
  readonly height: number;
  readonly steps: readonly PlacedStep[];
  readonly groups: readonly PlacedGroup[];
  readonly links: readonly StepLink[];
}

const stepHeight = 58;
const leastWidth = 190;
const mostWidth = 300;
const gapAcross = 16;
const gapDown = 28;
const padding = 12;
const titleHeight = 24;

/** `room`: pixels across. A narrower drawing than that of one step is none. */
export function placeSteps(steps: readonly GraphStep[], room: number): PlacedGraph {
  const inside = Math.max(leastWidth, room - 2 * padding);
  const perRow = Math.max(1, Math.floor((inside + gapAcross) / (leastWidth + gapAcross)));
  const rowsOf = [...groupsOf(steps)].map(([name, members]) => ({ name, rows: rowsIn(members, perRow) }));
  const widest = Math.max(1, ...rowsOf.flatMap(({ rows }) => rows.map((row) => row.length)));
  const width = Math.min(mostWidth, Math.floor((inside - (widest - 1) * gapAcross) / widest));
  const all = widest * (width + gapAcross) - gapAcross + 2 * padding;

  const placed = new Map<string, PlacedStep>();
  const groups: PlacedGroup[] = [];
  let y = 0;
  for (const { name, rows } of rowsOf) {
    const top = y;
    const title = titleOf(name);
    y += padding + (title === null ? 0 : titleHeight);
    for (const row of rows) {
      const across = row.length * (width + gapAcross) - gapAcross;
      for (const [at, { id }] of row.entries()) {
        const x = (all - across) / 2 + at * (width + gapAcross);
        placed.set(id, { id, x, y, width, height: stepHeight });
      }
      y += stepHeight + gapDown;
    }
    const height = y - gapDown + padding - top;
    groups.push({ name, title, x: 0, y: top, width: all, height });
    y = top + height + gapDown;
  }
  const height = Math.max(0, y - gapDown);
  return {
    width: groups.length === 0 ? 0 : all,
    height,
    steps: [...placed.values()],
    groups,
    links: linksOf(steps, placed, groups),
  };
}

function groupsOf(steps: readonly GraphStep[]): ReadonlyMap<string, GraphStep[]> {
  const groups = new Map<string, GraphStep[]>();
  for (const step of steps) groups.set(step.group, [...(groups.get(step.group) ?? []), step]);
  return groups;
}

/** A step that is in no group has one of its own, which nobody has named. */
function titleOf(group: string): string | null {
  return group.startsWith('op:') ? null : group;
}

/** What can run at once stands in a row, or in several where there is no room for that. */
function rowsIn(members: readonly GraphStep[], perRow: number): GraphStep[][] {
  const levels = levelsOf(members);
  const rows: GraphStep[][] = [];
  for (let level = 0; level <= Math.max(...levels.values()); level += 1) {
    const here = members.filter(({ id }) => levels.get(id) === level);
    for (let at = 0; at < here.length; at += perRow) rows.push(here.slice(at, at + perRow));
  }
  return rows;
}

/** How many others a step waits for, one after another. A circle, which no plan has, is cut where it is met. */
function levelsOf(members: readonly GraphStep[]): ReadonlyMap<string, number> {
  const byId = new Map(members.map((step) => [step.id, step]));
  const levels = new Map<string, number>();
  const open = new Set<string>();
  const levelOf = (id: string): number => {
    const known = levels.get(id);
    if (known !== undefined) return known;
    open.add(id);
    const before = (byId.get(id)?.depends_on ?? []).filter((other) => byId.has(other) && !open.has(other));
    const level = Math.max(-1, ...before.map(levelOf)) + 1;
    open.delete(id);
    levels.set(id, level);
    return level;
  };
  for (const { id } of members) levelOf(id);
  return levels;
}

function linksOf(
  steps: readonly GraphStep[],
  placed: ReadonlyMap<string, PlacedStep>,
  groups: readonly PlacedGroup[],
): StepLink[] {
  const within = steps.flatMap(({ id, depends_on }) =>
    [...new Set(depends_on)].flatMap((before): StepLink[] => {
      const [upper, lower] = [placed.get(before), placed.get(id)];
      if (!upper || !lower || upper.y >= lower.y) return [];
      const isBehind = [...placed.values()].some(({ x, y }) => x === upper.x && upper.y < y && y < lower.y);
      const path = upper.x === lower.x && isBehind ? aside(upper, lower) : curve(upper, lower);
      return [{ from: before, to: id, kind: 'step', path }];
    }),
  );
  const between = groups.slice(1).flatMap((lower, at): StepLink[] => {
    const upper = groups[at];
    return upper ? [{ from: upper.name, to: lower.name, kind: 'group', path: curve(upper, lower) }] : [];
  });
  return [...between, ...within];
}

/** From the middle below one box to the middle above another; the point of the arrow has room. */
function curve(upper: Box, lower: Box): string {
  const [x1, y1] = [upper.x + upper.width / 2, upper.y + upper.height];
  const [x2, y2] = [lower.x + lower.width / 2, lower.y - 2];
  const bend = Math.min(40, (y2 - y1) / 2);
  return `M${x1} ${y1}C${x1} ${y1 + bend} ${x2} ${y2 - bend} ${x2} ${y2}`;
}

/** Past what stands between two boxes that are above one another, to their left. */
function aside(upper: Box, lower: Box): string {
  const [y1, y2] = [upper.y + upper.height / 2, lower.y + lower.height / 2];
  const [x, lane] = [upper.x, upper.x - padding];
  return `M${x} ${y1}C${lane} ${y1} ${lane} ${y1 + 8} ${lane + 3} ${y1 + 20}L${lane + 3} ${y2 - 20}C${lane} ${y2 - 8} ${lane} ${y2} ${x - 1} ${y2}`;
}
