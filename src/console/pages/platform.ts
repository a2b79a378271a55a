/** Pages about the fleet, which come together: few people need them, and those who do need several. */
export { AllocationPage } from './allocations/allocation-page.tsx';
export { AllocationsPage } from './allocations/allocations-page.tsx';
export { ArtifactPage } from './artifacts/artifact-page.tsx';
export { ArtifactsPage } from './artifacts/artifacts-page.tsx';
export { AuditPage } from './audit/audit-page.tsx';
export { NodePage } from './nodes/node-page.tsx';
export { NodesPage } from './nodes/nodes-page.tsx';
