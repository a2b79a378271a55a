/**
 * A host with NVIDIA cards, as far as there can be one here: a stand-in for `nvidia-smi`, and a toolkit that does nothing, from a
 * repository that is signed by a key of the test's own. The gVisor is Debian's; where its nvproxy would need a
 * real driver, it is switched off behind the script that is in its place.
 */
import { createReadStream, existsSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ensurePackages } from '../../bootstrap/dev/packages.ts';
import { ensureRegistry } from '../../bootstrap/dev/registry.ts';
import { type AptRepository, aptRepository } from '../support/apt-repository.ts';
import { openBootstrapGround } from '../support/bootstrap-ground.ts';
import { type BootstrapRelease, bootstrapRelease } from '../support/bootstrap-release.ts';
import { type BootstrapRuns, bootstrapRuns } from '../support/bootstrap-runs.ts';
import { type SystemdHost, startHost } from '../support/systemd-host.ts';

const undo = new AsyncDisposableStack();
let host: SystemdHost;
let release: BootstrapRelease;
let bootstrap: BootstrapRuns;
let repository: AptRepository;
let args: string[];

const runtime = '/usr/bin/nvidia-container-runtime';
const toolkit = (version: string) => ({
  ...{ name: 'nvidia-container-toolkit', version },
  programs: { 'nvidia-container-runtime': 'exec runc "$@"', 'nvidia-container-runtime-hook': 'exit 0' },
});

beforeAll(async () => {
  await ensurePackages(['gpg', 'gpg-agent']);
  host = undo.use(await startHost({ debian: 13 }));
  release = undo.use(await bootstrapRelease());
  repository = undo.use(aptRepository());
  bootstrap = await bootstrapRuns(host);
  await host.copyIn(release.folder, '/root/release');
  await host.copyIn(join(release.keys, 'root.pem'), '/root/root.pem');
  const server = createServer(({ url = '' }, answer) => {
    const file = join(repository.folder, url.replaceAll('/./', '/'));
    if (existsSync(file)) createReadStream(file).pipe(answer);
    else answer.writeHead(404).end();
  });
  await new Promise<void>((resolve) => server.listen(0, host.gateway, resolve));
  undo.defer(() => void server.close());
  const url = `http://${host.gateway}:${(server.address() as AddressInfo).port}`;
  args = [
    ...['--offline', '/root/release', '--release-root', '/root/root.pem'],
    ...['--nvidia-repository', url, '--nvidia-key', `${url}/gpgkey`],
  ];
});
afterAll(() => undo.disposeAsync());

const pinned = () => [...args, '--nvidia-fingerprint', repository.fingerprint];
/** A card whose driver is of this version. */
const giveDriver = async (version: string) => {
  const card = `GPU-6dc1c6e5-0001-4f3a-9d6c-000000000001, NVIDIA H100 80GB HBM3, 81559, ${version}, 00000000:17:00.0, Disabled`;
  const script = `case $1 in *persistence*) echo Disabled ;; *uuid,name*) echo '${card}' ;; *driver*) echo ${version} ;; esac`;
  await host.write('/usr/bin/nvidia-smi', `#!/bin/sh\n${script}\n`, 0o755);
};
const withoutNvproxy = `#!/bin/sh
for arg; do
  shift
  [ "$arg" = --nvproxy ] || set -- "$@" "$arg"
done
exec /usr/lib/runsc "$@"
`;
const hasToolkit = async () => (await host.run(['test', '-e', runtime])).code === 0;

