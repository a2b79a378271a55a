/** What the interface shows of an instance: all that people and programs need, and nothing that only a host may read. */
import { type Static, Type } from 'typebox';
import type { InstanceState } from '../../contract/instance-state.ts';
import { bearerPath } from '../../manifests/gpuaas/endpoint-auth.ts';
import type { WorkloadProfile } from '../../manifests/gpuaas/profile.ts';
import type { Allocation } from '../db/entities/allocation.ts';
import { AppInstance } from '../db/entities/app-instance.ts';
import type { Node } from '../db/entities/node.ts';
import type { ReadTx } from '../db/store.ts';
import { aboutOf, InstanceAbout } from './instance-about.ts';
import { cardsOf, InstanceCard } from './instance-cards.ts';
import { longestLaunch } from './launching.ts';
import { Notice, noticesOf } from './notices.ts';
import { instanceActions, possibleActions } from './possible-actions.ts';
import { recoveries, recoveryOf } from './recovery.ts';
import { lookingAround, type Surroundings } from './surroundings.ts';

const closed = { additionalProperties: false } as const;
const {
  sealed_files: _sealed,
  sealed_env: _sealedEnv,
  image: _image,
  service_token_id: _token,
  ...shown
} = AppInstance.properties;

const Access = Type.Object(
  {
    endpoint: Type.String({ description: 'Name of the endpoint.' }),
    url: Type.Union([Type.String(), Type.Null()], {
      description: 'Address once the tunnel is open, without the token; null where a browser has no use for it.',
    }),
    bearer_path: Type.Union([Type.String(), Type.Null()], {
      description: 'Path to ask with the token as a bearer, where it is no page for a browser; null where it is one.',
    }),
    tunnel: Type.Union([Type.String(), Type.Null()], {
      description: 'Command that makes the endpoint reachable from here; null where nobody said how to log in.',
    }),
  },
  { ...closed, description: 'How to reach an endpoint.' },
);
type Access = Static<typeof Access>;

export const InstanceView = Type.Object(
  {
    ...shown,
    about: InstanceAbout,
    actions: Type.Array(Type.Enum([...instanceActions], { description: 'Action.' }), {
      description:
        'Actions that would change something now; `restart` of one of which nothing is left launches it anew.',
    }),
    recovery: Type.Union([Type.Enum([...recoveries], { description: 'Class.' }), Type.Null()], {
      description: 'What can be done about the failure; null where there is none.',
    }),
    launch_seconds: Type.Integer({
      minimum: 1,
      description: 'Most seconds that its launch may take, from the request on; no action on it takes longer.',
    }),
    access: Type.Array(Access, { description: 'How to reach it; empty while it does not run.' }),
    notices: Type.Array(Notice, { description: 'What became of its image or version since; empty for nothing.' }),
    gpus: Type.Array(InstanceCard, { description: 'Cards that it holds.' }),
    commands: Type.Array(
      Type.Object(
        {
          name: Type.String({ description: 'What it is for.' }),
          command: Type.String({ description: 'Text to copy; nothing executes it.' }),
        },
        { ...closed, description: 'A command for people.' },
      ),
      { description: 'Commands that the app suggests.' },
    ),
  },
  { ...closed, description: 'An app instance.' },
);
export type InstanceView = Static<typeof InstanceView>;

export const EndpointCredential = Type.Object(
  {
    endpoint: Type.String({ description: 'Endpoint that it opens.' }),
    token: Type.String({ description: 'Token; shown in this one answer and kept nowhere in the clear.' }),
    url_query: Type.Union([Type.String(), Type.Null()], {
      description: 'Query parameter by which a browser brings it; null where it is brought in another way.',
    }),
    bearer_path: Type.Union([Type.String(), Type.Null()], {
      description: 'Path that asks for it as a bearer token; null where it is brought in another way.',
    }),
  },
  { ...closed, description: 'Opens an endpoint.' },
);

export const LaunchedView = Type.Object(
  {
    ...InstanceView.properties,
    credentials: Type.Array(EndpointCredential, {
      description: 'Shown in the answer to this launch only, also where it is repeated under the same Idempotency-Key.',
    }),
  },
  { ...closed, description: 'An instance that was accepted, with what opens its endpoints.' },
);

/** One of them, on its own. */
export async function viewOf(tx: ReadTx, instance: AppInstance): Promise<InstanceView> {
  return viewAmong(await lookingAround(tx)(instance), instance);
}

export function viewAmong(surroundings: Surroundings, instance: AppInstance): InstanceView {
  const { profile, version, artifact, allocation, node } = surroundings;
  const {
    sealed_files: _files,
    sealed_env: _variables,
    image: _reference,
    service_token_id: _token,
    ...rest
  } = instance;
  const { state, endpoints } = instance;
  return {
    ...rest,
    about: aboutOf(instance, surroundings),
    notices: state === 'decommissioned' ? [] : noticesOf(artifact, version),
    actions: possibleActions(instance),
    launch_seconds: longestLaunch(instance),
    recovery: instance.failure ? recoveryOf(instance.failure.code) : null,
    access: reachable.has(state) ? endpoints.map((each) => accessTo(each, profile, loginOf(allocation, node))) : [],
    gpus: cardsOf(instance, node),
    commands: profile?.outputs?.commands ?? [],
  };
}

/** `unknown` as well: what runs on a host that is away runs on. */
const reachable: ReadonlySet<InstanceState> = new Set(['running', 'degraded', 'unknown']);

type Endpoint = AppInstance['endpoints'][number];

function accessTo({ name, port, url }: Endpoint, profile?: WorkloadProfile, login?: string): Access {
  const declared = profile?.network?.endpoints.find((each) => each.name === name);
  return {
    ...{ endpoint: name, url, bearer_path: profile && declared ? bearerPath(profile, declared) : null },
    tunnel: login ? `ssh -N -L ${port}:127.0.0.1:${port} ${login}` : null,
  };
}

/** As the operator said, or as the host says of itself. */
function loginOf(allocation: Allocation | undefined, node: Node | undefined): string | undefined {
  if (allocation?.ssh) {
    const { user, host, port } = allocation.ssh;
    return `${port === 22 ? '' : `-p ${port} `}${user}@${host}`;
  }
  const { ssh_user: user, hostname } = node?.inventory ?? {};
  const isPlain =
    user !== null && /^[a-z_][a-z0-9_-]*$/.test(user ?? '') && /^[A-Za-z0-9][A-Za-z0-9.-]*$/.test(hostname ?? '');
  return isPlain ? `${user}@${hostname}` : undefined;
}
