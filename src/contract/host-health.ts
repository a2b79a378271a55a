/** What the checks of the doctor that cost nothing say of a host, told with its inventory. */
import { type Static, Type } from 'typebox';

const closed = { additionalProperties: false } as const;
const count = (description: string) => Type.Integer({ minimum: 0, maximum: 1000, description });

export const HealthFinding = Type.Object(
  {
    name: Type.String({ maxLength: 64, description: 'The check, as docs/operators.md lists it.' }),
    status: Type.Enum(['warn', 'fail'], { description: 'fail: something does not work. warn: it may not, one day.' }),
    found: Type.String({ maxLength: 500, description: 'What is so, one sentence.' }),
    fix: Type.String({ maxLength: 500, description: 'What a person does about it, one sentence.' }),
    blocks: Type.Boolean({ description: 'True if launches fail as long as this is so.' }),
  },
  { ...closed, description: 'A check that is not content.' },
);
export type HealthFinding = Static<typeof HealthFinding>;

export const HostHealth = Type.Object(
  {
    ok: count('Checks that are content.'),
    warn: count('Checks that warn.'),
    fail: count('Checks that fail.'),
    skipped: count('Checks that do not apply, or that the agent has no right to make.'),
    findings: Type.Array(HealthFinding, { maxItems: 32, description: 'What failed, then what warns.' }),
  },
  { ...closed, description: 'Those checks of the doctor that start no program and ask no network.' },
);
export type HostHealth = Static<typeof HostHealth>;
