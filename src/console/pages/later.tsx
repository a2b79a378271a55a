/**
 * The pages that come with the first look at one of them, or while nothing else is to be done: in one file, as what they
 * have in common is compressed once then.
 */
import type { ComponentChild } from 'preact';
import type { Route } from '../lib/router.tsx';
import { AllocationPage } from './allocations/allocation-page.tsx';
import { AllocationsPage } from './allocations/allocations-page.tsx';
import { ArtifactPage } from './artifacts/artifact-page.tsx';
import { ArtifactsPage } from './artifacts/artifacts-page.tsx';
import { AuditPage } from './audit/audit-page.tsx';
import { AppPage } from './catalog/app-page.tsx';
import { LaunchPage } from './launch/launch-page.tsx';
import { NodePage } from './nodes/node-page.tsx';
import { NodesPage } from './nodes/nodes-page.tsx';

/** The page of an address, by its first part; nothing where there is none. A page of its own is one line. */
export type Pages = Readonly<Record<string, (route: Route) => ComponentChild>>;

export const pages: Pages = {
  apps: ({ parts: [, slug, version, what] }) =>
    (slug && version === undefined && <AppPage key={slug} slug={slug} />) ||
    (slug && version && what === 'launch' && <LaunchPage key={`${slug}/${version}`} {...{ slug, version }} />),
  allocations: ({ parts: [, id] }) => (id === undefined ? <AllocationsPage /> : <AllocationPage key={id} id={id} />),
  nodes: ({ parts: [, id] }) => (id === undefined ? <NodesPage /> : <NodePage key={id} id={id} />),
  artifacts: ({ parts: [, id] }) => (id === undefined ? <ArtifactsPage /> : <ArtifactPage key={id} id={id} />),
  audit: () => <AuditPage />,
};
