/** Which images a version is launched from: whatever fits, or those of its release and no others (G-243). */
import { useState } from 'preact/hooks';
import type { VersionCard } from '../../../server/catalog/views.ts';
import { api } from '../../lib/api.ts';
import { shortDigest } from '../../lib/format.ts';
import { Link } from '../../lib/router.tsx';
import { theSession, whyNotPlatform } from '../../lib/session.ts';
import { Button } from '../../parts/button.tsx';
import { ConfirmDialog } from '../../parts/confirm-dialog.tsx';
import { Select } from '../../parts/field.tsx';
import { Section } from '../../parts/page.tsx';
import { announce } from '../../parts/status-region.tsx';
import { Timestamp } from '../../parts/timestamp.tsx';

interface ReleaseProps {
  readonly slug: string;
  readonly version: VersionCard;
  readonly onChange: () => void;
}

export function Release({ slug, version: { version, lock }, onChange }: ReleaseProps) {
  const [asked, setAsked] = useState<'lock' | 'unlock'>();
  const [channel, setChannel] = useState('prod');
  const isPlatform = whyNotPlatform(theSession()) === undefined;
  const path = `/api/v1/catalog/apps/${encodeURIComponent(slug)}/versions/${encodeURIComponent(version)}/lock`;
  const decide = async () => {
    await (asked === 'lock' ? api.post(path, { channel }) : api.del(path));
    announce(asked === 'lock' ? `The version is locked to what ${channel} has.` : 'The version is no longer locked.');
    onChange();
  };
  const actions = isPlatform && (
    <div class="row">
      {lock && <Button onClick={() => setAsked('unlock')}>Unlock</Button>}
      <Button onClick={() => setAsked('lock')}>{lock ? 'Lock anew' : 'Lock to a channel'}</Button>
    </div>
  );
  return (
    <Section title="Release" actions={actions}>
      {lock ? (
        <>
          <p class="muted">
            Locked <Timestamp at={lock.at} />
            {lock.channel && `, to what was promoted to ${lock.channel}`}: launched from these images and no others.
          </p>
          <ul class="lines">
            {Object.entries(lock.artifacts).map(([name, { artifact_id, digest }]) => (
              <li key={name}>
                <Link to={`/artifacts/${artifact_id}`}>{name}</Link>
                <code title={digest}>{shortDigest(digest)}</code>
              </li>
            ))}
          </ul>
        </>
      ) : (
        <p class="muted">Not locked: it is launched from any of its images that may be launched.</p>
      )}
      {asked && (
        <ConfirmDialog
          title={asked === 'lock' ? `Lock ${version}` : `Unlock ${version}`}
          confirm={asked === 'lock' ? 'Lock' : 'Unlock'}
          onConfirm={decide}
          onClose={() => setAsked(undefined)}
        >
          {asked === 'lock' ? (
            <>
              <p>
                For each name of its manifest it takes the image that was last promoted to the channel, and keeps to it.
              </p>
              <Select label="Channel" value={channel} onValue={setChannel} choices={channels} />
            </>
          ) : (
            <p>It is launched again from any of its images that may be launched. What runs is left alone.</p>
          )}
        </ConfirmDialog>
      )}
    </Section>
  );
}

const channels = ['dev', 'test', 'staging', 'prod'].map((value) => ({ value, label: value }));
