/**
 * The agent taken over: a raw client that says whatever it likes on the gate's socket. Each attempt is refused, logged
 * as one line, and never reaches the engine.
 */
import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { engineCall } from '../support/engine-call.ts';
import { pushFreshImage } from './engine-images.ts';
import {
  call,
  exchange,
  type GateGround,
  newInstance,
  openGateGround,
  type RequestChanges,
  statusesIn,
} from './gate-ground.ts';

let ground: GateGround;
beforeAll(async () => {
  ground = await openGateGround();
  // So that the gate has talked to the engine once, and what follows is only what the attempt causes.
  await call(ground.gate, 'GET', '/version');
});
afterAll(async () => await ground.close());

beforeEach(() => {
  ground.recorder.forget();
  ground.log.length = 0;
});
afterEach(async () => {
  // The gate lives on after every single attempt.
  expect((await call(ground.gate, 'GET', '/_ping')).text).toBe('OK');
});

/** Lines of the gate's log that say that something was refused. */
function refusals(): Record<string, unknown>[] {
  return ground.log.map((line) => JSON.parse(line)).filter(({ level }) => level === 'warn');
}

function expectUntouched(): void {
  expect(ground.recorder.text()).toBe('');
}

describe('a create request', () => {
  const bind = { Type: 'bind', Target: '/x', ReadOnly: false, BindOptions: { Propagation: 'rprivate' } };
  const vectors: [string, RequestChanges][] = [
    ['privileged', { host: { Privileged: true } }],
    ['privileged in other letters', { host: { privileged: true } }],
    ['capabilities', { host: { CapAdd: ['SYS_ADMIN'] } }],
    ['no capability dropped', { host: { CapDrop: [] } }],
    [
      'devices',
      { host: { Devices: [{ PathOnHost: '/dev/sda', PathInContainer: '/dev/sda', CgroupPermissions: 'rwm' }] } },
    ],
    ['device rules', { host: { DeviceCgroupRules: ['a *:* rwm'] } }],
    ['device requests', { host: { DeviceRequests: [{ Count: -1, Capabilities: [['gpu']] }] } }],
    ['the host network', { host: { NetworkMode: 'host' } }],
    ["another container's network", { host: { NetworkMode: 'container:x' } }],
    ["another instance's network", { host: { NetworkMode: 'gpuaas-other' } }],
    ['host processes', { host: { PidMode: 'host' } }],
    ['host memory', { host: { IpcMode: 'host' } }],
    ['host users', { host: { UsernsMode: 'host' } }],
    ['host name space', { host: { UTSMode: 'host' } }],
    ['host control groups', { host: { CgroupnsMode: 'host' } }],
    ['a control group parent', { host: { CgroupParent: '/' } }],
    ['no seccomp', { host: { SecurityOpt: ['seccomp=unconfined'] } }],
    ['no apparmor', { host: { SecurityOpt: ['no-new-privileges', 'apparmor=unconfined'] } }],
    ['sysctls', { host: { Sysctls: { 'kernel.core_pattern': '|/x' } } }],
    ['another runtime', { host: { Runtime: 'evil' } }],
    ['binds', { host: { Binds: ['/:/host'] } }],
    ['volumes of another', { host: { VolumesFrom: ['x'] } }],
    ['the root of the host', { host: { Mounts: [{ ...bind, Source: '/' }] } }],
    ["the engine's socket", { host: { Mounts: [{ ...bind, Source: '/var/run/docker.sock' }] } }],
    ['a volume', { host: { Mounts: [{ Type: 'volume', Source: 'x', Target: '/x' }] } }],
    ['a folder that climbs', { host: { Mounts: [{ ...bind, Source: '/tmp/home/gpuaas/workloads/a/../../..' }] } }],
    ['a shared mount', { host: { Mounts: [{ ...bind, Source: '/x', BindOptions: { Propagation: 'rshared' } }] } }],
    ['all ports', { host: { PublishAllPorts: true } }],
    [
      'a public port',
      {
        top: { ExposedPorts: { '80/tcp': {} } },
        host: { PortBindings: { '80/tcp': [{ HostIp: '0.0.0.0', HostPort: '8080' }] } },
      },
    ],
    [
      'a low port',
      {
        top: { ExposedPorts: { '80/tcp': {} } },
        host: { PortBindings: { '80/tcp': [{ HostIp: '127.0.0.1', HostPort: '0022' }] } },
      },
    ],
    ['another log driver', { host: { LogConfig: { Type: 'syslog', Config: { 'syslog-address': 'tcp://10.0.0.1' } } } }],
    ['restarts by the engine', { host: { RestartPolicy: { Name: 'always' } } }],
    ['its own removal', { host: { AutoRemove: true } }],
    ['hosts entries', { host: { ExtraHosts: ['registry:10.0.0.1'] } }],
    ['more swap', { host: { MemorySwap: -1 } }],
    ['endless processes', { host: { PidsLimit: 100_000 } }],
    ['root', { top: { User: '0:0' } }],
    ['another user', { top: { User: '1:1' } }],
    ['a tag', { top: { Image: 'busybox:latest' } }],
    ['another registry', { top: { Image: `evil.example/x@sha256:${'a'.repeat(64)}` } }],
    ['an image id', { top: { Image: `sha256:${'a'.repeat(64)}` } }],
    ['a loader variable', { top: { Env: ['NVIDIA_VISIBLE_DEVICES=void', 'LD_PRELOAD=/x'] } }],
    ['all GPUs', { top: { Env: ['NVIDIA_VISIBLE_DEVICES=all'] } }],
    ['a health check of its own', { top: { Healthcheck: { Test: ['CMD', '/x'] } } }],
    ['volumes', { top: { Volumes: { '/x': {} } } }],
    ['networks at once', { top: { NetworkingConfig: { EndpointsConfig: { host: {} } } } }],
    ['a seal of its own', { labels: { 'gpuaas.seal': 'x'.repeat(43) } }],
    ['a generation of its own', { labels: { 'gpuaas.generation': 'x' } }],
    ['a foreign label', { labels: { 'com.docker.compose.project': 'x' } }],
    ['another allocation', { labels: { 'gpuaas.allocation': 'other' } }],
  ];

  it.each(vectors)('with %s is refused, untouched by the engine', async (_what, changes) => {
    const instance = newInstance();

    const answer = await call(
      ground.gate,
      'POST',
      `/containers/create?name=gpuaas-${instance}`,
      ground.containerRequest(instance, changes),
    );

    expect(answer.status).toBe(403);
    expect(answer.json).toMatchObject({
      message: expect.stringContaining('refuses'),
      code: 'policy.refused',
      errors: expect.arrayContaining([
        { path: expect.any(String), code: expect.any(String), message: expect.any(String) },
      ]),
    });
    expect(refusals()).toEqual([
      expect.objectContaining({ method: 'POST', route: '/containers/create', reason: expect.any(String) }),
    ]);
    expectUntouched();
  });

  it.each([
    ['another name than its instance', 'gpuaas-other'],
    ['a name that is not ours', 'postgres'],
    ['a name that climbs', 'gpuaas-..%2f..'],
    ['no name', ''],
  ])('with %s is refused', async (_what, name) => {
    const query = name === '' ? '' : `?name=${name}`;

    const answer = await call(
      ground.gate,
      'POST',
      `/containers/create${query}`,
      ground.containerRequest(newInstance()),
    );

    expect(answer.status).toBe(403);
    expectUntouched();
  });

  it.each([
    [16_384, 201],
    [65_536, 403],
  ])(
    'of an image with %i bytes of labels is answered with %i: they would be in every list and event',
    async (size, status) => {
      const [host = ''] = ground.images.tiny.split('/');
      const { repository, digest } = await pushFreshImage(host, 'gpuaas-dev/labelled', {
        labels: { a: 'x'.repeat(size) },
      });
      const image = `${host}/${repository}@${digest}`;
      await call(ground.gate, 'POST', `/images/create?fromImage=${host}/${repository}&tag=${digest}`);
      const instance = newInstance();
      const request = ground.containerRequest(instance, { top: { Image: image } });

      const answer = await call(ground.gate, 'POST', `/containers/create?name=gpuaas-${instance}`, request);
      await engineCall(ground.engineSocket, 'DELETE', `/containers/gpuaas-${instance}?force=1`);
      await engineCall(ground.engineSocket, 'DELETE', `/images/${encodeURIComponent(image)}?force=1`);

      expect(answer.status).toBe(status);
      if (status === 403) expect(answer.json.errors).toMatchObject([{ path: '/Image', code: 'image_refused' }]);
    },
  );
});

