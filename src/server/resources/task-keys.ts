/** `/api/v1/keys`: the key that tasks are signed with, and its successor. */
import { Type } from 'typebox';
import { appendEvent } from '../db/events.ts';
import { platform } from '../http/access.ts';
import { type Route, route } from '../http/route.ts';
import type { TaskKeys } from '../keys/task-keys.ts';

const closed = { additionalProperties: false } as const;
const Kid = Type.String({ maxLength: 64, description: 'Name of the key: hash of its public half.' });
const day = 24 * 60 * 60;

const Rotate = Type.Object(
  {
    retire_in_seconds: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 30 * day,
        description:
          'How long nodes take tasks of the old key once they know the new one; default 3600. 0 if it leaked.',
      }),
    ),
  },
  { ...closed, description: 'How the old key leaves.' },
);

const Rotated = Type.Object(
  {
    kid: { ...Kid, description: 'Key that signs from now on.' },
    previous_kid: { ...Kid, description: 'Key that signed before.' },
    retire_after: Type.String({ description: 'RFC 3339 time after which nodes refuse what the previous key signed.' }),
  },
  { ...closed, description: 'A new task key.' },
);

/**
 * `renew` lets all nodes come back for their next welcome, without which they get no task any more. So it is called as soon
 * as the key is on disk: the event is only the record of it, and where that cannot be kept the request fails and can be
 * made again, which replaces the key once more.
 */
export function taskKeyRoutes(keys: TaskKeys, renew: () => void): Route[] {
  return [
    route({
      ...{ method: 'POST', path: '/api/v1/keys/rotate', tag: 'keys', allow: platform, body: Rotate, answer: Rotated },
      summary: 'Replaces the key that tasks are signed with. Nodes reconnect and follow; what runs is left alone.',
      prepare: async ({ body: { retire_in_seconds: seconds = 3600 }, now }) => {
        const retireAfter = new Date(now + seconds * 1000);
        const previous = keys.current.kid;
        const { kid } = await keys.rotate(retireAfter);
        renew();
        return { kid, previous_kid: previous, retire_after: retireAfter.toISOString() };
      },
      change: async (asked, tx, rotated) => {
        await appendEvent(tx, asked, {
          ...{ type: 'keys.rotated', project_id: null, subject: { kind: 'task_key', id: rotated.kid } },
          ...{ message: 'Tasks are signed with a new key.', data: { ...rotated } },
        });
        return { body: rotated };
      },
    }),
  ];
}
