/** `/openapi.json`, made from the declarations that the server runs: it cannot say anything else than the server does. */
import type { TObject } from 'typebox';
import { ErrorAnswer } from './errors.ts';
import type { Route } from './route.ts';

interface Operation {
  readonly [key: string]: unknown;
}

export function openApiOf(routes: readonly Route[], version: string) {
  const paths: Record<string, Record<string, Operation>> = {};
  for (const route of routes) {
    paths[route.path] = { ...paths[route.path], [route.method.toLowerCase()]: operationOf(route) };
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'GPUaaS control plane',
      version,
      description: 'Errors are one envelope everywhere; mutations take an Idempotency-Key.',
    },
    paths,
    components: {
      schemas: { Error: ErrorAnswer },
      securitySchemes: { token: { type: 'http', scheme: 'bearer', bearerFormat: 'gpuaas_<id>_<secret>' } },
    },
  };
}

function operationOf(route: Route): Operation {
  const { tag, summary, allow, body, file, answer, status = 200 } = route;
  const type = route.stream ? (route.produces ?? 'text/event-stream') : 'application/json';
  return {
    tags: [tag],
    summary,
    ...(allow === 'anyone' ? { security: [] } : { security: [{ token: [] }], 'x-roles': allow }),
    parameters: [...parametersOf('path', route.params), ...parametersOf('query', route.query), ...keyOf(route)],
    ...(body || file ? { requestBody: { required: true, content: contentOf(route) } } : {}),
    responses: {
      [status]: { description: 'Done.', content: { [type]: { schema: answer } } },
      default: { description: 'Refused or failed.', content: { 'application/json': { schema: errorReference } } },
    },
  };
}

function contentOf({ body, file }: Route): Operation {
  return file ? { 'application/octet-stream': {} } : { 'application/json': { schema: body } };
}

const errorReference = { $ref: '#/components/schemas/Error' };

function parametersOf(place: 'path' | 'query', schema: TObject | undefined): Operation[] {
  const required = new Set<string>((schema?.required as string[] | undefined) ?? []);
  return Object.entries(schema?.properties ?? {}).map(([name, property]) => ({
    ...{ name, in: place, required: place === 'path' || required.has(name), schema: property },
    description: (property as { description?: string }).description ?? '',
  }));
}

function keyOf(route: Route): Operation[] {
  const schema = { type: 'string', maxLength: 255 };
  const description = 'The same key with the same body gets the same answer, for a day.';
  return route.change && !route.file && route.allow !== 'anyone'
    ? [{ name: 'Idempotency-Key', in: 'header', required: false, schema, description }]
    : [];
}
