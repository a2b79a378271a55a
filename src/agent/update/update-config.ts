/** `updates` of the configuration: what this host takes by itself, when, and where it lies. */
import { type Static, Type } from 'typebox';
import { ReleaseVersion, releaseChannelPattern } from '../../contract/release.ts';
import { hostPath } from '../host-path.ts';

const closed = { additionalProperties: false } as const;
const timeOfDay = (description: string) => Type.String({ pattern: '^([01][0-9]|2[0-3]):[0-5][0-9]$', description });

export const weekDays = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'] as const;

export const UpdateWindow = Type.Object(
  {
    days: Type.Array(Type.Enum([...weekDays]), {
      ...{ minItems: 1, maxItems: 7, uniqueItems: true },
      description: 'Days on which it opens.',
    }),
    from: timeOfDay('When it opens.'),
    to: timeOfDay('When it closes; on the next day where that is not after `from`.'),
    utc: Type.Boolean({ description: 'True: times are UTC. False: those of the time zone of the host.' }),
  },
  { ...closed, description: 'When updates begin.' },
);
export type UpdateWindow = Static<typeof UpdateWindow>;

export const UpdateConfig = Type.Object(
  {
    automatic: Type.Boolean({
      default: true,
      description: 'False: only somebody on this host updates the agent, by `node-agent update --now` or `--from`.',
    }),
    channel: Type.String({
      pattern: releaseChannelPattern,
      default: 'stable',
      description: 'Which releases `node-agent update --check` and `--now` look at.',
    }),
    pinned: Type.Union([ReleaseVersion, Type.Null()], {
      default: null,
      description: 'The only version that this host updates to; null for any.',
    }),
    window: Type.Union([UpdateWindow, Type.Null()], {
      default: null,
      description: 'When an update that is not urgent may begin; null for any time.',
    }),
    stable_seconds: Type.Integer({
      minimum: 1,
      maximum: 1500,
      default: 300,
      description: 'How long a new version has to run well before the one before is given up.',
    }),
    install_dir: hostPath(
      '/opt/gpuaas-node-agent',
      'Where versions are installed. The guard of this host has it there.',
    ),
    guard_dir: hostPath('/var/lib/gpuaas-node-agent-update', 'What the guard of this host remembers. Only read.'),
    release_root: hostPath('/etc/gpuaas-node-agent/release-root.pem', 'Public key that releases are believed by.'),
  },
  { ...closed, default: {}, description: 'How the agent is updated; docs/updates.md.' },
);
export type UpdateConfig = Static<typeof UpdateConfig>;