describe('other calls of the engine', () => {
  const name = 'gpuaas-some';
  const id = 'a'.repeat(64);
  it.each([
    ['POST', '/build'],
    ['POST', '/build/prune'],
    ['POST', '/session'],
    ['POST', '/grpc'],
    ['POST', '/auth'],
    ['POST', '/commit?container=x'],
    ['GET', '/volumes/x'],
    ['POST', '/volumes/create'],
    ['DELETE', '/volumes/x'],
    ['POST', '/volumes/prune'],
    ['GET', '/images/json'],
    ['POST', '/images/load'],
    ['POST', '/images/prune'],
    ['GET', '/images/get?names=x'],
    ['GET', '/images/search?term=x'],
    ['GET', '/images/busybox/json'],
    ['POST', `/images/x@sha256:${id}/push`],
    ['POST', '/images/x/tag?repo=y'],
    ['DELETE', `/images/sha256:${id}`],
    ['GET', '/distribution/x/json'],
    ['POST', `/containers/${name}/attach?stream=1`],
    ['GET', `/containers/${name}/attach/ws`],
    ['HEAD', `/containers/${name}/archive?path=/`],
    ['POST', `/containers/${name}/archive?path=/`],
    ['PUT', `/containers/${name}/archive?path=/data&copyUIDGID=1`],
    ['GET', `/containers/${name}/export`],
    ['GET', `/containers/${name}/changes`],
    ['GET', `/containers/${name}/top`],
    ['POST', `/containers/${name}/rename?name=gpuaas-y`],
    ['POST', `/containers/${name}/update`],
    ['POST', `/containers/${name}/unpause`],
    ['POST', `/containers/${name}/pause`],
    ['POST', `/containers/${name}/resize?h=1&w=1`],
    ['POST', `/containers/${name}/checkpoints`],
    ['POST', '/containers/prune'],
    ['POST', `/exec/${id}/resize?h=1&w=1`],
    ['POST', `/networks/${name}/connect`],
    ['POST', `/networks/${name}/disconnect`],
    ['POST', '/networks/prune'],
    ['GET', '/swarm'],
    ['POST', '/swarm/init'],
    ['GET', '/services'],
    ['GET', '/nodes'],
    ['GET', '/tasks'],
    ['GET', '/secrets'],
    ['GET', '/configs'],
    ['GET', '/plugins'],
    ['POST', '/plugins/pull?remote=x'],
    ['GET', '/system/df'],
    ['GET', '/metrics'],
    ['GET', '/debug/pprof/'],
    ['GET', '/'],
    ['PATCH', '/_ping'],
    ['OPTIONS', '/_ping'],
    ['TRACE', '/_ping'],
  ])('are refused: %s %s', async (method, path) => {
    const answer = await call(ground.gate, method, path, method === 'POST' ? {} : undefined);

    expect(answer.status).toBe(403);
    expect(refusals()).toHaveLength(1);
    expectUntouched();
  });

  it('are refused where only the query differs from one that is offered', async () => {
    const [image = '', digest = ''] = ground.images.tiny.split('@');
    const paths = [
      ['POST', '/images/create?fromSrc=http://10.0.0.1/x'],
      ['POST', `/images/create?fromImage=${image}&tag=${digest}&platform=linux/arm64`],
      ['POST', `/images/create?fromImage=${image}&tag=${digest}&repo=x`],
      ['POST', `/images/create?fromImage=${image}&tag=latest`],
      ['POST', `/images/create?fromImage=${image}`],
      ['POST', `/images/create?fromImage=${image}@${digest}`],
      ['POST', `/images/create?fromImage=evil.example/x&tag=${digest}`],
      ['POST', `/images/create?fromImage=${image}/../../other/x&tag=${digest}`],
      ['POST', `/images/create?fromImage=${image}&fromImage=evil.example/x&tag=${digest}`],
      ['POST', `/images/create?fromImage=user:secret@${image}&tag=${digest}`],
      ['GET', '/containers/json?size=1'],
      ['POST', `/containers/${name}/kill?signal=STOP`],
      ['POST', `/containers/${name}/kill?signal=9`],
      ['POST', `/containers/${name}/stop?t=-1`],
      ['POST', `/containers/${name}/start?checkpoint=x`],
      ['POST', `/containers/${name}/start?detachKeys=x`],
      ['DELETE', `/containers/${name}?link=1`],
      ['GET', '/events?filters={"type":["daemon"]}'],
    ];
    for (const [method = '', path = ''] of paths) {
      expect([path, (await call(ground.gate, method, path)).status]).toEqual([path, 403]);
    }
    expect(refusals()).toHaveLength(paths.length);
    expect(ground.log.join('')).not.toContain('secret');
    expectUntouched();
  });
});

