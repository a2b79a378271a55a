/** A share of the fleet that was given to one project. */
import { type Static, Type } from 'typebox';
import { closed, id, nullable, text, time } from './fields.ts';

export const Shape = Type.Object(
  {
    gpu_count: Type.Integer({ minimum: 0, maximum: 64, description: 'Cards.' }),
    cpu_cores: Type.Integer({ minimum: 1, maximum: 1024, description: 'Cores.' }),
    memory_gib: Type.Integer({ minimum: 1, maximum: 65536, description: 'Memory in GiB.' }),
  },
  { ...closed, description: 'What it may use in all.' },
);
export type Shape = Static<typeof Shape>;

export const SshAccess = Type.Object(
  {
    host: Type.String({
      pattern: '^[A-Za-z0-9][A-Za-z0-9.:-]{0,252}$',
      description: 'Name or address of the host, as its users reach it.',
    }),
    port: Type.Integer({ minimum: 1, maximum: 65535, description: 'Port of its SSH server.' }),
    user: Type.String({ pattern: '^[a-z_][a-z0-9_-]{0,31}$', description: 'User on the host.' }),
  },
  { ...closed, description: 'How its users log in, for the tunnel command.' },
);
export type SshAccess = Static<typeof SshAccess>;

const Wipe = Type.Object(
  {
    state: Type.Enum(['asked', 'done', 'failed'], {
      description: 'failed: it is asked for again when the host is back.',
    }),
    task_id: id('The task that wipes.'),
    reason: nullable(text(2000, 'In words.'), 'Why it failed; null while it did not.'),
  },
  { ...closed, description: 'How the host gets on with wiping what the allocation left.' },
);

export const Allocation = Type.Object(
  {
    id: Type.String({ pattern: '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$', description: 'The allocation: a UUID.' }),
    project_id: id('Project that it was given to.'),
    name: text(128, 'Name for people.'),
    state: Type.Enum(['active', 'releasing', 'ended'], {
      description:
        'releasing: its instances are being decommissioned, its data wiped. ended: nothing is to be done any more.',
    }),
    node_id: nullable(id('The node.'), 'Node that serves it; null until one has enrolled for it.'),
    shape: Shape,
    ssh: nullable(SshAccess, 'How its users log in; null where nobody said.'),
    project_storage: Type.Boolean({ description: 'True if the storage of the project can be mounted there.' }),
    data_policy: Type.Enum(['keep', 'wipe'], {
      description: 'What becomes at the end of all that its instances left on the host.',
    }),
    wipe: Type.Optional(Wipe),
    created_at: time('When it was given.'),
    ended_at: nullable(time('When.'), 'When it ended; null until then.'),
  },
  { ...closed, description: 'A host, or a part of one, that a project may use.' },
);
export type Allocation = Static<typeof Allocation>;
