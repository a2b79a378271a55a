/** What this gate has built or imported: a file each in its state, so that an image without a registry runs for its own project only. */
import { createHash } from 'node:crypto';
import { rmSync } from 'node:fs';
import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type Static, Type } from 'typebox';
import { identifierPattern } from '../contract/identifiers.ts';
import { judge } from '../contract/validate.ts';
import { writeDurable } from '../kit/durable.ts';
import { ensurePrivateFolder } from './seal-key.ts';

const sha256 = Type.String({ pattern: '^[0-9a-f]{64}$' });

const BuiltImage = Type.Object(
  {
    project: Type.String({ pattern: identifierPattern }),
    /** What its client calls it: the same key stands for the same build. */
    key: sha256,
    /** Of what it is: the sha256 of the files that it was built of; of an import, its key. */
    revision: sha256,
    /** Hash of what was imported; absent for what was built. */
    payload: Type.Optional(Type.String({ maxLength: 160 })),
    image: Type.String({ pattern: '^sha256:[0-9a-f]{64}$' }),
    bases: Type.Array(Type.String({ maxLength: 512 }), { maxItems: 64 }),
    engine: Type.String({ maxLength: 128 }),
    bytes: Type.Integer({ minimum: 0 }),
    /** RFC 3339. */
    built_at: Type.String({ maxLength: 40 }),
    /** RFC 3339: when a job last asked for it; absent where none has since it was built. */
    used_at: Type.Optional(Type.String({ maxLength: 40 })),
  },
  { additionalProperties: false },
);
export type BuiltImage = Static<typeof BuiltImage>;
type Which = Pick<BuiltImage, 'project' | 'key'>;

export class BuiltImages {
  readonly #folder: string | undefined;
  readonly #images = new Map<string, BuiltImage>();

  /** Without a folder they are forgotten with this process. */
  constructor(folder?: string) {
    this.#folder = folder;
  }

  /** With those of earlier gates. A record that cannot be read counts as none: then it is built again. */
  static async open(stateDir: string): Promise<BuiltImages> {
    const folder = join(stateDir, 'builds');
    await ensurePrivateFolder(folder);
    const built = new BuiltImages(folder);
    for (const name of await readdir(folder)) {
      const record = await readRecord(join(folder, name));
      if (record && `${placeOf(record)}.json` === name) built.#images.set(placeOf(record), record);
      else await rm(join(folder, name), { force: true });
    }
    return built;
  }

  find(which: Which): BuiltImage | undefined {
    return this.#images.get(placeOf(which));
  }

  all(): readonly BuiltImage[] {
    return [...this.#images.values()];
  }

  /** Projects that an image was built for. */
  projectsOf(image: string): string[] {
    return [...this.#images.values()].filter((built) => built.image === image).map(({ project }) => project);
  }

  /** On the disk when this returns. Like all that changes a record it is done before anything else happens here. */
  note(record: BuiltImage): void {
    const place = placeOf(record);
    if (this.#folder !== undefined) writeDurable(join(this.#folder, `${place}.json`), JSON.stringify(record), 0o600);
    this.#images.set(place, record);
  }

  /** A job has asked for it now. False where it is gone, or another one is in its place. */
  touch(record: BuiltImage): boolean {
    const known = this.find(record);
    if (known?.image !== record.image) return false;
    this.note({ ...known, used_at: new Date().toISOString() });
    return true;
  }

  /** Nothing happens where another one is in its place. */
  forget(record: BuiltImage): void {
    const place = placeOf(record);
    if (this.#images.get(place)?.image !== record.image) return;
    this.#images.delete(place);
    if (this.#folder !== undefined) rmSync(join(this.#folder, `${place}.json`), { force: true });
  }
}

function placeOf({ project, key }: Which): string {
  return createHash('sha256').update(`${project}\n${key}`).digest('hex');
}

async function readRecord(path: string): Promise<BuiltImage | undefined> {
  try {
    const judged = judge(BuiltImage, JSON.parse(await readFile(path, 'utf8')));
    return judged.ok ? judged.value : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
