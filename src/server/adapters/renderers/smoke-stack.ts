/**
 * Renderer `smoke_stack`: two services without a card, for operators who want to see that a host runs stacks.
 *
 * `web` answers over HTTP and serves its folder; `watch` starts once `web` is healthy, asks it by its name every two seconds
 * and logs what it hears. So a launch proves order, names, network, folders, health and logs. Any image with `python3` will do,
 * the curated notebook's as well.
 */
import type { ComposeService } from '../../../contract/compose-document.ts';
import { baseOf, gib, type Renderer } from './renderer.ts';

/** Of cores and memory; the rest is for the service that others wait for. */
const watchShare = 0.25;

export const smokeStack: Renderer = {
  parameters: [],
  render: ({ services: [web, watch], image, resources }) => {
    if (!web || !watch) throw new Error('smoke_stack makes two services, and the manifest has fewer');
    const port = web.exposure[0]?.container_port ?? 8080;
    const share = (part: number) => ({
      cpus: Math.max(0.1, resources.cpu_cores * part),
      mem_limit: Math.round(resources.memory_gib * part * gib),
    });
    const server: ComposeService = {
      ...baseOf(web, image),
      entrypoint: ['python3', '-u'],
      command: ['-m', 'http.server', String(port), '--directory', web.storage[0]?.path ?? '/tmp'],
      environment: web.environment,
      ...share(1 - watchShare),
      healthcheck: {
        test: ['CMD', 'python3', '-c', `import urllib.request as r; r.urlopen('http://127.0.0.1:${port}/', timeout=2)`],
        interval: '2s',
        timeout: '5s',
        retries: 5,
        start_period: '30s',
      },
    };
    const watcher: ComposeService = {
      ...baseOf(watch, image),
      entrypoint: ['python3', '-u', '-c'],
      command: [watchScript(web.name, port)],
      environment: watch.environment,
      ...share(watchShare),
      depends_on: { [web.name]: { condition: 'service_healthy' } },
    };
    return { [web.name]: server, [watch.name]: watcher };
  },
};

/** What cannot be reached ends it: the agent starts it again, and says so. */
function watchScript(host: string, port: number): string {
  return [
    'import time, urllib.request as r',
    'while True:',
    `    with r.urlopen('http://${host}:${port}/', timeout=5) as answer:`,
    `        print('${host} answered', answer.status)`,
    '    time.sleep(2)',
  ].join('\n');
}
