/** What a Nosana op publishes, and how it is asked whether it is well (research: expose, health check, names and network). */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { type NosanaGround, openNosanaGround } from '../support/nosana-ground.ts';
import { definition, op, shared, untilThere, volumeOp } from '../support/nosana-jobs.ts';

let ground: NosanaGround;
beforeAll(async () => {
  ground = await openNosanaGround();
});
afterAll(async () => await ground?.close());

const serve = (port: number, ...more: number[]) =>
  `mkdir -p /www; echo hello > /www/index.html; ${more.map((other) => `httpd -p ${other} -h /www; `).join('')}httpd -f -p ${port} -h /www`;

/** Answers 202 to one request only, and greets whoever opens a WebSocket. */
const picky = `
import base64, hashlib, http.server, socketserver, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        key = self.headers.get('Sec-WebSocket-Key')
        if key is None: return self.send_error(500)
        accept = base64.b64encode(hashlib.sha1((key + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11').encode()).digest()).decode()
        self.wfile.write(f'HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\nSec-WebSocket-Accept: {accept}\\r\\n\\r\\n'.encode())
        self.wfile.write(b'\\x81\\x05ready')
        self.close_connection = True
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get('Content-Length', 0)))
        right = self.headers.get('X-Key') == 'k' and body == b'{"a":1}' and self.path == '/check?q=1'
        self.send_response(202 if right else 500)
        self.send_header('Content-Length', '0')
        self.end_headers()
    def log_message(self, *args): pass
class Server(socketserver.ThreadingMixIn, http.server.HTTPServer): daemon_threads = True
Server(('', int(sys.argv[1])), Handler).serve_forever()
`;

describe.concurrent('expose', () => {
  it('publishes a number, a range and an object on the loopback address only, the same way (N-26)', async () => {
    const execution = { group: 'g' };
    const job = await ground.begin(
      definition([
        op('number', serve(8080), { execution, expose: 8080 }),
        op('object', serve(8080), { execution, expose: [{ port: 8080 }], private: true }),
        op('range', serve(8001, 8002), { execution, expose: ['8001-8002', { port: 9000, type: 'none' }] }),
      ]),
    );

    const { endpoints } = await job.reported(({ endpoints: all }) => all.length === 5);
    const answers = Promise.all(
      endpoints
        .filter(({ container_port }) => container_port !== 9000)
        .map(async ({ port }) => await eventually(() => answerOf(`http://127.0.0.1:${port}/`))),
    );
    expect(await answers).toEqual(Array(4).fill('hello\n'));
    expect(endpoints.filter(({ step }) => step !== 'range').map(({ step: _, port: __, url, ...same }) => same)).toEqual(
      Array(2).fill({ name: 'port-8080', protocol: 'http', host: '127.0.0.1', container_port: 8080 }),
    );
    expect(endpoints.find(({ container_port }) => container_port === 9000)).toMatchObject({
      protocol: 'tcp',
      url: null,
    });
    const { Ports } = (await job.container('range')).NetworkSettings;
    expect(new Set(Object.values(Ports).flatMap((bound) => (bound ?? []).map(({ HostIp }) => HostIp)))).toEqual(
      new Set(['127.0.0.1']),
    );

    expect(await job.cancel()).toMatchObject({ status: 'succeeded', output: { state: 'cancelled', endpoints: [] } });
  });

  it('is ready when its http and websocket checks have passed, asked as they are written', async () => {
    const execution = { group: 'g', timeout: 100 };
    const python = (id: string, port: number, checks: object) =>
      op(id, ['python', '-c', picky, String(port)], {
        ...{ execution: { ...execution, depends_on: ['app'], stop_if_dependent_stops: true }, image: 'python' },
        expose: { port, ...checks },
      });
    const job = await ground.run(
      definition([
        python('http', 8081, {
          health_checks: [
            {
              ...{ type: 'http', path: '/check?q=1', method: 'POST', expected_status: 202 },
              ...{ headers: { 'X-Key': 'k' }, body: { a: 1 } },
            },
          ],
        }),
        python('socket', 8082, {
          type: 'websocket',
          health_checks: [{ type: 'websocket', expected_response: 'ready' }],
        }),
        op('app', 'echo there', { execution }),
      ]),
    );

    expect(job.result).toMatchObject({ status: 'succeeded', failure: null });
    expect(job.said('app')).toEqual(['there']);
  });

  it.each([
    ['http', { type: 'http', path: '/none', method: 'GET', expected_status: 200 }],
    ['websocket', { type: 'websocket', expected_response: 'ready' }],
  ] as const)('is not ready while its %s check does not pass: what depends on it does not start', async (_, check) => {
    const job = await ground.run(
      definition([
        op('server', serve(8080), {
          ...{ expose: { port: 8080, health_checks: [check] }, execution: { group: 'g', timeout: 2 } },
        }),
        op('app', 'echo there', { execution: { group: 'g', depends_on: ['server'] } }),
      ]),
    );

    expect(job.states()).toEqual({ server: 'timed_out', app: 'skipped' });
  });

  it('restarts an op whose continuous check does not pass any more, and fails it after the last restart', async () => {
    const check = { type: 'http', path: '/ok', method: 'GET', expected_status: 200 } as const;
    const execution = { group: 'g', timeout: 100 };
    // Well until somebody depends on it; where it is started again it ends.
    const unwell = (id: string, max_restarts: number) =>
      op(
        id,
        `if [ -e /v/${id} ]; then exit 0; fi; mkdir /www; touch /www/ok; httpd -p 8080 -h /www; ` +
          `${untilThere('/v/seen')}; touch /v/${id}; rm /www/ok; sleep 1000`,
        {
          ...{ ...shared, execution },
          expose: {
            port: 8080,
            health_checks: [{ ...check, continuous: true, restart_on_failure: true, max_restarts }],
          },
        },
      );
    const job = await ground.run(
      definition([
        ...[volumeOp('shared'), unwell('again', 1), unwell('at-once', 0)],
        op('watch', 'touch /v/seen', { ...shared, execution: { ...execution, depends_on: ['again', 'at-once'] } }),
      ]),
    );

    expect(job.states()).toEqual({ again: 'succeeded', 'at-once': 'failed', watch: 'succeeded' });
    expect(job.step('again').attempts).toBe(2);
    expect(job.step('at-once')).toMatchObject({ attempts: 1, failure: { code: 'step.unhealthy' } });
  });
});

describe.concurrent('the network of a job', () => {
  it('is its own: another job does not find its ops', async () => {
    const server = await ground.begin(definition([op('server', serve(8080), { expose: 8080, aliases: ['store'] })]));
    await server.reported(({ endpoints }) => endpoints.length === 1);

    const other = await ground.run(
      definition([
        op('asks', 'for name in server store; do nslookup $name >/dev/null 2>&1 && echo found $name; done; echo asked'),
      ]),
    );
    await server.cancel();

    expect(other.said('asks')).toEqual(['asked']);
  });
});

async function answerOf(url: string): Promise<string> {
  return await (await fetch(url, { signal: AbortSignal.timeout(10_000) })).text();
}
