import { describe, expect, it } from 'vitest';
import { routes } from '../../../src/gate/routes.ts';
import { compileRoutes } from '../../../src/gate/routing.ts';

const find = compileRoutes(routes);
const digest = `sha256:${'a'.repeat(64)}`;
const id = 'b'.repeat(64);

/** The route's pattern, or the code of the first error. */
function routeOf(method: string, url: string): string {
  try {
    return find(method, url).route.path;
  } catch (error) {
    return (error as { detail: { errors: { code: string }[] } }).detail.errors[0]?.code ?? 'none';
  }
}

describe('the route table', () => {
  it.each([
    ['GET', '/_ping', '/_ping'],
    ['HEAD', '/_ping', '/_ping'],
    ['GET', '/v1.41/info', '/info'],
    ['GET', '/v1.47/containers/json?all=1', '/containers/json'],
    ['GET', '/containers/gpuaas-x/json', '/containers/{container}/json'],
    ['GET', `/containers/${id}/logs?stdout=1&follow=true&tail=all`, '/containers/{container}/logs'],
    ['POST', '/containers/gpuaas-x/stop?t=10', '/containers/{container}/stop'],
    ['POST', '/containers/gpuaas-x/kill?signal=SIGTERM', '/containers/{container}/kill'],
    ['GET', `/images/127.0.0.1:5000/a/b@${digest}/json`, '/images/{image}/json'],
    ['GET', `/images/${digest}/json`, '/images/{image}/json'],
    ['POST', '/containers/gpuaas-x.web-1/stop?t=10', '/containers/{container}/stop'],
    ['POST', '/containers/create?name=gpuaas-x.web', '/containers/create'],
    ['GET', '/v1.41/volumes?filters=%7B%7D', '/volumes'],
    ['PUT', '/gpuaas/v1/secrets/x', '/gpuaas/v1/secrets/{member}'],
    ['PUT', '/gpuaas/v1/secrets/x.web', '/gpuaas/v1/secrets/{member}'],
    ['DELETE', '/gpuaas/v1/workloads/x/data?data=1', '/gpuaas/v1/workloads/{instance}/data'],
    ['DELETE', '/gpuaas/v1/data', '/gpuaas/v1/data'],
    ['GET', '/gpuaas/v1/containers/gpuaas-x.look-0/stat?path=/a', '/gpuaas/v1/containers/{container}/stat'],
  ])('offers %s %s', (method, url, route) => {
    expect(routeOf(method, url)).toBe(route);
  });

  it.each([
    ['GET', '/containers/json/'],
    ['GET', '//_ping'],
    ['GET', '/./_ping'],
    ['GET', '/v1.41/../_ping'],
    ['GET', '/images/../_ping'],
    ['GET', '/%5fping'],
    ['GET', '/containers/gpuaas-x%2fjson'],
    ['GET', '/containers/%2e%2e/json'],
    ['GET', '/_ping%00'],
    ['GET', '/_ping;x=1'],
    ['GET', '/_ping#x'],
    ['GET', 'http://engine/_ping'],
    ['OPTIONS', '*'],
    ['GET', ''],
    ['GET', '/\u00e9'],
    ['GET', '/_ping\\'],
  ])('finds no second spelling of a path: %s %s', (method, url) => {
    expect(['path', 'route']).toContain(routeOf(method, url));
  });

  it.each([
    ['POST', '/_ping'],
    ['get', '/_ping'],
    ['GET', '/containers/postgres/json'],
    ['GET', '/containers/gpuaas-x/top'],
    ['POST', '/containers/gpuaas-x/attach'],
    ['POST', '/containers/gpuaas-x./start'],
    ['POST', '/containers/gpuaas-x.web.web/start'],
    ['POST', '/containers/gpuaas-x.Web/start'],
    ['GET', '/networks/gpuaas-x.web'],
    ['POST', '/volumes/create'],
    ['DELETE', '/gpuaas/v1/workloads/x.web/data'],
    ['PUT', '/gpuaas/v1/secrets/x..web'],
    ['POST', '/containers/gpuaas-x/rename'],
    ['POST', '/containers/gpuaas-x/update'],
    ['HEAD', '/containers/gpuaas-x/archive'],
    ['DELETE', '/volumes/gpuaas-x'],
    ['DELETE', '/volumes/gpuaas-x.a.b'],
    ['DELETE', '/volumes/other.data'],
    ['GET', '/volumes/gpuaas-x.data'],
    ['PUT', '/gpuaas/v1/jobs/x/inputs/a.b'],
    ['PUT', '/gpuaas/v1/jobs/x.y/inputs/a'],
    ['POST', '/containers/prune'],
    ['DELETE', '/containers/json'],
    ['GET', `/images/a/b:latest/json`],
    ['GET', `/images/A@${digest}/json`],
    ['GET', '/v1.41/v1.41/info'],
    ['GET', '/__proto__'],
    ['GET', '/constructor'],
  ])('offers nothing else: %s %s', (method, url) => {
    expect(routeOf(method, url)).toBe('route');
  });

  it.each(['/v1.23/info', '/v1.999/info'])('knows the range of API versions: %s', (url) => {
    expect(routeOf('GET', url)).toBe('version');
  });

  it.each([
    ['/containers/json?all=1&all=0', 'duplicate_key'],
    ['/containers/json?all=1&size=1', 'unknown_key'],
    ['/containers/json?All=1', 'unknown_key'],
    ['/containers/json?__proto__=1', 'unknown_key'],
    ['/containers/json?all=maybe', 'pattern'],
    ['/containers/json?filters=%00', 'pattern'],
    ['/_ping?x', 'unknown_key'],
  ])('takes each listed query key once: %s', (url, code) => {
    expect(routeOf('GET', url)).toBe(code);
  });

  it('hands on variables and decoded query values', () => {
    const { params, query } = find('GET', '/containers/gpuaas-x/logs?since=2026-01-01T00%3A00%3A00Z&tail=10');

    expect({ params, query }).toEqual({
      params: { container: 'gpuaas-x' },
      query: { since: '2026-01-01T00:00:00Z', tail: '10' },
    });
  });
});
