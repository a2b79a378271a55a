/**
 * The pages that come with the first look at one of them, or while nothing else is to be done: in one file, as what they
 * share is smaller by far when it is compressed together.
 */
import type { ComponentChild } from 'preact';
import type { Route } from '../lib/router.tsx';
import { AllocationPage } from './allocations/allocation-page.tsx';
import { AllocationsPage } from './allocations/allocations-page.tsx';
import { ArtifactPage } from './artifacts/artifact-page.tsx';
import { ArtifactsPage } from './artifacts/artifacts-page.tsx';
import { AuditPage } from './audit/audit-page.tsx';
import { AppPage } from './catalog/app-page.tsx';
import { InstancePage } from './instance/instance-page.tsx';
import { InstancesPage } from './instances/instances-page.tsx';
import { LaunchPage } from './launch/launch-page.tsx';
import { NodePage } from './nodes/node-page.tsx';
import { NodesPage } from './nodes/nodes-page.tsx';

/** The page of an address, by its first part; undefined where there is none. A page of its own is one line. */
export const pages: Readonly<Record<string, (route: Route) => ComponentChild>> = {
  apps: ({ parts: [, slug, version, what] }) =>
    (slug && version === undefined && <AppPage key={slug} slug={slug} />) ||
    (slug && version && what === 'launch' && <LaunchPage key={`${slug}/${version}`} {...{ slug, version }} />),
  instances: ({ parts: [, id, tab] }) =>
    id === undefined ? <InstancesPage /> : <InstancePage key={id} id={id} tab={tab} />,
  allocations: ({ parts: [, id] }) => (id === undefined ? <AllocationsPage /> : <AllocationPage key={id} id={id} />),
  nodes: ({ parts: [, id] }) => (id === undefined ? <NodesPage /> : <NodePage key={id} id={id} />),
  artifacts: ({ parts: [, id] }) => (id === undefined ? <ArtifactsPage /> : <ArtifactPage key={id} id={id} />),
  audit: () => <AuditPage />,
};
