/** What a smoke run is about: a file that is the same at every run in an environment (G-236). */
import { type Static, Type } from 'typebox';
import { readDocument } from '../../../agent/read-document.ts';
import { AgentError } from '../../../contract/failures.ts';
import { identifierPattern } from '../../../contract/identifiers.ts';
import { judge } from '../../../contract/validate.ts';

const closed = { additionalProperties: false } as const;
const text = (description: string) => Type.String({ minLength: 1, maxLength: 128, description });
const values = (description: string) => Type.Record(Type.String(), Type.Unknown(), { description });

export const SmokeInputs = Type.Object(
  {
    name: Type.String({
      pattern: identifierPattern,
      description: 'Name of the instance, by which each verb finds it.',
    }),
    app: Type.String({ pattern: '^[^@\\s]+@[^@\\s]+$', description: 'What is launched: APP@VERSION.' }),
    project: Type.Optional(text('Name or id of the project; for a token that belongs to none.')),
    placement: Type.Object(
      { allocation: text('Name or id of the allocation.') },
      { ...closed, description: 'Where it is launched.' },
    ),
    artifact: Type.Optional(text('Name of the artifact, of which the newest that fits is taken, or its id or digest.')),
    config: Type.Optional(values('Values of parameters.')),
    resource_overrides: Type.Optional(values('Cards, cores, memory.')),
    access: Type.Optional(
      Type.Object(
        {
          endpoint: Type.Optional(text('Only this endpoint; all where it is left out.')),
          path: Type.Optional(Type.String({ pattern: '^/[\\x21-\\x7e]*$', description: 'Path to ask for.' })),
        },
        { ...closed, description: 'What is asked of it once it runs.' },
      ),
    ),
    timeout_seconds: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 86_400,
        description: 'How long a launch may take, if not as long as it may.',
      }),
    ),
  },
  { ...closed, description: 'Inputs of a smoke run.' },
);
export type SmokeInputs = Static<typeof SmokeInputs>;

export async function readInputs(file: string): Promise<SmokeInputs> {
  const judged = judge(SmokeInputs, await readDocument(file, { mayBeQuoted: true }));
  if (judged.ok) return judged.value;
  const errors = judged.errors.map(({ path, code, message }) => ({ path, code, message }));
  throw new AgentError('file.unusable', { reason: `${file} does not say what a smoke run needs.`, file, errors });
}
