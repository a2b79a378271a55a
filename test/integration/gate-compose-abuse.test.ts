/** Whatever Compose can ask of an engine and a stack may not have, written into a document that the gate takes without it. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { labels } from '../../src/contract/names.ts';
import { engineCall } from '../support/engine-call.ts';
import { bind, compose, type Loose, serviceOf, stackOf } from './compose-ground.ts';
import { call, type GateGround, newInstance, openGateGround } from './gate-ground.ts';

let ground: GateGround;
let instance: string;
beforeAll(async () => {
  ground = await openGateGround();
  instance = newInstance();
  await call(ground.gate, 'POST', '/networks/create', ground.networkRequest(instance));
});
afterAll(async () => await ground.close());

const up = ['up', '-d', '--no-build', '--pull', 'never', '--no-recreate', '--quiet-pull'];

/** What stands in the service, in its labels or in the whole document in place of what may. */
interface Abuse {
  readonly service?: Loose;
  readonly document?: Loose;
  readonly labels?: Loose;
}

const env = (changes: Loose): Abuse => ({ service: { environment: { NVIDIA_VISIBLE_DEVICES: 'void', ...changes } } });
const mount = (...volumes: unknown[]): Abuse => ({ service: { volumes } });
const network = (changes: Loose): Abuse => ({ service: { networks: { default: changes } } });
const port = (changes: Loose): Abuse => ({
  service: {
    ports: [{ target: 80, published: '21099', host_ip: '127.0.0.1', protocol: 'tcp', mode: 'host', ...changes }],
  },
});
const label = (name: string, value: string): Abuse => ({ labels: { [name]: value } });

const notOffered = 'this call is not offered';
const external = (name: string): Loose => ({ name, external: true });

