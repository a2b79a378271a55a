/** Every route of the control plane. */
import { Type } from 'typebox';
import type { ServerContext } from './context.ts';
import type { ServerMetrics } from './http/metrics.ts';
import { openApiOf } from './http/openapi.ts';
import { openRoute, type Route } from './http/route.ts';
import { tokenRoutes } from './resources/api-tokens.ts';
import { projectRoutes } from './resources/projects.ts';
import { systemRoutes } from './resources/system.ts';

export function routesOf(context: ServerContext, metrics: ServerMetrics, version: string): Route[] {
  const routes = [...projectRoutes(), ...tokenRoutes(), ...systemRoutes(context, metrics)];
  return [...routes, describing(routes, version)];
}

function describing(routes: readonly Route[], version: string): Route {
  const document = openApiOf(routes, version);
  return openRoute({
    ...{ method: 'GET', path: '/openapi.json', tag: 'system', summary: 'This interface, as OpenAPI 3.1.' },
    answer: Type.Unknown({ description: 'OpenAPI document.' }),
    read: async () => document,
  });
}
