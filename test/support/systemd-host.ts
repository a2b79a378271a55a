/**
 * A host of a test's own: Debian with systemd as its first process, in a container of the ground's engine, with a network and a
 * `/var/lib/docker` of its own, in which a nested engine runs as on a real host.
 *
 *   await using host = await startHost({ debian: 13 });
 *   await host.sh('systemctl start docker');
 *   const image = await host.image('tiny');            // the reference that the host's engine pulls by digest
 *   await host.reach(controlPlane.port);               // this machine's 127.0.0.1:PORT is now the host's 127.0.0.1:PORT
 *
 * What listens on this machine's loopback address is reached at the host's own loopback address, under the same port: so references of
 * the ground's registry mean the same in both, engines take it without TLS, and agents take plain HTTP. What listens at `host.gateway`
 * is reached there. All of it is gone with the host, also after a failure; and what a killed test left goes when the next host starts.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { basename, dirname } from 'node:path';
import { PassThrough, Readable, type Writable } from 'node:stream';
import { removeContainer, startContainer } from '../../bootstrap/dev/containers.ts';
import { askEngine, callEngine } from '../../bootstrap/dev/engine-api.ts';
import { streamExec } from '../../bootstrap/dev/exec-stream.ts';
import { ensureBase, groundImage } from '../../bootstrap/dev/ground.ts';
import { aptAccess, mirror } from '../../bootstrap/dev/images/debian.ts';
import type { ImageName } from '../../bootstrap/dev/images/recipe.ts';
import { type HostRelease, hostSuites } from '../../bootstrap/dev/images/systemd-host.ts';
import { ubuntuSources } from '../../bootstrap/dev/images/ubuntu-host.ts';
import { identify, isAlive } from '../../bootstrap/dev/processes.ts';
import { until } from './daemon-ground.ts';

export interface HostOptions {
  /** Release of Debian; 13 if absent. */
  readonly debian?: HostRelease;
  /** Ubuntu 24.04 in place of Debian: bare, and for x86-64 only. */
  readonly ubuntu?: boolean;
  /** With an engine already installed, as most tests want it; `false` for a bare host. */
  readonly engine?: boolean;
  readonly hostname?: string;
}

export interface RunOnHost {
  readonly stdin?: string | Buffer | Readable;
  /** Name or uid; root if absent. */
  readonly user?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Seconds after which it is killed (exit code 124 or 137); 120 if absent. */
  readonly timeout?: number;
}

