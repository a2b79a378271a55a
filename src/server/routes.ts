/** Every route of the control plane. */
import { Readable } from 'node:stream';
import { Type } from 'typebox';
import { publishRoute } from './artifacts/publish-route.ts';
import { pullAuthorization } from './artifacts/pull-authorization.ts';
import { artifactRoutes } from './artifacts/routes.ts';
import { publishingRoutes } from './catalog/publishing.ts';
import { releaseLockRoutes } from './catalog/release-lock.ts';
import { catalogRoutes } from './catalog/routes.ts';
import type { ServerContext } from './context.ts';
import { bootstrapRoutes } from './enrolment/bootstrap-routes.ts';
import { enrolmentRoutes } from './enrolment/enrolment-routes.ts';
import type { ServerMetrics } from './http/metrics.ts';
import { openApiOf } from './http/openapi.ts';
import { openRoute, type Route } from './http/route.ts';
import { decommission } from './instances/actions.ts';
import { instanceRoutes } from './instances/instance-routes.ts';
import { LogAnswers } from './instances/log-answers.ts';
import { observationRoutes } from './instances/observation-routes.ts';
import { nodeOutputRoutes } from './job-outputs/node-output-routes.ts';
import { outputRoutes } from './job-outputs/output-routes.ts';
import { jobObservationRoutes } from './jobs/job-observation.ts';
import { jobRoutes } from './jobs/job-routes.ts';
import { resolvingOf } from './jobs/resolve-images.ts';
import { environmentOf } from './launch/environment.ts';
import { registryRoutes } from './registry/registry-routes.ts';
import { nodeUpdateRoutes } from './releases/node-update-routes.ts';
import { releaseRoutes } from './releases/release-routes.ts';
import { rolloutRoutes } from './releases/rollout-routes.ts';
import { servingRoutes } from './releases/serve-release.ts';
import { accessCredentialRoutes } from './resources/access-credentials.ts';
import { allocationRoutes } from './resources/allocations.ts';
import { tokenRoutes } from './resources/api-tokens.ts';
import { auditRoutes } from './resources/audit.ts';
import { environmentRoutes } from './resources/environment.ts';
import { joinTokenRoutes } from './resources/join-tokens.ts';
import { nodeControl } from './resources/node-control.ts';
import { nodeRoutes } from './resources/nodes.ts';
import { probeRoute } from './resources/probe-node.ts';
import { projectRoutes } from './resources/projects.ts';
import { releasing } from './resources/release-allocation.ts';
import { serviceAccountRoutes } from './resources/service-accounts.ts';
import { sessionRoutes } from './resources/session.ts';
import { systemRoutes } from './resources/system.ts';
import { taskKeyRoutes } from './resources/task-keys.ts';
import { nodeRevisionRoutes } from './revisions/node-revision-routes.ts';
import { revisionRoutes } from './revisions/revision-routes.ts';

export function routesOf(context: ServerContext, metrics: ServerMetrics, version: string): Route[] {
  const { store, keys, hub, queue, samples, settings, clock } = context;
  const release = releasing(async (tx, cause, instance) => {
    const allocation = await tx.allocations.get(instance.allocation_id);
    await decommission(tx, queue, cause, instance, allocation?.data_policy === 'keep');
  }, queue);
  const control = nodeControl(hub, queue);
  const { isConnected } = control;
  const releases = { ...context, isConnected };
  const answers = new LogAnswers();
  const routes = [
    ...projectRoutes(),
    ...sessionRoutes(context),
    ...tokenRoutes(),
    ...accessCredentialRoutes(keys.vault),
    ...serviceAccountRoutes(),
    ...allocationRoutes(release),
    ...nodeRoutes(control),
    ...nodeUpdateRoutes(releases),
    probeRoute(queue, isConnected),
    ...joinTokenRoutes(context),
    publishRoute(context),
    ...artifactRoutes(context, pullAuthorization(context)),
    ...catalogRoutes(context),
    ...publishingRoutes(),
    ...releaseLockRoutes(environmentOf(settings)),
    ...environmentRoutes(context, version),
    ...instanceRoutes({ store, vault: keys.vault, queue, environment: environmentOf(settings) }),
    ...observationRoutes({ store, logs: hub, answers, metrics: samples, clock }),
    ...jobRoutes({
      ...{ store, vault: keys.vault, queue, outputs: context.outputs, revisions: context.revisions, isConnected },
      resolving: resolvingOf(context),
    }),
    ...jobObservationRoutes({ store, logs: hub, answers, outputs: context.outputs, clock }),
    ...enrolmentRoutes({
      ...{ store, keys, audience: () => new URL(settings.publicUrl).origin, ca: settings.ca },
      revoke: control.revoke,
    }),
    ...releaseRoutes(releases),
    ...rolloutRoutes(releases),
    ...servingRoutes(context),
    ...nodeOutputRoutes(context),
    ...nodeRevisionRoutes(context),
    ...revisionRoutes(context),
    ...outputRoutes(context),
    ...bootstrapRoutes({ store, keys, ...settings }),
    ...registryRoutes({ key: keys.registry, tokenRegistries: settings.tokenRegistries, upstream: settings.upstream }),
    ...auditRoutes(),
    ...taskKeyRoutes(keys.task, () => hub.renew()),
    ...systemRoutes(context, metrics),
  ];
  return [...routes, describing(routes, version)];
}

function describing(routes: readonly Route[], version: string): Route {
  let document: string | undefined;
  return openRoute({
    ...{ method: 'GET', path: '/openapi.json', tag: 'system', summary: 'This interface, as OpenAPI 3.1.' },
    answer: Type.Unknown({ description: 'OpenAPI document.' }),
    produces: 'application/json',
    stream: async () => {
      document ??= JSON.stringify(openApiOf(routes, version));
      return { contentType: 'application/json; charset=utf-8', body: Readable.from([document]) };
    },
  });
}
