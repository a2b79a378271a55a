/** The shape of a stack, as its manifest describes it and as it is drawn; with a state per service once it runs. */
import { type Static, Type } from 'typebox';
import { maxServices, ServiceName } from './compose-document.ts';
import { identifierPattern } from './identifiers.ts';
import { WorkloadState } from './workload-state.ts';

const closed = { additionalProperties: false } as const;
const name = Type.String({ pattern: identifierPattern });

const shape = {
  name: ServiceName,
  role: Type.String({ minLength: 1, maxLength: 64, description: 'What the service does in the stack.' }),
  endpoints: Type.Array(name, { maxItems: 32, description: 'Endpoints that it serves, by name.' }),
  mounts: Type.Array(name, { maxItems: 32, description: 'Folders that it uses, by name.' }),
};
const description = Type.String({ maxLength: 1024, description: 'The stack in a sentence; shown above its drawing.' });

export const StackTopology = Type.Object(
  {
    description,
    services: Type.Array(Type.Object(shape, { ...closed, description: 'One service of the stack.' }), {
      minItems: 1,
      maxItems: maxServices,
      description: 'Every service of the document, each once.',
    }),
  },
  { ...closed, description: 'Shape of the stack, from its manifest. Not what runs: that is the document.' },
);
export type StackTopology = Static<typeof StackTopology>;

export const LiveTopology = Type.Object(
  {
    description,
    services: Type.Array(
      Type.Object(
        { ...shape, state: WorkloadState },
        { ...closed, description: 'One service of the stack, with its state now.' },
      ),
      { description: 'The services in the order of the task.' },
    ),
  },
  { ...closed, description: 'The topology of the task, with the state of each service.' },
);
export type LiveTopology = Static<typeof LiveTopology>;