export interface RanOnHost {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** One entry of the host's journal, with all its fields. */
export type JournalEntry = Readonly<Record<string, string>>;

export interface SystemdHost extends AsyncDisposable {
  /** Of its container. */
  readonly name: string;
  /** Where this machine reaches the host. */
  readonly address: string;
  /** Address of this machine as the host sees it: what a test serves there is reached from the host. */
  readonly gateway: string;
  /** Runs a program to its end, whatever its exit code. */
  run(argv: readonly string[], options?: RunOnHost): Promise<RanOnHost>;
  /** Runs a shell script that must succeed, and gives its stdout without the last line break. */
  sh(script: string, options?: RunOnHost): Promise<string>;
  write(path: string, content: string | Buffer, mode?: number): Promise<void>;
  read(path: string): Promise<string>;
  /** Copies a file or folder of this machine to exactly this path of the host; owned by root. */
  copyIn(from: string, to: string): Promise<void>;
  /** Copies a file or folder of the host to exactly this path of this machine. */
  copyOut(from: string, to: string): Promise<void>;
  /** Waits for a condition; without success its error has the host's last words. */
  waitFor(condition: () => boolean | Promise<boolean>, what: string, seconds?: number): Promise<void>;
  /** A property of a unit, as `systemctl show` has it. */
  unit(name: string, property: string): Promise<string>;
  /** The journal, oldest first; `matches` as for journalctl (`['-u', 'docker', '_PID=1']`). */
  journal(matches?: readonly string[]): Promise<readonly JournalEntry[]>;
  /** Makes 127.0.0.1:port of this machine reachable as 127.0.0.1:port in the host. */
  reach(port: number): Promise<void>;
  /** Makes 127.0.0.1:port of the host reachable from this machine; gives `ADDRESS:PORT`. */
  expose(port: number): Promise<string>;
  /** Makes the ground's registry reachable and gives the reference of one of its images. */
  image(name: ImageName): Promise<string>;
}

/**
 * What the host begins with. systemd mounts most control groups itself, but of the first kind it wants `cpu` and `cpuacct` in one place,
 * which fails on a machine that has them apart; so those of this machine are mounted before it starts. Then nothing can be added: it would
 * mount what this machine does not, for the whole machine, whose engine could then tell no use of any container. Of the second kind
 * there is nothing to do.
 */
const INIT = `for controllers in "$@"; do
  mkdir "/sys/fs/cgroup/$controllers" && mount -t cgroup -o "$controllers" cgroup "/sys/fs/cgroup/$controllers"
done
if [ $# -gt 0 ]; then
  mkdir /sys/fs/cgroup/systemd /sys/fs/cgroup/unified
  mount -t cgroup -o none,name=systemd cgroup /sys/fs/cgroup/systemd
  mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified
  mount -o remount,ro /sys/fs/cgroup
fi
exec /sbin/init`;

/** Control groups of the first kind that this machine has mounted: `cpu`, `cpuacct`, or both in one place as `cpu,cpuacct`. */
function controlGroups(): string[] {
  const mounts = readFileSync('/proc/self/mounts', 'utf8').matchAll(/^cgroup \S+ cgroup (\S+) /gm);
  const known = new Set(
    readFileSync('/proc/cgroups', 'utf8')
      .split('\n')
      .map((line) => line.split('\t')[0] ?? ''),
  );
  return [...mounts].flatMap(([, options = '']) => {
    const controllers = options.split(',').filter((option) => known.has(option));
    return controllers.length > 0 ? [controllers.join(',')] : [];
  });
}

const OWNER = 'dev.gpuaas.test-owner';
/** Where systemd keeps its proxy of sockets. */
const PROXY = '/usr/lib/systemd/systemd-socket-proxyd';

/** Starts a host and waits until it is up. */
export async function startHost(options: HostOptions = {}): Promise<SystemdHost> {
  const { debian = 13, engine = true, ubuntu = false } = options;
  await using life = new AsyncDisposableStack();
  const {
    engine: { socketPath },
    registry,
  } = await ensureBase();
  await removeAbandoned(socketPath);
  const bare = ubuntu ? 'host-ubuntu-24.04' : (`host-debian-${debian}` as const);
  const image = await groundImage(engine && !ubuntu ? `host-debian-${debian}-engine` : bare);
  const name = `gpuaas-host-${crypto.randomUUID().slice(0, 8)}`;
  const label = { [OWNER]: await owner() };
  await askEngine({ socketPath, method: 'POST', path: '/networks/create', body: { Name: name, Labels: label } });
  life.defer(() => removeNetwork(socketPath, name));
  life.defer(() => removeContainer(socketPath, name));
  await startContainer(socketPath, name, {
    ...{
      Image: image.reference,
      Tty: false,
      Hostname: options.hostname ?? name,
      Labels: label,
      StopSignal: 'SIGRTMIN+3',
    },
    Cmd: ['/bin/sh', '-c', INIT, 'init', ...controlGroups()],
    // Engines from 29 on have images and containers in the latter.
    Volumes: { '/var/lib/docker': {}, '/var/lib/containerd': {} },
    HostConfig: hostConfig(name),
  });
  const { address, gateway } = await addressOf(socketPath, name);
  const relays = life.use(new AsyncDisposableStack());
  const host = controls({
    socketPath,
    name,
    address,
    gateway,
    relays,
    registryPort: Number(registry.host.split(':')[1]),
  });
  await prepare(host, ubuntu ? ubuntuSources : `deb ${await mirror()} ${hostSuites[debian]} main\n`);
  const undo = life.move();
  return Object.assign(host, { [Symbol.asyncDispose]: async () => await undo.disposeAsync() });
}

/**
 * Not privileged, which a machine may be unable to give. Its control groups are its own: systemd mounts them in an empty folder, so
 * what a nested engine makes is below the host's container and goes with it.
 */
function hostConfig(network: string) {
  return {
    NetworkMode: network,
    CapAdd: ['SYS_ADMIN', 'NET_ADMIN', 'SYS_PTRACE', 'SYSLOG'],
    SecurityOpt: ['seccomp=unconfined', 'apparmor=unconfined'],
    CgroupnsMode: 'private',
    Tmpfs: {
      '/sys/fs/cgroup': 'rw,nosuid,nodev,noexec,mode=755',
      '/run': 'rw,exec,nosuid,nodev,mode=755',
      '/tmp': 'rw,exec,nosuid,nodev,mode=1777',
    },
    // All but /proc/sys/net, which a nested engine writes to and which is the host's own.
    ReadonlyPaths: ['bus', 'fs', 'irq', 'sys/fs', 'sys/kernel', 'sys/vm', 'sysrq-trigger'].map(
      (path) => `/proc/${path}`,
    ),
    Devices: [{ PathOnHost: '/dev/kmsg', PathInContainer: '/dev/kmsg', CgroupPermissions: 'r' }],
  };
}

async function prepare(host: Omit<SystemdHost, keyof AsyncDisposable>, sources: string): Promise<void> {
  const states = new Set(['running', 'degraded']);
  await host.waitFor(
    async () => states.has((await host.run(['systemctl', 'is-system-running'])).stdout.trim()),
    'systemd',
  );
  await host.write('/etc/apt/apt.conf.d/00machine', await aptAccess());
  await host.write('/etc/apt/sources.list', sources);
}

interface Ground {
  readonly socketPath: string;
  readonly name: string;
  readonly address: string;
  readonly gateway: string;
  readonly registryPort: number;
  readonly relays: AsyncDisposableStack;
}

function controls(ground: Ground): Omit<SystemdHost, keyof AsyncDisposable> {
  const { socketPath, name, address, gateway } = ground;
  const reached = new Map<number, Promise<void>>();
  const stream = async (
    argv: readonly string[],
    streams: { stdin?: Readable; stdout: Writable },
    options: RunOnHost,
  ) => {
    const stderr = new Collected();
    const command = ['timeout', '--kill-after=5', String(options.timeout ?? 120), ...argv];
    const { user, env } = options;
    const code = await streamExec(socketPath, name, { command, user, env, ...streams, stderr: stderr.sink });
    return { code, stderr: stderr.text };
  };
  const run: SystemdHost['run'] = async (argv, options = {}) => {
    const stdout = new Collected();
    const { stdin } = options;
    const input = stdin === undefined || stdin instanceof Readable ? stdin : Readable.from([Buffer.from(stdin)]);
    const ended = await stream(argv, { ...(input && { stdin: input }), stdout: stdout.sink }, options);
    return { ...ended, stdout: stdout.text };
  };
  const sh: SystemdHost['sh'] = async (script, options) => {
    const { code, stdout, stderr } = await run(['sh', '-euc', script], options);
    if (code !== 0) throw new Error(`${script}\nended with ${code}:\n${stdout}${stderr}`);
    return stdout.replace(/\n$/, '');
  };
  const listen = async (unit: string, at: string, target: string) => {
    const socket = `--socket-property=ListenStream=${at}`;
    await sh(`systemd-run --quiet --unit=${unit} ${socket} -- ${PROXY} ${target}`);
  };
  const reach: SystemdHost['reach'] = async (port) => {
    const known = reached.get(port);
    if (known) return await known;
    const relayed = relay(ground, port).then((at) => listen(`reach-${port}`, `127.0.0.1:${port}`, `${gateway}:${at}`));
    reached.set(port, relayed);
    await relayed;
  };
  return {
    ...{ name, address, gateway, run, sh, reach },
    write: async (path, content, mode = 0o644) => {
      await sh(
        `umask 077; mkdir -p -m 755 ${quoted(dirname(path))}; cat >${quoted(path)}; chmod ${mode.toString(8)} ${quoted(path)}`,
        {
          stdin: content,
        },
      );
    },
    read: async (path) => {
      const { code, stdout, stderr } = await run(['cat', path]);
      if (code !== 0) throw new Error(stderr);
      return stdout;
    },
    copyIn: async (from, to) => {
      const tar = spawn(
        'tar',
        ['-C', dirname(from), '--owner=0', '--group=0', '--numeric-owner', '-c', basename(from)],
        {
          stdio: ['ignore', 'pipe', 'inherit'],
        },
      );
      const [into, named] = [quoted(dirname(to)), quoted(to)];
      // Unpacked beside the target and renamed: it may be a program that runs.
      await sh(
        `mkdir -p ${into}; t=$(mktemp -d ${into}/.copy-XXXXXX); tar -C "$t" -xp; rm -rf ${named}; mv -T "$t"/* ${named}; rmdir "$t"`,
        // Piped at once: what nobody reads by the time that a program ends, Node drops.
        { stdin: tar.stdout.pipe(new PassThrough()) },
      );
    },
    copyOut: async (from, to) => {
      const stdout = new PassThrough();
      const tar = spawn('tar', ['-C', dirname(to), '--transform', `s,^${basename(from)},${basename(to)},`, '-xp'], {
        stdio: ['pipe', 'ignore', 'inherit'],
      });
      const unpacked = once(tar, 'close');
      stdout.pipe(tar.stdin);
      const { code, stderr } = await stream(['tar', '-C', dirname(from), '-c', basename(from)], { stdout }, {});
      stdout.end();
      const [ended] = await unpacked;
      if (code !== 0 || ended !== 0) throw new Error(`${from} could not be copied: ${stderr}`);
    },
    waitFor: async (condition, what, seconds = 60) => {
      try {
        await until(condition, what, seconds);
      } catch (cause) {
        const { stdout } = await run(['sh', '-c', 'systemctl --failed --no-legend; journalctl -n 60 --no-pager']);
        throw new Error(`the host ${name} had not come to ${what}\n${stdout}`, { cause });
      }
    },
    unit: async (unit, property) => await sh(`systemctl show --value -p ${property} ${quoted(unit)}`),
    journal: async (matches = []) => {
      const { stdout } = await run(['journalctl', '--no-pager', '--all', '-o', 'json', ...matches]);
      return stdout.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as JournalEntry]));
    },
    expose: async (port) => {
      await listen(`expose-${port}`, `${address}:${port}`, `127.0.0.1:${port}`);
      return `${address}:${port}`;
    },
    image: async (image) => {
      const { reference } = await groundImage(image);
      await reach(ground.registryPort);
      return reference;
    },
  };
}