describe('bodies', () => {
  const create = (instance: string) => `/containers/create?name=gpuaas-${instance}`;
  const post = (path: string, body: string | Buffer, headers = '') =>
    Buffer.concat([
      Buffer.from(
        `POST ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${headers}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n`,
      ),
      Buffer.from(body as string),
    ]);

  it.each([
    ['a key given twice', (text: string) => text.replace('"Privileged":false', '"Privileged":true,"Privileged":false')],
    [
      'a key given twice, once escaped',
      (text: string) => text.replace('"Privileged":false', '"\\u0050rivileged":true,"Privileged":false'),
    ],
    [
      'the same key in other letters',
      (text: string) => text.replace('"Privileged":false', '"Privileged":false,"PRIVILEGED":true'),
    ],
    [
      'a prototype',
      (text: string) => text.replace('"Privileged":false', '"Privileged":false,"__proto__":{"Privileged":true}'),
    ],
    ['a constructor', (text: string) => text.replace('"Privileged":false', '"Privileged":false,"constructor":{}')],
    ['a prototype of everything', (text: string) => `{"__proto__":${text}}`],
    ['two values', (text: string) => `${text}{"HostConfig":{"Privileged":true}}`],
    ['a list', (text: string) => `[${text}]`],
    ['nothing', () => ''],
    ['half a text', (text: string) => text.slice(0, -1)],
  ])('with %s are refused', async (_what, change) => {
    const instance = newInstance();

    const received = await exchange(
      ground.gate,
      post(create(instance), change(JSON.stringify(ground.containerRequest(instance)))),
    );

    expect(statusesIn(received)).toEqual([403]);
    expectUntouched();
  });

  it.each([
    ['64 MB', () => Buffer.alloc(64 * 2 ** 20, 0x20)],
    ['a million open brackets', () => Buffer.alloc(1_000_000, '[')],
    ['a million keys', () => Buffer.from(`{${Array.from({ length: 250_000 }, (_, at) => `"k${at}":0`).join(',')}}`)],
    ['a million values', () => Buffer.from(`{"Env":[${'0,'.repeat(999_999)}0]}`)],
  ])('of %s are refused', async (_what, make) => {
    const received = await exchange(ground.gate, post(create(newInstance()), make()));

    expect(statusesIn(received)).toEqual([403]);
    expectUntouched();
  });

  it('of endless length are cut off where the limit is', async () => {
    const chunk = `10000\r\n${' '.repeat(0x10000)}\r\n`;
    const head = `POST ${create(newInstance())} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n`;

    const received = await exchange(ground.gate, head + chunk.repeat(100));

    expect(statusesIn(received)).toEqual([403]);
    expectUntouched();
  });

  it('are not waited for where the client asks before it sends', async () => {
    const head = `POST ${create(newInstance())} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 99999999\r\n\r\n`;

    const received = await exchange(ground.gate, head);

    expect(statusesIn(received)).toEqual([403]);
    expectUntouched();
  });

  it.each(['GET', 'DELETE'])('on %s are refused', async (method) => {
    const path = method === 'GET' ? '/_ping' : '/containers/gpuaas-x';

    const received = await exchange(
      ground.gate,
      `${method} ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}`,
    );

    expect(statusesIn(received)).toEqual([403]);
    expectUntouched();
  });

  it('of an exec ask for nothing but a program', async () => {
    for (const over of [
      { Privileged: true },
      { User: '0' },
      { Env: ['LD_PRELOAD=/x'] },
      { WorkingDir: '/' },
      { Tty: true },
      { AttachStdin: true },
      { DetachKeys: 'ctrl-a' },
      { Cmd: [] },
    ]) {
      const answer = await call(ground.gate, 'POST', '/containers/gpuaas-x/exec', { Cmd: ['/bin/true'], ...over });
      expect(answer.json.code).toBe('policy.refused');
    }
    expect((await call(ground.gate, 'POST', `/exec/${'a'.repeat(64)}/start`, { ConsoleSize: [1, 1] })).status).toBe(
      403,
    );
    expectUntouched();
  });

  it('of a network choose no address, driver or option', async () => {
    for (const over of [
      { IPAM: { Config: [{ Subnet: '10.0.0.0/8' }] } },
      { Driver: 'macvlan' },
      { Options: { 'com.docker.network.bridge.name': 'docker0' } },
      { Attachable: true },
      { Name: 'bridge' },
      { Name: 'gpuaas-other' },
    ]) {
      const answer = await call(ground.gate, 'POST', '/networks/create', {
        ...ground.networkRequest(newInstance()),
        ...over,
      });
      expect(answer.json.code).toBe('policy.refused');
    }
    expectUntouched();
  });

  it('of secrets name plain files', async () => {
    for (const files of [{ '../x': '' }, { '.x': '' }, { 'a/b': '' }, { '': '' }, { a: 'not base64!' }, { a: 1 }, []]) {
      expect((await call(ground.gate, 'PUT', `/gpuaas/v1/secrets/${newInstance()}`, { files })).status).toBe(403);
    }
    for (const path of [
      '/gpuaas/v1/secrets/..',
      '/gpuaas/v1/secrets/a.B',
      '/gpuaas/v1/secrets/a.b.c',
      '/gpuaas/v1/workloads/a.b/data',
    ]) {
      expect((await call(ground.gate, path.includes('data') ? 'DELETE' : 'PUT', path)).status).toBe(403);
    }
    expectUntouched();
  });
});

