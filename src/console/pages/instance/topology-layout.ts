/**
 * Where the parts of an instance stand in its drawing. By hand, so that it is calm and always the same: people on the
 * left, what runs in the middle, what it stands on at the right; on a narrow page one below the other.
 *
 *   you ── endpoint ── service ── folder
 *                         └────── card
 */
import type { InstanceTopology } from '../../../server/instances/instance-topology.ts';
import type { InstanceView } from '../../../server/instances/instance-view.ts';
import { cleanLine } from './clean-text.ts';

export type PartKind = 'you' | 'endpoint' | 'service' | 'mount' | 'card';

export interface Part {
  readonly id: string;
  readonly kind: PartKind;
  readonly title: string;
  /** Second line, in small. */
  readonly detail: string;
  /** State in words; null for what has none. */
  readonly state: string | null;
}

export interface PlacedPart extends Part {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

export interface Link {
  readonly from: string;
  readonly to: string;
}

export interface PlacedLink extends Link {
  /** Path of an SVG. */
  readonly path: string;
}

export interface Drawing {
  readonly width: number;
  readonly height: number;
  readonly parts: readonly PlacedPart[];
  readonly links: readonly PlacedLink[];
}

type Instance = Pick<InstanceView, 'about' | 'gpus' | 'host_ports' | 'endpoints'>;

/** Parts and what connects them; a folder of several services is one part. */
export function shapeOf(topology: InstanceTopology, instance: Instance): { parts: Part[]; links: Link[] } {
  const parts = new Map<string, Part>();
  const links: Link[] = [];
  const add = (part: Part) => void (parts.has(part.id) || parts.set(part.id, part));
  for (const service of topology.services) {
    const own = `service ${service.name}`;
    for (const name of service.endpoints) {
      add(endpointPart(name, instance));
      links.push({ from: `endpoint ${name}`, to: own });
    }
    add(servicePart(service));
    for (const name of service.mounts) {
      add(mountPart(name, instance));
      links.push({ from: own, to: `mount ${name}` });
    }
    for (const uuid of service.gpus) {
      add(cardPart(uuid, instance));
      links.push({ from: own, to: `card ${uuid}` });
    }
  }
  const all = [...parts.values()];
  const endpoints = all.filter(({ kind }) => kind === 'endpoint');
  const you: Part[] =
    endpoints.length === 0 ? [] : [{ id: 'you', kind: 'you', title: 'You', detail: 'by SSH tunnel', state: null }];
  return { parts: [...you, ...all], links: [...endpoints.map(({ id }) => ({ from: 'you', to: id })), ...links] };
}

function endpointPart(name: string, { host_ports, endpoints }: Instance): Part {
  const port = host_ports[name];
  const protocol = endpoints.find((each) => each.name === name)?.protocol;
  const detail = [protocol, port === undefined ? undefined : `127.0.0.1:${port}`].filter((each) => each !== undefined);
  return { id: `endpoint ${name}`, kind: 'endpoint', title: name, detail: detail.join(' · '), state: null };
}

function servicePart({ name, role, state, health, restarts }: InstanceTopology['services'][number]): Part {
  const facts = [
    role.replaceAll('_', ' '),
    health ?? '',
    restarts === 0 ? '' : `${restarts} ${restarts === 1 ? 'restart' : 'restarts'}`,
  ];
  const detail = facts.filter((each) => each !== '').map(cleanLine);
  return {
    id: `service ${name}`,
    kind: 'service',
    title: name,
    detail: detail.join(' · '),
    state: state ?? 'not reported',
  };
}

const modes: Readonly<Record<string, string>> = {
  scratch: 'scratch of this instance',
  project_storage: 'project storage',
};

function mountPart(name: string, { about }: Instance): Part {
  const mount = about.storage.find((each) => each.name === name);
  const detail = mount ? `${mount.path} · ${modes[mount.mode] ?? mount.mode}` : '';
  return { id: `mount ${name}`, kind: 'mount', title: name, detail, state: null };
}

function cardPart(uuid: string, { gpus }: Instance): Part {
  const card = gpus.find((each) => each.uuid === uuid)?.card;
  const detail = card ? `${Math.round(card.memory_mib / 1024)} GiB · ${shortUuid(uuid)}` : shortUuid(uuid);
  return {
    ...{ id: `card ${uuid}`, kind: 'card', title: card ? cleanLine(card.name) : 'GPU', detail },
    state: card?.health ?? 'not reported',
  };
}

/** Enough of it to tell cards of a host apart. */
export function shortUuid(uuid: string): string {
  return uuid.length > 16 ? `${uuid.slice(0, 12)}…` : uuid;
}

const gap = { x: 44, y: 16 } as const;
const box = { width: 198, height: 60 } as const;
const columnOf: Readonly<Record<PartKind, number>> = { you: 0, endpoint: 1, service: 2, mount: 3, card: 3 };

/** Side by side where there is room for it, else one below the other. */
export function placeTopology(parts: readonly Part[], links: readonly Link[], room: number): Drawing {
  const columns = [...new Set(parts.map(({ kind }) => columnOf[kind]))].sort();
  const wide = columns.length * box.width + (columns.length - 1) * gap.x;
  return room >= wide ? across(parts, links, columns) : down(parts, links, room);
}

function across(parts: readonly Part[], links: readonly Link[], columns: readonly number[]): Drawing {
  const step = box.height + gap.y;
  const tallest = Math.max(0, ...columns.map((column) => parts.filter(({ kind }) => columnOf[kind] === column).length));
  const height = Math.max(0, tallest * step - gap.y);
  const placed = columns.flatMap((column, index) => {
    const its = parts.filter(({ kind }) => columnOf[kind] === column);
    const top = (height - (its.length * step - gap.y)) / 2;
    return its.map((part, row) => ({ ...part, ...box, x: index * (box.width + gap.x), y: top + row * step }));
  });
  const width = columns.length * (box.width + gap.x) - gap.x;
  const paths = linked(placed, links, ([one, other]) => {
    const [x1, y1] = [one.x + one.width, one.y + one.height / 2];
    const [x2, y2] = [other.x, other.y + other.height / 2];
    const middle = (x1 + x2) / 2;
    return `M${x1} ${y1}C${middle} ${y1} ${middle} ${y2} ${x2} ${y2}`;
  });
  return { width: Math.max(0, width), height, parts: placed, links: paths };
}

const indent = 20;

/** Each part below the one that leads to it, like a folder in a tree. */
function down(parts: readonly Part[], links: readonly Link[], room: number): Drawing {
  const byId = new Map(parts.map((part) => [part.id, part]));
  const placed = new Map<string, PlacedPart>();
  const width = Math.max(220, room);
  let y = 0;
  const place = (id: string, depth: number) => {
    const part = byId.get(id);
    if (!part || placed.has(id)) return;
    placed.set(id, { ...part, x: depth * indent, y, width: width - depth * indent, height: box.height });
    y += box.height + gap.y;
    for (const link of links) if (link.from === id) place(link.to, depth + 1);
  };
  for (const { id } of parts) if (!links.some(({ to }) => to === id)) place(id, 0);
  const paths = linked([...placed.values()], links, ([one, other]) => {
    const [x1, y1] = [one.x + indent / 2, one.y + one.height];
    // A part that stands elsewhere already is reached along the edge.
    return `M${x1} ${y1}V${other.y + other.height / 2}H${other.x}`;
  });
  return { width, height: Math.max(0, y - gap.y), parts: [...placed.values()], links: paths };
}

function linked(
  parts: readonly PlacedPart[],
  links: readonly Link[],
  pathOf: (ends: readonly [PlacedPart, PlacedPart]) => string,
): PlacedLink[] {
  return links.flatMap((link) => {
    const one = parts.find(({ id }) => id === link.from);
    const other = parts.find(({ id }) => id === link.to);
    return one && other ? [{ ...link, path: pathOf([one, other]) }] : [];
  });
}

/** The drawing in words, for whoever does not see it: one sentence a service. */
export function topologyWords(topology: InstanceTopology, instance: Instance): { service: string; facts: string[] }[] {
  return topology.services.map((service) => {
    const { detail, state, title } = servicePart(service);
    const some = (what: string, parts: readonly Part[]) =>
      parts.map((part) => `${what} ${part.title}${part.detail === '' ? '' : ` (${part.detail})`}`);
    return {
      service: title,
      facts: [
        `is ${state}${detail === '' ? '' : ` (${detail})`}`,
        ...some(
          'serves endpoint',
          service.endpoints.map((name) => endpointPart(name, instance)),
        ),
        ...some(
          'uses folder',
          service.mounts.map((name) => mountPart(name, instance)),
        ),
        ...some(
          'holds card',
          service.gpus.map((uuid) => cardPart(uuid, instance)),
        ),
      ],
    };
  });
}
