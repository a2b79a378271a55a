/** Tells what the proxy of a job has refused, each place once in a while however often it was asked for. */
export interface RefusedPlace {
  readonly host: string | null;
  readonly port: number | null;
  readonly scheme: string | null;
  /** A word for programs. */
  readonly refused: string;
  readonly reason: string;
  /** Refusals before it that the proxy has written no line for. */
  readonly left_out?: number;
}

type Tell = (message: string, values: Record<string, unknown>) => void;

const windowMs = 60_000;
const mostPlaces = 100;

export class RefusedPlaces {
  readonly #tell: Tell;
  readonly #now: () => number;
  readonly #known = new Map<string, { readonly place: RefusedPlace; toldAt: number; more: number }>();
  #others = 0;

  constructor(tell: Tell, now = () => performance.now()) {
    this.#tell = tell;
    this.#now = now;
  }

  /** A line of the log; true where something was told. */
  read(line: string): boolean {
    const place = placeIn(line);
    if (!place) return false;
    const { host, port, scheme, refused, left_out: leftOut = 0 } = place;
    this.#others += leftOut;
    const key = JSON.stringify([host, port, scheme, refused]);
    const known = this.#known.get(key);
    if (known && this.#now() - known.toldAt < windowMs) {
      known.more += 1;
      return false;
    }
    if (!known && this.#known.size >= mostPlaces) {
      this.#others += 1;
      return false;
    }
    this.#say(place, (known?.more ?? 0) + 1);
    this.#known.set(key, { place, toldAt: this.#now(), more: 0 });
    return true;
  }

  /** Tells how often what was told was asked for again, and how many places were not told. */
  end(): void {
    for (const { place, more } of this.#known.values()) if (more > 0) this.#say(place, more);
    const count = this.#others;
    if (count > 0) this.#tell(`${count} more attempts to reach other places were refused.`, { count, code: 'others' });
    this.#known.clear();
    this.#others = 0;
  }

  #say({ host, port, scheme, refused, reason }: RefusedPlace, count: number): void {
    const times = count > 1 ? ` (${count} times)` : '';
    this.#tell(`Refused by the proxy: ${reason}${times}`, { host, port, scheme, code: refused, count });
  }
}

function placeIn(line: string): RefusedPlace | undefined {
  try {
    const said = JSON.parse(line) as Partial<RefusedPlace> | null;
    const { host, port, scheme, refused, reason } = said ?? {};
    if (typeof refused !== 'string' || typeof reason !== 'string') return undefined;
    const left_out = Number.isSafeInteger(said?.left_out) ? Math.max(0, said?.left_out ?? 0) : 0;
    return { host: host ?? null, port: port ?? null, scheme: scheme ?? null, refused, reason, left_out };
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
