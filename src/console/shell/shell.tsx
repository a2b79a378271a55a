/** What stands around every page of somebody who is signed in: where to go, who one is, and whether news still comes. */
import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { follow } from '../lib/live.ts';
import { Link, useRoute } from '../lib/router.tsx';
import type { Session } from '../lib/session.ts';
import { signOut } from '../lib/sign-in.ts';
import { useShared } from '../lib/store.ts';
import { theme, themes } from '../lib/theme.ts';
import { Button } from '../parts/button.tsx';
import { Icon, type IconName } from '../parts/icon.tsx';
import { ConnectionBanner } from './connection-banner.tsx';
import './shell.css';

interface Place {
  readonly title: string;
  readonly to: string;
  readonly icon: IconName;
  /** First parts of the addresses of its pages. */
  readonly parts: readonly (string | undefined)[];
  readonly platformOnly?: boolean;
}

const places: readonly Place[] = [
  { title: 'Catalog', to: '/', icon: 'apps', parts: [undefined, 'apps'] },
  { title: 'Instances', to: '/instances', icon: 'instances', parts: ['instances'] },
  { title: 'Jobs', to: '/jobs', icon: 'jobs', parts: ['jobs'] },
  { title: 'Allocations', to: '/allocations', icon: 'allocations', parts: ['allocations'] },
  { title: 'Nodes', to: '/nodes', icon: 'nodes', parts: ['nodes'] },
  { title: 'Artifacts', to: '/artifacts', icon: 'artifacts', parts: ['artifacts'] },
  { title: 'Audit log', to: '/audit', icon: 'audit', parts: ['audit'], platformOnly: true },
];

export function Shell({ session, children }: { readonly session: Session; readonly children: ComponentChildren }) {
  const { parts, path } = useRoute();
  const [isOpen, setOpen] = useState(false);
  const main = useRef<HTMLElement>(null);
  useEffect(() => {
    const gone = new AbortController();
    follow(gone.signal);
    return () => gone.abort();
  }, [session.token_id]);
  useEffect(() => {
    setOpen(false);
    scrollTo(0, 0);
  }, [path]);

  const isPlatform = session.role === 'admin' || session.role === 'operator';
  return (
    <div class="shell">
      <button type="button" class="skip" onClick={() => main.current?.focus()}>
        Skip to the content
      </button>
      <header class="top">
        <Button
          tone="quiet"
          icon="menu"
          class="menu-button"
          aria-label="Menu"
          aria-expanded={isOpen}
          aria-controls="places"
          onClick={() => setOpen(!isOpen)}
        />
        <Link to="/" class="brand">
          <Icon name="instances" />
          GPUaaS
        </Link>
        <Whoami session={session} />
      </header>
      <nav id="places" class={isOpen ? 'side side-open' : 'side'} aria-label="Main">
        <ul>
          {places
            .filter(({ platformOnly }) => isPlatform || !platformOnly)
            .map(({ title, to, icon, parts: own }) => (
              <li key={to}>
                <Link to={to} aria-current={own.includes(parts[0]) ? 'page' : undefined}>
                  <Icon name={icon} />
                  {title}
                </Link>
              </li>
            ))}
        </ul>
        <div class="side-foot">
          <ThemeSwitch />
          <Button tone="quiet" icon="out" onClick={() => void signOut()}>
            Sign out
          </Button>
        </div>
      </nav>
      <main ref={main} tabIndex={-1} class="main">
        <ConnectionBanner />
        {!session.environment.launch_enabled && (
          <p class="notice" role="note">
            Launches are switched off in this environment.
          </p>
        )}
        {children}
      </main>
    </div>
  );
}

function Whoami({ session: { project, role, token_name, environment } }: { readonly session: Session }) {
  return (
    <div class="whoami">
      {environment.name && <span class="whoami-environment">{environment.name}</span>}
      <span class="whoami-name">
        <strong>{project ? project.display_name : 'Platform'}</strong>
        <span class="whoami-token">
          {token_name} · {role}
        </span>
      </span>
    </div>
  );
}

function ThemeSwitch() {
  const chosen = useShared(theme);
  const titles = { system: 'automatic', light: 'light', dark: 'dark' };
  const next = themes[(themes.indexOf(chosen) + 1) % themes.length] ?? 'system';
  return (
    <Button tone="quiet" icon="theme" onClick={() => theme.set(next)} title={`Change to ${titles[next]}`}>
      Theme: {titles[chosen]}
    </Button>
  );
}