describe('a host with cards', () => {
  it('has nothing of NVIDIA planned for it as long as it has no driver (G-179)', async () => {
    expect((await bootstrap.run(['--check', ...pinned()])).stdout).toMatch(/^ok +nvidia +no nvidia-smi/m);

    await giveDriver('570.86.15');

    const { stdout } = await bootstrap.run(['--check', ...pinned()]);
    expect(stdout).toMatch(
      /^would +nvidia +toolkit not installed .*install nvidia-container-toolkit, 1\.17\.8 or later/m,
    );
    expect(stdout).toMatch(/^warn +persistence[^\n]*\n +what to do: +systemctl enable --now nvidia-persistenced/m);
  });

  it('takes no toolkit that is signed by another key than the pinned one', async () => {
    repository.offer([toolkit('1.17.9-1')]);

    const { code, stderr } = await bootstrap.run(args);

    expect([code, stderr]).toEqual([
      1,
      expect.stringContaining(
        `is not the one that is pinned (C95B321B61E88C1809C4F759DDCAE044F796ECB0), but: ${repository.fingerprint}`,
      ),
    ]);
    expect(await hasToolkit()).toBe(false);
    expect(await host.sh('ls /etc/apt/sources.list.d')).not.toContain('nvidia');
  });

  it('takes no toolkit through which a container could become root (CVE-2025-23266)', async () => {
    repository.offer([toolkit('1.17.7-1')]);

    const { code, stderr } = await bootstrap.run(pinned());

    expect([code, stderr]).toEqual([1, expect.stringContaining('CVE-2025-23266')]);
    expect(await host.sh('cat /etc/docker/daemon.json 2>/dev/null || true')).not.toContain('nvidia');
  });

  it('gets toolkit, runtime and a restarted engine, in this order, and nothing else out of that repository (G-193)', async () => {
    repository.offer([toolkit('1.17.9-1'), { name: 'bash', version: '99.0-1' }]);
    await host.sh(': >/var/log/gpuaas-bootstrap.log');
    await host.write('/etc/docker/daemon.json', '{ "features": { "buildkit": true } }\n');

    const { code, stderr } = await bootstrap.run(pinned());

    expect([code, stderr]).toEqual([0, '']);
    const config = JSON.parse(await host.read('/etc/docker/daemon.json'));
    expect(config).toMatchObject({ features: { buildkit: true }, runtimes: { nvidia: { path: runtime } } });
    expect(config).not.toHaveProperty('default-runtime');
    const commands = (await host.read('/var/log/gpuaas-bootstrap.log'))
      .split('\n')
      .flatMap((line) => / \$ (.*)/.exec(line)?.[1] ?? []);
    const order = [
      /apt-get install .* nvidia-container-toolkit$/,
      /^\/\S*dockerd --validate /,
      /^mv -f .* \/etc\/docker\/daemon\.json$/,
    ];
    expect(order.map((step) => commands.findIndex((command) => step.test(command)))).toEqual(
      order.map((step) => commands.findIndex((command) => step.test(command))).toSorted((a, b) => a - b),
    );
    expect(order.every((step) => commands.some((command) => step.test(command)))).toBe(true);
    expect(
      await host.sh('docker info -f "{{range \\$name, \\$_ := .Runtimes}}{{\\$name}} {{end}}{{.DefaultRuntime}}"'),
    ).toMatch(/nvidia .*runc$/);
    expect(await host.sh('apt-cache policy bash')).toMatch(/Candidate: 5\./);
  });

  it('is not changed by a second run', async () => {
    const before = await bootstrap.traces();

    expect((await bootstrap.run(pinned())).code).toBe(0);
    expect(await bootstrap.traces()).toBe(before);
  });

  it('is a host without a node as long as nobody gave it a token, and says how it becomes one', async () => {
    const { code, stdout } = await bootstrap.run(pinned());

    expect(code).toBe(0);
    expect(stdout).toContain('To make this host a node: bootstrap.sh --url ORIGIN --token-file FILE');
    expect(await host.unit('gpuaas-node-agent', 'ActiveState')).toBe('inactive');
  });

  it('does not read units anew while containers may hold cards, unless told so (nvidia-container-toolkit #48)', async () => {
    const tiny = await host.image('tiny');
    await host.sh(
      `docker run -d --name busy ${tiny} sleep 100000; echo '# site' >>/etc/systemd/system/gpuaas-node-agent.service`,
    );
    const before = await bootstrap.reloads();

    const { code, stderr } = await bootstrap.run(pinned());

    expect([code, stderr]).toEqual([1, expect.stringContaining('or with --yes')]);
    expect(await bootstrap.reloads()).toBe(before);
    expect((await bootstrap.run([...pinned(), '--yes'])).code).toBe(0);
    expect(await bootstrap.reloads()).toBe(before + 1);
  });
});