describe('the request line and headers', () => {
  it.each([
    ['double slashes', 'GET //containers/json HTTP/1.1'],
    ['dot segments', 'GET /v1.41/../containers/json HTTP/1.1'],
    ['a dot segment', 'GET /./_ping HTTP/1.1'],
    ['encoded dots', 'GET /_ping/%2e%2e/containers/json HTTP/1.1'],
    ['an encoded slash', 'GET /containers%2fjson HTTP/1.1'],
    ['an encoded NUL', 'GET /_ping%00/../containers/json HTTP/1.1'],
    ['an encoded letter', 'GET /%63ontainers/json HTTP/1.1'],
    ['a backslash', 'GET /_ping\\..\\containers HTTP/1.1'],
    ['a parameter', 'GET /_ping;x HTTP/1.1'],
    ['a fragment', 'GET /_ping#/containers HTTP/1.1'],
    ['an absolute form', 'GET http://engine/_ping HTTP/1.1'],
    ['an authority form', 'CONNECT engine:80 HTTP/1.1'],
    ['an asterisk', 'OPTIONS * HTTP/1.1'],
    ['an unknown version', 'GET /v1.999/containers/json HTTP/1.1'],
    ['two versions', 'GET /v1.41/v1.41/containers/json HTTP/1.1'],
    ['a version alone', 'GET /v1.41/ HTTP/1.1'],
    ['an odd version', 'GET /v01.41/_ping HTTP/1.1'],
    ['a query key given twice', 'GET /containers/json?all=0&all=1 HTTP/1.1'],
    ['an unknown query key', 'GET /containers/json?x=1 HTTP/1.1'],
    ['a second question mark', 'GET /containers/json?all=1?x HTTP/1.1'],
    ['a line break in the query', 'GET /containers/json?filters=%0d%0aX:1 HTTP/1.1'],
    ['a space in the path', 'GET /_ping /containers/json HTTP/1.1'],
    ['another protocol', 'GET /_ping HTTP/9.9'],
    ['no protocol', 'GET /_ping'],
    ['an unknown method', 'BREW /_ping HTTP/1.1'],
    ['letters of other size', 'get /_ping HTTP/1.1'],
    ['a preface of HTTP/2', 'PRI * HTTP/2.0'],
  ])('with %s are refused', async (_what, line) => {
    const received = await exchange(ground.gate, `${line}\r\nHost: x\r\nConnection: close\r\n\r\n`);

    expect(statusesIn(received)).toHaveLength(1);
    expect(statusesIn(received)[0]).toBeGreaterThanOrEqual(400);
    expect(refusals().length).toBeGreaterThan(0);
    expectUntouched();
  });

  it.each([
    ['both lengths', 'Content-Length: 4\r\nTransfer-Encoding: chunked'],
    ['two lengths', 'Content-Length: 2\r\nContent-Length: 3'],
    ['a list of lengths', 'Content-Length: 2, 2'],
    ['a signed length', 'Content-Length: +2'],
    ['a negative length', 'Content-Length: -1'],
    ['a length in hex', 'Content-Length: 0x2'],
    ['a length beyond all numbers', 'Content-Length: 99999999999999999999999'],
    ['another encoding', 'Transfer-Encoding: gzip'],
    ['chunked not last', 'Transfer-Encoding: chunked, identity'],
    ['chunked with a tab', 'Transfer-Encoding:\tchunked\r\nContent-Length: 2'],
    ['a folded header', 'X-A: b\r\n c: d'],
    ['a space before the colon', 'Content-Length : 2'],
    ['a header without a name', ': x'],
    ['a NUL in a header', 'X-A: \u0000'],
    ['a bare line feed', 'X-A: b\nContent-Length: 2'],
    ['a bare carriage return', 'X-A: b\rX-B: c'],
    ['something to expect', 'Expect: miracles'],
  ])('with %s are refused', async (_what, headers) => {
    const received = await exchange(
      ground.gate,
      `POST /containers/gpuaas-x/start HTTP/1.1\r\nHost: x\r\n${headers}\r\n\r\n{}`,
    );

    expect(statusesIn(received)[0]).toBeGreaterThanOrEqual(400);
    expect(statusesIn(received)).not.toContain(204);
    expectUntouched();
  });

  it.each([
    ['huge headers', `X-A: ${'a'.repeat(40_000)}`, 431],
    ['endless headers', Array.from({ length: 3000 }, (_, at) => `X-${at}: ${'b'.repeat(10)}`).join('\r\n'), 431],
  ])('with %s are refused', async (_what, headers, status) => {
    const received = await exchange(ground.gate, `GET /_ping HTTP/1.1\r\nHost: x\r\n${headers}\r\n\r\n`);

    expect(statusesIn(received)).toEqual([status]);
    expectUntouched();
  });

  it('reach the engine only as headers of our own', async () => {
    const received = await exchange(
      ground.gate,
      'GET /_ping HTTP/1.1\r\nHost: evil\r\nConnection: close, X-Registry-Auth\r\nX-Registry-Auth: abc\r\nX-Forwarded-For: 1\r\n' +
        'X-Original-URL: /containers/json\r\nX-HTTP-Method-Override: POST\r\nAuthorization: Bearer secret\r\nCookie: a=b\r\n\r\n',
    );

    expect(statusesIn(received)).toEqual([200]);
    expect(ground.recorder.text().toLowerCase().split('\r\n').filter(Boolean).sort()).toEqual([
      'connection: keep-alive',
      'get /_ping http/1.1',
      'host: engine',
    ]);
  });

  it('hand on one well-formed credential for a pull, and no other', async () => {
    const [image = '', digest = ''] = ground.images.tiny.split('@');
    const pull = (auth: string) =>
      exchange(
        ground.gate,
        `POST /images/create?fromImage=${image}&tag=${digest} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${auth}\r\n\r\n`,
      );

    for (const auth of [
      'X-Registry-Auth: a b',
      'X-Registry-Auth: abc\r\nX-Registry-Auth: def',
      `X-Registry-Auth: ${'a'.repeat(17_000)}`,
      'X-Registry-Auth: {"username":"x"}',
    ]) {
      expect(statusesIn(await pull(auth))).toEqual([403]);
    }
    expectUntouched();

    expect(statusesIn(await pull(`X-Registry-Auth: ${Buffer.from('{}').toString('base64')}`))).toEqual([200]);
    expect(ground.recorder.text()).toContain('x-registry-auth: e30=\r\n');
    expect(ground.log.join('')).not.toContain('e30=');
  });

  it.each(['h2c', 'websocket', 'TCP, h2c', 'tcp'])('ask in vain to switch to %s elsewhere', async (protocol) => {
    const received = await exchange(
      ground.gate,
      `GET /_ping HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: ${protocol}\r\n\r\n`,
    );

    expect(statusesIn(received)).toEqual([403]);
    expectUntouched();
  });

  it('ask in vain to switch an exec to another protocol', async () => {
    const received = await exchange(
      ground.gate,
      `POST /exec/${'a'.repeat(64)}/start HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\n{}`,
    );

    expect(statusesIn(received)).toEqual([403]);
    expectUntouched();
  });
});

