/**
 * Whether this host drains, kept in a file of its own: it outlives a restart of the agent and a journal that was lost, and
 * can be read by whoever is on the host.
 */
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Static, Type } from 'typebox';
import { judge } from '../contract/validate.ts';

const Drain = Type.Object(
  { since: Type.String({ maxLength: 40 }), reason: Type.String({ maxLength: 256 }) },
  { additionalProperties: false },
);
type Drain = Static<typeof Drain>;

export class DrainState {
  readonly #file: string;
  #drain: Drain | null;

  /** A file that cannot be read counts as a drain: a host that was to be emptied must not fill up again by accident. */
  constructor(stateDir: string) {
    this.#file = join(stateDir, 'drain.json');
    this.#drain = readDrain(this.#file);
  }

  /** Null if the host takes new work. */
  get current(): Drain | null {
    return this.#drain;
  }

  begin(reason: string, now: string): void {
    this.#drain = { since: this.#drain?.since ?? now, reason };
    const temporary = `${this.#file}.new`;
    writeFileSync(temporary, `${JSON.stringify(this.#drain)}\n`, { mode: 0o600, flush: true });
    renameSync(temporary, this.#file);
  }

  end(): void {
    rmSync(this.#file, { force: true });
    this.#drain = null;
  }
}

function readDrain(file: string): Drain | null {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
      return null;
    }
    throw error;
  }
  const unreadable = { since: new Date(0).toISOString(), reason: `${file} cannot be read.` };
  try {
    const judged = judge(Drain, JSON.parse(text));
    return judged.ok ? judged.value : unreadable;
  } catch (error) {
    if (error instanceof SyntaxError) {
      return unreadable;
    }
    throw error;
  }
}
