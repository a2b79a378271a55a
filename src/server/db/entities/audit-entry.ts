/** Who has asked for what change, and what became of it. */
import { type Static, Type } from 'typebox';
import { closed, id, nullable, text, time } from './fields.ts';
import { roles } from './project.ts';

export const AuditEntry = Type.Object(
  {
    id: id('Of the entry; they grow with time.'),
    time: time('When it was asked for.'),
    actor: text(128, 'Who asked: `token:<id>`, whether by the token itself or by a session of a browser.'),
    role: Type.Enum([...roles], { description: 'Role of that token.' }),
    project_id: nullable(id('The project.'), 'The only project that this token sees; null for the platform roles.'),
    method: text(8, 'HTTP method.'),
    route: text(200, 'Path as `/openapi.json` has it.'),
    subject: nullable(
      text(512, 'Ids.'),
      'What it is about: the ids of the path, or of what was made; null for neither.',
    ),
    outcome: Type.Enum(['accepted', 'refused'], { description: 'Whether anything was changed.' }),
    status: Type.Integer({ minimum: 200, maximum: 599, description: 'HTTP status of the answer.' }),
    code: nullable(text(64, 'Failure code.'), 'Why it was refused; null if it was not.'),
    correlation_id: text(64, 'Name of the request, also in events, tasks and logs.'),
    remote: text(64, 'Address that it came from; of the proxy where there is one in front.'),
  },
  { ...closed, description: 'A request for a change. Never its body, and never a secret.' },
);
export type AuditEntry = Static<typeof AuditEntry>;