describe('requests in one another', () => {
  const evil = 'GET /images/json HTTP/1.1\r\nHost: x\r\n\r\n';

  it('one behind the other end the connection before the second is looked at', async () => {
    const received = await exchange(ground.gate, `GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n${evil}`);

    expect(statusesIn(received)).toEqual([503]);
    expect(ground.recorder.text()).not.toContain('images/json');
  });

  it('one in the body of another is a body', async () => {
    const received = await exchange(
      ground.gate,
      `POST /containers/gpuaas-x/start HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: ${evil.length}\r\n\r\n${evil}`,
    );

    expect(statusesIn(received)).toEqual([404]);
    expect(ground.recorder.text()).not.toContain('images/json');
  });

  it('one behind the chunks of another ends the connection', async () => {
    const received = await exchange(
      ground.gate,
      `POST /containers/gpuaas-x/start HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2;a="b"\r\n{}\r\n0\r\nX-Trailer: y\r\n\r\n${evil}`,
    );

    expect(statusesIn(received)).toEqual([503]);
    expect(ground.recorder.text()).not.toMatch(/images\/json|trailer|chunked/i);
  });

  it.each([
    ['a chunk longer than it says', `1\r\n{}\r\n0\r\n\r\n`],
    ['a chunk without an end', `2\r\n{}0\r\n\r\n`],
    ['a chunk in other digits', `0x2\r\n{}\r\n0\r\n\r\n`],
    ['a chunk of negative length', `-2\r\n{}\r\n0\r\n\r\n`],
    ['a chunk ended by a line feed', `2\n{}\n0\n\n`],
    ['a chunk length beyond all numbers', `fffffffffffffffff\r\n{}\r\n0\r\n\r\n`],
    ['a chunk with a bare carriage return', `2\r\r\n{}\r\n0\r\n\r\n`],
    ['a huge chunk extension', `2;${'a'.repeat(70_000)}\r\n{}\r\n0\r\n\r\n`],
  ])('%s ends the connection', async (_what, body) => {
    const received = await exchange(
      ground.gate,
      `POST /containers/gpuaas-x/start HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n${body}${evil}`,
    );

    expect(statusesIn(received).filter((status) => status < 400)).toEqual([]);
    expect(ground.recorder.text()).not.toContain('images/json');
  });

  it('behind a refused switch are never the engine’s', async () => {
    const received = await exchange(
      ground.gate,
      `POST /exec/${'b'.repeat(64)}/start HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 2\r\n\r\n{}${evil}`,
    );

    expect(statusesIn(received)).toEqual([404]);
    expect(ground.recorder.text()).not.toContain('images/json');
  });
});