const abuses: Record<string, readonly [sentence: string, abuse: Abuse]> = {
  'privileged mode': ['/HostConfig/Privileged', { service: { privileged: true } }],
  'a capability': ['/HostConfig/CapAdd', { service: { cap_add: ['SYS_ADMIN'] } }],
  'every capability of the engine': ['/HostConfig/CapDrop', { service: { cap_drop: [] } }],
  'a device': ['/HostConfig/Devices', { service: { devices: ['/dev/null:/dev/null'] } }],
  'a rule for devices': ['/HostConfig/DeviceCgroupRules', { service: { device_cgroup_rules: ['c 1:3 rwm'] } }],
  'all cards': [
    '/HostConfig/DeviceRequests',
    { service: { deploy: { resources: { reservations: { devices: [{ capabilities: ['gpu'], count: 'all' }] } } } } },
  ],
  'the processes of the host': ['/HostConfig/PidMode', { service: { pid: 'host' } }],
  'the IPC of the host': ['/HostConfig/IpcMode', { service: { ipc: 'host' } }],
  'IPC for others': ['/HostConfig/IpcMode', { service: { ipc: 'shareable' } }],
  'the names of the host': ['/HostConfig/UTSMode', { service: { uts: 'host' } }],
  'the users of the host': ['/HostConfig/UsernsMode', { service: { userns_mode: 'host' } }],
  'the cgroups of the host': ['/HostConfig/CgroupnsMode', { service: { cgroup: 'host' } }],
  'the network of the host': ['/HostConfig/NetworkMode', { service: { network_mode: 'host', networks: undefined } }],
  'no network': ['/HostConfig/NetworkMode', { service: { network_mode: 'none', networks: undefined } }],
  'the network of a container': [
    '/HostConfig/NetworkMode',
    { service: { network_mode: 'container:foreign', networks: undefined } },
  ],
  'the processes of a container': ['/HostConfig/PidMode', { service: { pid: 'container:foreign' } }],
  'the IPC of a container': ['/HostConfig/IpcMode', { service: { ipc: 'container:foreign' } }],
  'a sysctl': ['/HostConfig/Sysctls', { service: { sysctls: { 'net.core.somaxconn': 1 } } }],
  'no seccomp profile': [
    '/HostConfig/SecurityOpt',
    { service: { security_opt: ['no-new-privileges', 'seccomp=unconfined'] } },
  ],
  'new privileges': ['/HostConfig/SecurityOpt', { service: { security_opt: [] } }],
  'another runtime': ['/HostConfig/Runtime', { service: { runtime: 'nvidia' } }],
  'a cgroup parent': ['/HostConfig/CgroupParent', { service: { cgroup_parent: 'system.slice' } }],
  'volumes of a container': ['/HostConfig/VolumesFrom', { service: { volumes_from: ['container:foreign'] } }],
  'a folder of the host': ['/HostConfig/Mounts/0/Source', mount(bind('/etc', '/workspace'))],
  'the socket of the engine': ['/HostConfig/Mounts/0/Source', mount(bind('/var/run/docker.sock', '/workspace'))],
  'the socket of the engine, made where it is missing': [
    '/HostConfig/Binds',
    mount('/var/run/docker.sock:/docker.sock'),
  ],
  'a volume of the engine': [
    notOffered,
    { service: { volumes: ['data:/workspace'] }, document: { volumes: { data: {} } } },
  ],
  'a volume that somebody made': [
    notOffered,
    { service: { volumes: ['data:/workspace'] }, document: { volumes: { data: external('foreign') } } },
  ],
  'a nameless volume': ['/HostConfig/Mounts/0/Source is missing', mount('/workspace')],
  'memory as a folder': ['/HostConfig/Tmpfs', { service: { tmpfs: ['/scratch:exec'] } }],
  'memory as a mount': ['/HostConfig/Mounts/0', mount({ type: 'tmpfs', target: '/workspace' })],
  'a file of the host as a secret': [
    '/BindOptions',
    { service: { secrets: ['hosts'] }, document: { secrets: { hosts: { file: '/etc/hosts' } } } },
  ],
  'a network that is there': [
    notOffered,
    {
      service: { networks: { default: {}, other: {} } },
      document: { networks: { default: external('OWN'), other: external('bridge') } },
    },
  ],
  'a network of its own making': [
    'is not a known key (and ',
    {
      service: { networks: { default: {}, other: {} } },
      document: { networks: { default: external('OWN'), other: {} } },
    },
  ],
  'a link': ['/HostConfig/Links', { service: { external_links: ['foreign:db'] } }],
  'a name that is not its own': ['/Aliases/2 must be the name', network({ aliases: ['metadata'] })],
  'an address': ['/IPAMConfig is not', network({ ipv4_address: '10.0.0.1' })],
  'a port on every address': ['/HostConfig/PortBindings/', port({ host_ip: '0.0.0.0' })],
  'a port on no address in particular': ['/HostConfig/PortBindings/', port({ host_ip: undefined })],
  'a port of the system': ['/HostConfig/PortBindings/', port({ published: '80' })],
  'any port': ['/HostConfig/PortBindings/', port({ published: undefined })],
  'a datagram port': ['/ExposedPorts', port({ protocol: 'udp' })],
  'names of hosts': ['/HostConfig/ExtraHosts', { service: { extra_hosts: ['metadata:169.254.169.254'] } }],
  'a name server': ['/HostConfig/Dns', { service: { dns: ['10.0.0.1'] } }],
  'no init': ['/HostConfig/Init', { service: { init: false } }],
  'the user root': ['/User', { service: { user: '0:0' } }],
  'the user of the image': ['/User', { service: { user: undefined } }],
  'another group': ['/HostConfig/GroupAdd', { service: { group_add: ['0'] } }],
  'cards by a variable': ['/Env/', env({ NVIDIA_VISIBLE_DEVICES: 'all' })],
  'no word about cards': ['/Env', { service: { environment: {} } }],
  'a loader variable': ['/Env/', env({ LD_PRELOAD: '/x.so' })],
  'memory without end': ['/HostConfig/Memory', { service: { mem_limit: undefined, memswap_limit: undefined } }],
  swap: ['/HostConfig/MemorySwap', { service: { memswap_limit: 2 ** 27 } }],
  'processes without end': ['/HostConfig/PidsLimit', { service: { pids_limit: -1 } }],
  'processors without end': ['/HostConfig/NanoCpus', { service: { cpus: undefined } }],
  'more shared memory than memory': ['/HostConfig/ShmSize', { service: { shm_size: 2 ** 30 } }],
  'files without end': ['/HostConfig/Ulimits', { service: { ulimits: { nofile: 1048576, core: 0 } } }],
  'a restart by the engine': ['/HostConfig/RestartPolicy', { service: { restart: 'always' } }],
  'a log elsewhere': ['/HostConfig/LogConfig', { service: { logging: { driver: 'syslog' } } }],
  'no end of the log': ['/HostConfig/LogConfig', { service: { logging: { driver: 'json-file' } } }],
  'a shelter from the end of memory': ['/HostConfig/OomScoreAdj', { service: { oom_score_adj: -1000 } }],
  'a shelter from the end': ['/StopSignal', { service: { stop_signal: 'SIGCONT' } }],
  'a long farewell': ['/StopTimeout', { service: { stop_grace_period: '1h' } }],
  'a terminal': ['/Tty', { service: { tty: true } }],
  input: ['/OpenStdin', { service: { stdin_open: true } }],
  'another name of the host': ['/Hostname', { service: { hostname: 'evil' } }],
  'a health check by a shell': ['/Healthcheck', { service: { healthcheck: { test: 'true' } } }],
  'a tag': [notOffered, { service: { image: 'REPOSITORY:latest' } }],
  'another registry': [
    'The image does not come from an allowed registry',
    { service: { image: `evil.example/x@sha256:${'a'.repeat(64)}` } },
  ],
  'another platform': ['?platform', { service: { platform: 'linux/s390x' } }],
  'a seal': ['/Labels/gpuaas.seal', label(labels.seal, 'forged')],
  'another instance': ['the name is not that of the labelled', label(labels.instance, 'another')],
  'another allocation': ['/Labels/gpuaas.allocation', label(labels.allocation, 'another')],
  'another service': ['the name is not that of the labelled', label(labels.service, 'web')],
  'cards that it does not hold': ['/Labels/gpuaas.gpus', label(labels.gpus, 'GPU-1')],
  'another name': ['the name is not that of the labelled', { service: { container_name: 'gpuaas-another.api' } }],
  'a name of no one': ['?name has a value', { service: { container_name: 'foreign' } }],
  'the name that Compose gives': ['the name is not that of the labelled', { service: { container_name: undefined } }],
  'another project': ['/Labels/com.docker.compose.project', { document: { name: 'another' } }],
};

