/** The page that launches a version of an app; its form is made from the manifest and from nothing else. */
import { useRef } from 'preact/hooks';
import type { WorkloadProfile } from '../../../manifests/gpuaas/profile.ts';
import type { VersionView } from '../../../server/catalog/views.ts';
import { Link } from '../../lib/router.tsx';
import { useResource } from '../../lib/use-resource.ts';
import { Empty } from '../../parts/empty.tsx';
import { Page, Shown } from '../../parts/page.tsx';
import { SupportBadge } from '../catalog/support-badge.tsx';
import { Wizard } from './wizard.tsx';
import './launch.css';

export interface LaunchPageProps {
  readonly slug: string;
  readonly version: string;
}

export function LaunchPage({ slug, version }: LaunchPageProps) {
  const path = `/api/v1/catalog/apps/${encodeURIComponent(slug)}/versions/${encodeURIComponent(version)}`;
  const found = useResource<VersionView>(path, { subjects: ['app_version', 'artifact'] });
  const profile = found.data?.manifest as WorkloadProfile | undefined;
  const name = profile?.profile.display_name ?? slug;
  // A form that was begun stays: if the app cannot be launched any more, its review says so.
  const begun = useRef<WorkloadProfile>(undefined);
  if (found.data?.launchable && profile) begun.current ??= profile;
  return (
    <Page
      title={`Launch ${name}`}
      above={[
        { title: 'Catalog', to: '/' },
        { title: name, to: `/apps/${slug}` },
      ]}
      badges={
        profile && (
          <>
            <span class="muted">{version}</span>
            <SupportBadge level={profile.profile.support_level} />
          </>
        )
      }
      lead={profile?.profile.description}
    >
      <Shown of={found} title="The app cannot be shown.">
        {({ reasons }) =>
          begun.current ? (
            <Wizard key={path} profile={begun.current} version={version} />
          ) : (
            <Empty icon="lock" title={`${name} ${version} cannot be launched now.`}>
              {reasons.map((reason) => (
                <p key={reason}>{reason}</p>
              ))}
              <Link to={`/apps/${slug}`}>Back to {name}</Link>
            </Empty>
          )
        }
      </Shown>
    </Page>
  );
}
