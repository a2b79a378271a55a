/**
 * Whether this host drains, kept in a file of its own: it outlives a restart of the agent and a journal that was lost, and
 * can be read by whoever is on the host. Somebody on the host may want it, and the control plane: each ends only his own.
 */
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type Static, Type } from 'typebox';
import { readStrictJson } from '../contract/strict-json.ts';
import { judge } from '../contract/validate.ts';
import { writeDurable } from '../kit/durable.ts';

const Drain = Type.Object(
  { since: Type.String({ maxLength: 40 }), reason: Type.String({ maxLength: 256 }) },
  { additionalProperties: false },
);
type Drain = Static<typeof Drain>;

export const drainers = ['host', 'control_plane'] as const;
export type Drainer = (typeof drainers)[number];

const Drains = Type.Object(
  { host: Type.Optional(Drain), control_plane: Type.Optional(Drain) },
  { additionalProperties: false },
);
type Drains = Static<typeof Drains>;

export class DrainState {
  readonly #file: string;
  #drains: Drains;

  /** A file that cannot be read counts as a drain: a host that was to be emptied must not fill up again by accident. */
  constructor(stateDir: string) {
    this.#file = join(stateDir, 'drain.json');
    this.#drains = readDrains(this.#file);
  }

  /** Null if the host takes new work. */
  get current(): Drain | null {
    return this.#drains.host ?? this.#drains.control_plane ?? null;
  }

  /** Whoever wants it. */
  get by(): Drainer[] {
    return drainers.filter((by) => this.#drains[by]);
  }

  begin(by: Drainer, reason: string, now: string): void {
    this.#keep({ ...this.#drains, [by]: { since: this.#drains[by]?.since ?? now, reason } });
  }

  end(by: Drainer): void {
    const { [by]: _ended, ...others } = this.#drains;
    this.#keep(others);
  }

  #keep(drains: Drains): void {
    if (Object.keys(drains).length === 0) {
      rmSync(this.#file, { force: true });
    } else {
      writeDurable(this.#file, `${JSON.stringify(drains)}\n`, 0o600);
    }
    this.#drains = drains;
  }
}

function readDrains(file: string): Drains {
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
      return {};
    }
    throw error;
  }
  const unreadable = { host: { since: new Date(0).toISOString(), reason: `${file} cannot be read.` } };
  const read = readStrictJson(bytes);
  const judged = read.ok ? judge(Drains, read.value) : read;
  return judged.ok ? judged.value : unreadable;
}