describe('a client that does not play along', () => {
  it('may go away in the middle of anything', async () => {
    for (const bytes of [
      'G',
      'GET /_ping HTTP/1.1\r\n',
      'POST /containers/gpuaas-x/start HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{',
    ]) {
      await exchange(ground.gate, bytes, 50);
    }
    await exchange(ground.gate, 'GET /events HTTP/1.1\r\nHost: x\r\n\r\n', 50);
    await exchange(ground.gate, Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00, 0x01]), 50);
  });

  it.each(['Content-Length: 2\r\n\r\n', 'Transfer-Encoding: chunked\r\n\r\n'])(
    'is told why only when it has said all that it had to say, or it would read nothing: %j',
    async (head) => {
      const socket = connect(ground.gate.socketPath);
      let received = '';
      socket.setEncoding('latin1').on('data', (chunk: string) => {
        received += chunk;
      });
      socket.write(`POST /containers/create?name=x HTTP/1.1\r\nHost: x\r\n${head}`);
      // The gate has seen it by the time that it has answered the next one.
      expect((await call(ground.gate, 'GET', '/images/json')).status).toBe(403);

      expect(received).toBe('');
      socket.write(head.includes('chunked') ? '2\r\n{}\r\n0\r\n\r\n' : '{}');

      await once(socket, 'close');
      expect(statusesIn(received)).toEqual([403]);
      expect(received).toContain('?name has a value that is not allowed');
      expectUntouched();
    },
  );

  it('is told why also where it never ends', async () => {
    const received = await exchange(
      ground.gate,
      'POST /containers/create?name=x HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{',
    );

    expect(statusesIn(received)).toEqual([403]);
  });

  it('may send a thousand requests at once', async () => {
    const received = await exchange(ground.gate, 'GET /images/json HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(1000));

    expect(statusesIn(received).length).toBeGreaterThan(0);
    expectUntouched();
  });
});