describe('cards under gVisor', () => {
  const config = '/etc/gpuaas-node-agent/agent.json';
  const hostPolicy = async () => JSON.parse(await host.read(config));
  const runsc = async () => JSON.parse(await host.read('/etc/docker/daemon.json')).runtimes.runsc;
  /** Whether the agent that runs tells its control plane that jobs can have them. */
  const areOffered = async () => {
    await host.write('/root/status.json', '{ "type": "workload.oci_runtime_status", "params": {} }');
    const said = await host.sh('/opt/gpuaas-node-agent/current/node-agent run-task /root/status.json | tail -n 1');
    return JSON.parse(said).output.offers.gvisor_cards;
  };
  beforeAll(async () => void (await host.sh('docker rm -f busy')));

  it('are refused where its nvproxy does not know the driver, or has none, and the engine is not told', async () => {
    const unknown = await bootstrap.run([...pinned(), '--gvisor-cards']);
    await giveDriver('550.54.15');
    const away = await bootstrap.run([...pinned(), '--gvisor-cards']);

    expect([unknown.code, unknown.stderr]).toEqual([
      1,
      expect.stringMatching(
        /no cards on this host: \/usr\/bin\/runsc does not know the driver 570\.86\.15\.\n +what to do: .*list-supported-drivers lists/,
      ),
    ]);
    expect([away.code, away.stderr]).toEqual([
      ...[1, expect.stringContaining('/usr/bin/runsc starts no sandbox with --nvproxy on this host.')],
    ]);
    expect(await host.read('/var/log/gpuaas-bootstrap.log')).toContain('failed to open /dev/nvidiactl');
    expect(await runsc()).toBeUndefined();
  });

  it('are had where it does, by engine and policy of a new node, and a second run changes nothing', async () => {
    await host.sh('mv /usr/bin/runsc /usr/lib/runsc');
    await host.write('/usr/bin/runsc', withoutNvproxy, 0o755);
    const tiny = await host.image('tiny');
    const { host: registry } = await ensureRegistry();
    const ground = undo.use(await openBootstrapGround(host, { keys: release.keys, registry }));
    await host.write('/root/token', (await ground.invite()).token, 0o600);

    const { code, stderr } = await bootstrap.run([
      ...[...pinned(), '--gvisor-cards', '--url', ground.url, '--token-file', '/root/token'],
    ]);

    expect([code, stderr]).toEqual([0, '']);
    expect(await runsc()).toEqual({
      path: '/usr/bin/runsc',
      runtimeArgs: ['--network=host', '--directfs=false', '--nvproxy'],
    });
    expect(await hostPolicy()).toMatchObject({ sandboxes: { runc: 'runc', gvisor: 'runsc' }, gvisor_cards: true });
    expect(await host.sh(`docker run --rm --runtime runsc ${tiny} uname -r`)).toBe('4.4.0');
    expect(await areOffered()).toBe(true);
    const before = await bootstrap.traces();
    expect((await bootstrap.run([...pinned(), '--gvisor-cards'])).stdout).not.toMatch(/^change/m);
    expect(await bootstrap.traces()).toBe(before);
  });

  it('are taken back and given again on a node that runs, with all else that its operator has set', async () => {
    const { gvisor_cards: _given, ...others } = await hostPolicy();
    const own = { ...others, gvisor_cards: true, reserves: { cpu_cores: 0, memory_gib: 2, disk_gib: 3 } };
    await host.write(config, JSON.stringify(own));
    await host.sh(`chown root:gpuaas-agent ${config}; chmod 640 ${config}`);

    const taken = await bootstrap.run([...pinned(), '--no-gvisor-cards']);

    expect(taken).toMatchObject({ code: 0, stdout: expect.stringMatching(/^change +gvisor_cards .*forbid them in/m) });
    expect(await runsc()).toEqual({ path: '/usr/bin/runsc', runtimeArgs: ['--network=host', '--directfs=false'] });
    expect(await hostPolicy()).toEqual({ ...others, reserves: own.reserves });
    expect(await areOffered()).toBe(false);

    const given = await bootstrap.run([...pinned(), '--gvisor-cards']);

    expect(given).toMatchObject({ code: 0, stdout: expect.stringMatching(/^change +gvisor_cards .*allow them in/m) });
    expect(await hostPolicy()).toEqual(own);
    expect(await host.sh(`stat -c '%a %U:%G' ${config}; docker info -f '{{json .Runtimes.runsc}}'`)).toMatch(
      /^640 root:gpuaas-agent\n.*--nvproxy/,
    );
    expect(await areOffered()).toBe(true);
  });
});
