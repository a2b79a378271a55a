/** Who has asked for what change, and what became of it. */
import { useState } from 'preact/hooks';
import type { AuditEntry } from '../../../server/db/entities/audit-entry.ts';
import { useRoute } from '../../lib/router.tsx';
import { theSession, whyNotPlatform } from '../../lib/session.ts';
import { Badge } from '../../parts/badge.tsx';
import { Button } from '../../parts/button.tsx';
import { CopyText } from '../../parts/copy-text.tsx';
import type { Column } from '../../parts/data-table.tsx';
import { Dialog } from '../../parts/dialog.tsx';
import { Empty } from '../../parts/empty.tsx';
import { inWords, ListPage, useNames } from '../../parts/list-page.tsx';
import { Facts, Page } from '../../parts/page.tsx';
import { Timestamp } from '../../parts/timestamp.tsx';

/** Entries are no events: what was refused changed nothing that anybody is told of. */
const refreshMs = 10_000;

export function AuditPage() {
  const why = whyNotPlatform(theSession());
  return why === undefined ? (
    <Entries />
  ) : (
    <Page title="Audit log">
      <Empty icon="lock" title="This is not yours to see.">
        {why}
      </Empty>
    </Page>
  );
}

function Entries() {
  const { query } = useRoute();
  const [chosen, setChosen] = useState<AuditEntry>();
  const tokens = useNames('/api/v1/tokens');
  const nameOf = (actor: string) => tokens.get(actor.replace('token:', '')) ?? actor;
  return (
    <ListPage<AuditEntry>
      title="Audit log"
      lead="Every change that somebody asked for, accepted or refused. Never what was in it."
      path="/api/v1/audit"
      asked={['actor', 'subject', 'outcome']}
      options={{ everyMs: refreshMs }}
      name="entries"
      one="entry"
      columns={columnsWith(nameOf, setChosen)}
      filters={(items) => {
        const actors = [query.get('actor') ?? [], items.map(({ actor }) => actor)].flat();
        return [
          { name: 'outcome', all: 'Every outcome', choices: inWords('accepted', 'refused') },
          { name: 'actor', all: 'Everybody', choices: new Map(actors.map((actor) => [actor, nameOf(actor)])) },
        ];
      }}
      icon="audit"
      none="Nobody has asked for a change yet."
    >
      {chosen && <Entry entry={chosen} onClose={() => setChosen(undefined)} />}
    </ListPage>
  );
}

function columnsWith(
  nameOf: (actor: string) => string,
  show: (entry: AuditEntry) => void,
): readonly Column<AuditEntry>[] {
  return [
    {
      ...{
        title: 'Asked for',
        share: 3,
        value: ({ method, route }) => `${what({ method, route })} ${route}`,
      },
      cell: (entry) => (
        <>
          <button type="button" class="cell-button" onClick={() => show(entry)}>
            {what(entry)}
          </button>
          <span class="cell-note">{entry.subject ?? entry.route}</span>
        </>
      ),
    },
    {
      ...{ title: 'Outcome', share: 1.4, value: ({ outcome, code }) => `${outcome} ${code ?? ''}` },
      cell: ({ outcome, code, status }) => (
        <>
          <Badge state={outcome} title={`status ${status}`} />
          {code !== null && <span class="cell-note">{code}</span>}
        </>
      ),
    },
    {
      ...{
        title: 'By',
        share: 1.6,
        wide: true,
        value: ({ actor, role }) => `${nameOf(actor)} ${actor} ${role}`,
      },
      cell: ({ actor, role }) => (
        <>
          {nameOf(actor)}
          <span class="cell-note">{role}</span>
        </>
      ),
    },
    {
      ...{ title: 'From', share: 1.1, wide: true, value: ({ remote }) => remote },
    },
    {
      ...{ title: 'When', value: ({ time }) => Date.parse(time) },
      cell: ({ time }) => <Timestamp at={time} />,
    },
  ];
}

function Entry({ entry, onClose }: { readonly entry: AuditEntry; readonly onClose: () => void }) {
  const { actor, role, project_id, method, route, subject, outcome, status, code, correlation_id, remote, time } =
    entry;
  return (
    <Dialog title={what(entry)} onClose={onClose} actions={<Button onClick={onClose}>Close</Button>}>
      <Facts
        facts={[
          ['Outcome', <Badge key="outcome" state={outcome} label={`${outcome}, status ${status}`} />],
          ['Why', code && <code>{code}</code>],
          ['When', <Timestamp key="time" at={time} exact />],
          ['By', `${actor}, ${role}`],
          ['Project', project_id],
          ['From', remote],
          [
            'Request',
            <code key="request">
              {method} {route}
            </code>,
          ],
          ['About', subject && <CopyText what="the ids" text={subject} />],
          ['Name', <CopyText key="name" what="the name of the request" text={correlation_id} />],
        ]}
      />
      <p class="muted">Events, task logs and the log of the control plane know the request by its name.</p>
    </Dialog>
  );
}

/** A session is signed in and out of. */
const known: Readonly<Record<string, string>> = {
  'POST /api/v1/session': 'sign in',
  'DELETE /api/v1/session': 'sign out',
};

const verbs: Readonly<Record<string, string>> = { POST: 'create', PUT: 'replace', PATCH: 'change', DELETE: 'delete' };

/** `POST /api/v1/nodes/{node_id}/drain` as `nodes: drain`. */
function what({ method, route }: Pick<AuditEntry, 'method' | 'route'>): string {
  const name = known[`${method} ${route}`];
  if (name !== undefined) return name;
  const parts = route.replace('/api/v1/', '').split('/');
  const named = parts.filter((part) => !part.startsWith('{'));
  const [thing = route, ...rest] = named;
  const last = parts.at(-1) ?? '';
  const isAction = method === 'POST' && rest.length > 0 && !last.startsWith('{');
  const verb = isAction ? rest.join(' ') : `${verbs[method] ?? method}${rest.length > 0 ? ` ${rest.join(' ')}` : ''}`;
  return `${thing.replaceAll('-', ' ')}: ${verb.replaceAll('-', ' ')}`;
}
