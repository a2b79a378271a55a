/**
 * What a version is before it is launched: profile, engines, endpoints, resources, storage and shape in words. The manifest
 * itself is for those who look for a fault, and is fetched only when they ask for it (G-147, G-230, G-233).
 */
import { useState } from 'preact/hooks';
import { authOf } from '../../../manifests/gpuaas/endpoint-auth.ts';
import type { WorkloadProfile } from '../../../manifests/gpuaas/profile.ts';
import type { VersionView } from '../../../server/catalog/views.ts';
import type { Capabilities } from '../../../server/resources/environment.ts';
import { counted, words } from '../../lib/format.ts';
import { useResource } from '../../lib/use-resource.ts';
import { Badge } from '../../parts/badge.tsx';
import { Facts, Section, Shown } from '../../parts/page.tsx';

export function Preview({ slug, version }: { readonly slug: string; readonly version: string }) {
  const path = `/api/v1/catalog/apps/${encodeURIComponent(slug)}/versions/${encodeURIComponent(version)}`;
  const view = useResource<VersionView>(path, { subjects: ['app_version', 'artifact'] });
  return (
    <Shown of={view} title="The version cannot be shown.">
      {(shown) => (
        <div class="stack">
          <div class="columns">
            <div class="stack">
              <Profile view={shown} />
              <Endpoints profile={shown.manifest as WorkloadProfile} />
            </div>
            <div class="stack">
              <Engine profile={shown.manifest as WorkloadProfile} />
              <Resources profile={shown.manifest as WorkloadProfile} />
              <Shape profile={shown.manifest as WorkloadProfile} />
            </div>
          </div>
          <RawManifest path={`${path}/manifest`} />
        </div>
      )}
    </Shown>
  );
}

function Profile({ view }: { readonly view: VersionView }) {
  const profile = view.manifest as WorkloadProfile;
  const { display_name, description, launch_mode } = profile.profile;
  const { launch_wizard, groups = [] } = profile.parameters.ui ?? {};
  const steps = (launch_wizard?.steps ?? groups).map(({ title }) => title);
  return (
    <Section title="Profile">
      <Facts
        facts={[
          ['Name', display_name],
          ['Version', view.version],
          ['Description', description],
          ['Launches on', launch_mode === 'existing_allocation' ? 'an allocation that you have' : words(launch_mode)],
          ['Form', steps.join(' → ')],
          [
            'Images',
            imagesOf(view).map(([name, count]) => (
              <div key={name}>
                {name} <span class="muted">{count > 0 ? `${count} launchable` : 'none launchable'}</span>
              </div>
            )),
          ],
        ]}
      />
    </Section>
  );
}

/** How many artifacts could be launched, for each name that the manifest gives; several of its images may share one. */
function imagesOf({ artifacts }: VersionView): (readonly [string, number])[] {
  const counts = new Map(artifacts.map(({ artifact_name, artifact_ids }) => [artifact_name, artifact_ids.length]));
  return [...counts];
}

function Engine({ profile: { execution } }: { readonly profile: WorkloadProfile }) {
  return (
    <Section title="Execution engine">
      <Facts
        facts={[
          ['Default', words(execution.default_engine)],
          [
            'Supported',
            execution.supported_engines.map(({ engine, adapter, status }) => (
              <div key={engine} class="row">
                {words(engine)} <span class="muted">{words(adapter)}</span>
                <Badge state={status} label={status === 'future' ? 'not yet' : 'available'} />
              </div>
            )),
          ],
        ]}
      />
    </Section>
  );
}

const authWords = {
  generated_token: 'opened by a token that is made for each instance',
  none: 'without a lock of its own',
} as const;

function Endpoints({ profile }: { readonly profile: WorkloadProfile }) {
  const endpoints = profile.network?.endpoints ?? [];
  const { data } = useResource<Pick<Capabilities, 'exposure_modes'>>('/api/v1/environment/capabilities');
  const modeWords = (mode: string) =>
    data?.exposure_modes.includes(mode) === false ? `${words(mode)} (not offered here)` : words(mode);
  return (
    <Section title="Endpoints">
      {endpoints.length === 0 ? (
        <p class="muted">It answers on no port.</p>
      ) : (
        <ul class="plain">
          {endpoints.map((endpoint) => (
            <li key={endpoint.name}>
              <strong>{endpoint.name}</strong> {endpoint.protocol} on port {endpoint.port} of the container
              <div class="muted">
                {endpoint.exposure_modes.map(modeWords).join(' or ')}, {authWords[authOf(profile, endpoint).mode]}
              </div>
            </li>
          ))}
        </ul>
      )}
    </Section>
  );
}

function Resources({ profile: { resources, storage } }: { readonly profile: WorkloadProfile }) {
  const { gpu, cpu, memory } = resources ?? {};
  return (
    <Section title="Resources">
      <Facts
        facts={[
          ['GPUs', gpu ? `${gpu.min_count} at least, ${gpu.default_count} by default` : 'none needed'],
          ['Processor', cpu && `${counted(cpu.min_cores, 'core')} at least`],
          ['Memory', memory && `${memory.min_gib} GiB at least`],
          [
            'Storage',
            storage?.mounts.map(({ name, path, modes, required }) => (
              <div key={name}>
                {name} at <code>{path}</code>
                <div class="muted">
                  {modes.map(words).join(' or ')}
                  {required ? '' : ', if you choose it'}
                </div>
              </div>
            )),
          ],
        ]}
      />
    </Section>
  );
}

function Shape({ profile: { execution, profile } }: { readonly profile: WorkloadProfile }) {
  const { topology } = execution.compose ?? {};
  return (
    <Section title="Topology">
      {topology ? (
        <>
          <p>{topology.description}</p>
          <ul class="plain shape">
            {topology.services.map(({ name, role, endpoints = [], mounts = [] }) => (
              <li key={name}>
                <strong>{name}</strong> {words(role)}
                <div class="muted">
                  {endpoints.length > 0 && `serves ${endpoints.join(', ')}. `}
                  {mounts.length > 0 && `keeps data in ${mounts.join(', ')}.`}
                </div>
              </li>
            ))}
          </ul>
        </>
      ) : (
        <p>One container runs {profile.display_name}, in a network of its own on the host of the allocation.</p>
      )}
    </Section>
  );
}

function RawManifest({ path }: { readonly path: string }) {
  const [isOpen, setOpen] = useState(false);
  const text = useResource<unknown>(isOpen ? path : null);
  return (
    <details class="card debug" onToggle={({ currentTarget }) => setOpen(currentTarget.open)}>
      <summary>Debug: the manifest as it was published</summary>
      {isOpen && (
        <Shown of={text} title="The manifest cannot be shown.">
          {(source) => (
            // A region that scrolls has to be reached by keyboard.
            // biome-ignore lint/a11y/noNoninteractiveTabindex: see above.
            <pre tabIndex={0}>{typeof source === 'string' ? source : JSON.stringify(source, null, 2)}</pre>
          )}
        </Shown>
      )}
    </details>
  );
}
