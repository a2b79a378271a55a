/** What a host has: amounts, cards, and container runtimes. */
import { bytes, counted, words } from '../../lib/format.ts';
import { Link } from '../../lib/router.tsx';
import { Badge } from '../../parts/badge.tsx';
import { Meter } from '../../parts/meter.tsx';
import { Facts, Section } from '../../parts/page.tsx';
import { Timestamp } from '../../parts/timestamp.tsx';
import { cardKinds, type Node } from './node.ts';

interface Shown {
  readonly node: Node;
}

function runtimeOf({ runtime, inventory }: Node) {
  return runtime ?? inventory?.runtime;
}

export function Resources({ node }: Shown) {
  const resources = runtimeOf(node)?.resources;
  return (
    <Section title="Resources">
      {resources ? (
        <div class="stack">
          <Meter label="Processor" unit="cores" {...taken(resources.cpu_cores)} />
          <Meter label="Memory" unit="GiB" {...taken(resources.memory_gib)} />
          <Meter label="Disk of the engine" unit="GiB" {...taken(resources.disk_gib)} />
        </div>
      ) : (
        <p class="muted">The host has not said yet what it has.</p>
      )}
    </Section>
  );
}

/** What host policy keeps for the system is nobody's to use. */
function taken({
  total,
  reserved,
  used,
}: {
  readonly total: number;
  readonly reserved: number;
  readonly used: number;
}) {
  return { used, total: total - reserved };
}

export function Cards({ node }: Shown) {
  const gpus = runtimeOf(node)?.gpus ?? [];
  return (
    <Section title="Cards" actions={<span class="muted">{cardKinds(node).join(', ')}</span>}>
      {gpus.length === 0 ? (
        <p class="muted">It has no card, or no driver for one.</p>
      ) : (
        <ul class="cards">
          {gpus.map(({ uuid, name, memory_mib, mig, driver, health, reason, held_by }) => (
            <li key={uuid} class="gpu">
              <div>
                <strong>{name}</strong>{' '}
                <span class="muted">
                  {memory_mib > 0 && `${Math.round(memory_mib / 1024)} GiB`}
                  {mig && ` · part ${mig.profile}`}
                  {driver && ` · driver ${driver}`}
                </span>
                <div class="muted">
                  <code>{uuid}</code>
                </div>
                {reason && <div class="field-error">{reason}</div>}
              </div>
              {health === 'unhealthy' && <Badge state="unhealthy" />}
              {health === 'healthy' && !held_by && <Badge state="free" tone="good" />}
              {held_by && <Link to={`/instances/${held_by}`}>held by an instance</Link>}
            </li>
          ))}
        </ul>
      )}
    </Section>
  );
}

/** Caches and built images of projects, for their next jobs. */
export function Kept({ node }: Shown) {
  const kept = node.inventory?.kept ?? [];
  if (kept.length === 0) return null;
  return (
    <Section title="Kept for later jobs">
      <ul class="cards">
        {kept.map(
          ({
            id,
            kind,
            class: what,
            name,
            project_id,
            revision_sha256,
            payload,
            bytes: size,
            max_bytes: most,
            used_at,
            in_use,
          }) => (
            <li key={id} class="gpu">
              <div>
                <strong>{name ?? kind}</strong> {what && <span class="muted">{what}</span>}{' '}
                <code>{payload?.slice(0, 17) ?? revision_sha256.slice(0, 12)}</code>{' '}
                <span class="muted">of {project_id}</span>
                <div class="muted">
                  {size === null ? 'not measured' : bytes(size)}
                  {most !== null && ` of ${bytes(most)}`} {used_at && <Timestamp at={used_at} />}
                </div>
              </div>
              {in_use && <Badge state="in use" tone="neutral" />}
            </li>
          ),
        )}
      </ul>
    </Section>
  );
}

export function Runtimes({ node }: Shown) {
  const runtime = runtimeOf(node);
  if (!runtime) return null;
  const { runtimes, engine, compose_version } = runtime;
  return (
    <Section title="Container runtimes">
      {runtimes.length === 0 && <p class="muted">None was found on it.</p>}
      <ul class="cards">
        {runtimes.map(({ name, state, version, approved, reason }) => (
          <li key={name} class="gpu">
            <div>
              <strong>{name}</strong> <span class="muted">{version}</span>
              {reason && <div class="muted">{reason}</div>}
            </div>
            {approved && <Badge state="approved" tone="neutral" />}
            <Badge state={state} tone={state === 'ready' ? 'good' : 'neutral'} label={words(state)} />
          </li>
        ))}
      </ul>
      {engine && (
        <Facts
          facts={[
            ['Engine', `${engine.version} (API ${engine.api_version})`],
            ['Compose', compose_version ?? 'not installed'],
            [counted(engine.runtimes.length, 'OCI runtime'), engine.runtimes.join(', ')],
            ['Storage', engine.storage_driver],
            ['cgroups', `version ${engine.cgroup_version}, by ${engine.cgroup_driver}`],
          ]}
        />
      )}
    </Section>
  );
}