/** A port of this machine's address on the host's network, which leads to a port of this machine's loopback address. */
async function relay({ gateway, relays }: Ground, port: number): Promise<number> {
  const open = new Set<Socket>();
  const server = createServer((socket) => {
    const behind = connect(port, '127.0.0.1');
    for (const [from, to] of [[socket, behind] as const, [behind, socket] as const]) {
      open.add(from);
      from.pipe(to);
      from.on('error', () => to.destroy());
      from.on('close', () => {
        open.delete(from);
        to.destroy();
      });
    }
  });
  await once(server.listen(0, gateway), 'listening');
  relays.defer(async () => {
    const closed = once(server, 'close');
    server.close();
    for (const socket of open) socket.destroy();
    await closed;
  });
  return (server.address() as { readonly port: number }).port;
}

class Collected {
  readonly sink = new PassThrough();
  readonly #chunks: Buffer[] = [];

  constructor() {
    this.sink.on('data', (chunk: Buffer) => this.#chunks.push(chunk));
  }

  get text(): string {
    return Buffer.concat(this.#chunks).toString('utf8');
  }
}

const quoted = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;

async function addressOf(socketPath: string, name: string) {
  const path = `/containers/${name}/json`;
  const { NetworkSettings } = await askEngine<{
    NetworkSettings: { Networks: Record<string, { IPAddress: string; Gateway: string }> };
  }>({ socketPath, method: 'GET', path });
  const { IPAddress: address = '', Gateway: gateway = '' } = NetworkSettings.Networks[name] ?? {};
  return { address, gateway };
}

async function removeNetwork(socketPath: string, name: string): Promise<void> {
  const { status, text } = await callEngine({ socketPath, method: 'DELETE', path: `/networks/${name}` });
  if (status >= 400 && status !== 404) throw new Error(`Removing the network ${name} answered ${status}: ${text}`);
}

/** This process, told apart from a later one of the same number. */
async function owner(): Promise<string> {
  const self = await identify(process.pid);
  return `${self?.pid}:${self?.started_ticks}`;
}

async function removeAbandoned(socketPath: string): Promise<void> {
  const query = new URLSearchParams({ all: '1', filters: JSON.stringify({ label: [OWNER] }) });
  const ask = <T>(path: string) => askEngine<T>({ socketPath, method: 'GET', path });
  type Labelled = { readonly Id: string; readonly Labels: Readonly<Record<string, string>> };
  for (const { Id, Labels } of await ask<Labelled[]>(`/containers/json?${query}`)) {
    if (!(await ownerLives(Labels))) await removeContainer(socketPath, Id);
  }
  for (const { Id, Labels } of await ask<Labelled[]>(`/networks?${query}`)) {
    if (!(await ownerLives(Labels))) await removeNetwork(socketPath, Id);
  }
}

async function ownerLives(labels: Readonly<Record<string, string>>): Promise<boolean> {
  const [pid, started_ticks = ''] = (labels[OWNER] ?? '').split(':');
  return await isAlive({ pid: Number(pid), started_ticks });
}
