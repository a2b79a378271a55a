/** What one verb leaves to the next: which instance, and what opens it. The tokens are told once and never again. */
import { readFile, rm, writeFile } from 'node:fs/promises';
import { type Static, Type } from 'typebox';
import { readStrictJson } from '../../../contract/strict-json.ts';
import { judge } from '../../../contract/validate.ts';

const closed = { additionalProperties: false } as const;
const nullable = Type.Union([Type.String(), Type.Null()]);
const SmokeState = Type.Object(
  {
    instance_id: Type.String({ description: 'The instance.' }),
    credentials: Type.Array(
      Type.Object(
        { endpoint: Type.String(), token: Type.String(), url_query: nullable, bearer_path: nullable },
        closed,
      ),
      { description: 'What opens its endpoints.' },
    ),
  },
  { ...closed, description: 'What a deployment left.' },
);
export type SmokeState = Static<typeof SmokeState>;

/** Undefined where there is none, or where it is of no use: every verb can do without. */
export async function readState(file: string): Promise<SmokeState | undefined> {
  try {
    const json = readStrictJson(await readFile(file));
    const judged = json.ok ? judge(SmokeState, json.value) : undefined;
    return judged?.ok ? judged.value : undefined;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** For its owner alone: there are tokens in it. */
export async function writeState(file: string, state: SmokeState): Promise<void> {
  await rm(file, { force: true });
  await writeFile(file, `${JSON.stringify(state)}\n`, { mode: 0o600, flag: 'wx' });
}

export async function forgetState(file: string): Promise<void> {
  await rm(file, { force: true });
}