const engine = async <T>(path: string) => (await engineCall<T>(ground.engineSocket, 'GET', path)).body;
const project = () => `gpuaas-${instance}`;

/** Places that only a test knows. */
function filled(document: Loose): Loose {
  const repository = ground.images.tiny.split('@')[0] ?? '';
  return JSON.parse(JSON.stringify(document).replaceAll('OWN', project()).replaceAll('REPOSITORY', repository));
}

async function left(): Promise<unknown[]> {
  const filters = encodeURIComponent(
    JSON.stringify({ label: [`${labels.allocation}=${ground.policy.allocation.id}`] }),
  );
  return await engine(`/containers/json?all=1&filters=${filters}`);
}

describe('a document that the gate takes', () => {
  it('is refused with nothing', async () => {
    const document = stackOf(instance, { api: serviceOf(ground, instance, 'api') });

    expect(await compose(ground, up, document)).toMatchObject({ code: 0 });
    expect(await compose(ground, ['-p', project(), 'down', '-t', '3'])).toMatchObject({ code: 0 });
    expect(await left()).toEqual([]);
  });

  it.each(Object.entries(abuses))('is refused with %s', async (_what, [sentence, abuse]) => {
    const good = serviceOf(ground, instance, 'api');
    const api = { ...good, ...abuse.service, labels: { ...good['labels'], ...abuse.labels } };
    const document = filled({ ...stackOf(instance, { api }), ...abuse.document });
    ground.recorder.forget();

    const { code, said } = await compose(ground, up, document);

    expect(code, said).not.toBe(0);
    expect(said).toContain('Error response from daemon: The ');
    expect(said).toContain(sentence);
    // Nothing was changed, so nothing is left.
    expect(ground.recorder.requests().filter((line) => !/^(GET|HEAD) /.test(line))).toEqual([]);
    expect(await left()).toEqual([]);
  });

  it('gets no file that Compose would copy into the container', async () => {
    const service = serviceOf(ground, instance, 'api', { configs: [{ source: 'text', target: '/workspace/x' }] });
    const document = { ...stackOf(instance, { api: service }), configs: { text: { content: 'x' } } };

    const { code, said } = await compose(ground, up, document);

    expect(code).not.toBe(0);
    expect(said).toContain('noOverwriteDirNonDir is not offered here');
    expect(await left()).toMatchObject([{ State: 'created' }]);
    await compose(ground, ['-p', project(), 'down']);
    expect(await left()).toEqual([]);
  });
});

describe('a network that a client names by its id', () => {
  it.each(['of another instance', 'of the engine'])('is not one %s', async (whose) => {
    const other = newInstance();
    await call(ground.gate, 'POST', '/networks/create', ground.networkRequest(other));
    const name = whose === 'of the engine' ? 'bridge' : `gpuaas-${other}`;
    const { Id } = await engine<{ Id: string }>(`/networks/${name}`);
    const request = ground.containerRequest(instance, { host: { NetworkMode: Id } });

    const answer = await call(ground.gate, 'POST', `/containers/create?name=${project()}`, request);

    expect(answer.json).toMatchObject({ code: 'policy.refused', errors: [{ path: '/HostConfig/NetworkMode' }] });
    expect(await left()).toEqual([]);
  });
});
