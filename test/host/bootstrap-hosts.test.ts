/** Hosts of other distributions, and those that have something already, or lack something: what a bootstrap makes of each. */
import { loadavg } from 'node:os';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ubuntuIsAtHand } from '../../bootstrap/dev/images/ubuntu-host.ts';
import { ensureRegistry } from '../../bootstrap/dev/registry.ts';
import { type BootstrapGround, openBootstrapGround } from '../support/bootstrap-ground.ts';
import { launchWeb } from '../support/bootstrap-launches.ts';
import { type BootstrapRelease, bootstrapRelease } from '../support/bootstrap-release.ts';
import { type BootstrapRuns, bootstrapRuns } from '../support/bootstrap-runs.ts';
import { type HostOptions, type SystemdHost, startHost } from '../support/systemd-host.ts';

const all = new AsyncDisposableStack();
let release: BootstrapRelease;

beforeAll(async () => {
  release = all.use(await bootstrapRelease());
});
afterAll(() => all.disposeAsync());

interface Site {
  readonly host: SystemdHost;
  readonly ground: BootstrapGround;
  readonly bootstrap: BootstrapRuns;
  /** Arguments with a join token of its own. */
  online(): Promise<string[]>;
}

async function openSite(undo: AsyncDisposableStack, options: HostOptions): Promise<Site> {
  const host = undo.use(await startHost(options));
  const { host: registry } = await ensureRegistry();
  const ground = undo.use(await openBootstrapGround(host, { keys: release.keys, registry }));
  await host.copyIn(release.folder, '/root/release');
  return {
    ...{ host, ground, bootstrap: await bootstrapRuns(host) },
    online: async () => {
      await host.write('/root/token', (await ground.invite()).token, 0o600);
      return ['--url', ground.url, '--token-file', '/root/token', '--offline', '/root/release'];
    },
  };
}

describe('bare Debian 12', () => {
  const undo = new AsyncDisposableStack();
  let site: Site;
  beforeAll(async () => {
    site = await openSite(undo, { debian: 12, engine: false });
  });
  afterAll(() => undo.disposeAsync());

  it('becomes a node by what its control plane gives it: Compose from the release, units of an older systemd', async () => {
    const { host, ground, bootstrap } = site;
    const [url, origin, option, file] = await site.online();
    await host.sh('rm -r /root/release /root/bootstrap.sh');
    await ground.publish(release.folder);
    await host.sh(`curl -fsSk ${ground.url}/bootstrap.sh -o /root/bootstrap.sh`);

    const { code, stdout, stderr } = await bootstrap.run([url, origin, option, file].map(String));

    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toContain(`of ${ground.url}/agent/v1/bootstrap/stable, verified`);
    expect(stdout).toContain('install Compose v2 from the release');
    expect(await host.sh('/usr/local/lib/docker/cli-plugins/docker-compose version --short')).toMatch(/^2\./);
    expect(await host.unit('gpuaas-node-agent', 'NotifyAccess')).toBe('all');
    expect(await ground.nodes()).toMatchObject([{ status: 'enrolled', connected: true }]);
  });

  it('is not changed by a second run', async () => {
    const before = await site.bootstrap.traces();

    expect((await site.bootstrap.run([])).code).toBe(0);
    expect(await site.bootstrap.traces()).toBe(before);
  });

  it('trusts the CA of a registry, and logs in nowhere (G-194)', async () => {
    const { host, bootstrap } = site;
    await host.sh(
      'openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=registry -keyout /dev/null -out /root/ca.pem 2>&1',
    );
    const trusts = ['--registry-ca', 'registry.example.com:5000=/root/ca.pem'];

    expect(await bootstrap.run(['--registry-ca', 'registry.example.com=/root/token'])).toMatchObject({ code: 2 });
    expect((await bootstrap.run(trusts)).stdout).toMatch(/^change +registries .*trust registry\.example\.com:5000$/m);
    expect((await bootstrap.run(trusts)).stdout).not.toMatch(/^change/m);

    expect(
      await host.sh(
        'cmp /root/ca.pem /etc/docker/certs.d/registry.example.com:5000/ca.crt && ls -A /root/.docker 2>/dev/null || true',
      ),
    ).toBe('');
  });

  it('takes a user whose home is elsewhere, and no other that is refused', async () => {
    const { host, bootstrap } = site;
    await host.sh('useradd --create-home --home-dir /srv/alice alice; usermod -aG root games');

    expect(await bootstrap.run(['--allocation-user', 'root'])).toMatchObject({ code: 4 });
    const { code } = await bootstrap.run(['--allocation-user', 'alice']);

    expect(code).toBe(0);
    expect(await host.unit('gpuaas-node-agent-gate', 'ReadWritePaths')).toBe(
      '-/home -/var/lib/gpuaas-node-agent-inputs -/srv/alice',
    );

    // Back to the user of the configuration.
    expect((await bootstrap.run([])).code).toBe(0);
    expect(await host.unit('gpuaas-node-agent-gate', 'ReadWritePaths')).toBe(
      '-/home -/var/lib/gpuaas-node-agent-inputs',
    );
  });
});

describe.runIf(await ubuntuIsAtHand())('bare Ubuntu 24.04', () => {
  const undo = new AsyncDisposableStack();
  let site: Site;
  beforeAll(async () => {
    site = await openSite(undo, { ubuntu: true });
  });
  afterAll(() => undo.disposeAsync());

  it('becomes a node, with the engine and the Compose of the distribution', async () => {
    const { bootstrap, ground } = site;

    const { code, stdout, stderr } = await bootstrap.run(await site.online());

    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(/^ok +distribution +ubuntu 24\.04$/m);
    expect(stdout).toContain('install Compose v2 from docker-compose-v2');
    expect(await ground.nodes()).toMatchObject([{ status: 'enrolled', connected: true }]);
  });

  it('is not changed by a second run', async () => {
    const before = await site.bootstrap.traces();

    expect((await site.bootstrap.run([])).code).toBe(0);
    expect(await site.bootstrap.traces()).toBe(before);
  });

  it('loses its agent and keeps what runs, with its firewall, where that is asked for', async () => {
    const { host, bootstrap, ground } = site;
    const id = await launchWeb(host, ground, 18_080);
    const drops = 'nft list table inet gpuaas_node_agent | grep -c drop';

    const { code, stdout, stderr } = await bootstrap.run(['--uninstall', '--purge', '--keep-workloads']);

    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toContain('is revoked');
    expect(await host.sh(`systemctl start nftables; ${drops}`)).toBe('4');
    expect(await host.sh('curl -s -o /dev/null -w "%{http_code}" http://127.0.0.1:18080/')).toMatch(/^[24]/);
    expect(await host.sh('ls -d /opt/gpuaas* /var/lib/gpuaas* 2>/dev/null || true')).toBe('');
    expect((await ground.nodes()).map(({ status }) => status)).toEqual(['revoked']);

    expect(await bootstrap.run(['--uninstall', '--purge'])).toMatchObject({
      ...{ code: 1, stderr: expect.stringContaining('docker rm -f $(docker ps -aq --filter label=gpuaas.instance)') },
    });
    await host.sh(`docker rm -f gpuaas-${id}`);
    expect((await bootstrap.run(['--uninstall', '--purge'])).code).toBe(0);
    const left =
      'ls -d /etc/gpuaas* /etc/systemd/system/*gpuaas* /etc/systemd/system/nftables.service.d 2>/dev/null || true';
    expect(await host.sh(`nft list tables | grep gpuaas || true; ${left}`)).toBe('');
  });
});

describe('a host that has an engine, at work for others', () => {
  const undo = new AsyncDisposableStack();
  let site: Site;
  beforeAll(async () => {
    site = await openSite(undo, { debian: 13 });
  });
  afterAll(() => undo.disposeAsync());

  it.each([
    [
      'whose distribution was not tested',
      `sed -i 's/^VERSION_ID=.*/VERSION_ID="99"/' /usr/lib/os-release`,
      'git checkout',
      /--untested-distribution goes on/,
    ],
    [
      'that has no room',
      'mount -t tmpfs -o size=100m tmpfs /opt',
      'umount /opt',
      /Free space on the file system of \/opt/,
    ],
  ])('is refused politely: one %s', async (_what, spoil, mend, way) => {
    const { host, bootstrap } = site;
    await host.sh(`cp /usr/lib/os-release /root/os-release; ${spoil}`);

    const { code, stdout, stderr } = await bootstrap.run(await site.online());
    await host.sh(mend === 'git checkout' ? 'cp /root/os-release /usr/lib/os-release' : mend);

    expect([code, stderr]).toEqual([4, expect.stringContaining('nothing was changed')]);
    expect(stdout).toMatch(way);
    expect(await host.sh('ls -d /etc/gpuaas-node-agent 2>/dev/null || true')).toBe('');
  });

  it('is refused where its clock is a day off, with the way to set it (FAULTS 20)', async () => {
    const { host } = site;
    await host.sh('apt-get update -q; apt-get install -y -q --no-install-recommends faketime nftables libatomic1');

    const args = await site.online();
    const { code, stderr } = await host.run(['faketime', '-f', '+1d', 'sh', '/root/bootstrap.sh', ...args]);

    expect([code, stderr]).toEqual([
      4,
      expect.stringMatching(/clock of this host is 8\d{4} seconds off.*\n.*timedatectl set-ntp true/),
    ]);
  });

  it('lets one bootstrap at work at a time', async () => {
    const { host, bootstrap } = site;
    await host.sh('systemd-run --quiet --unit=holder flock /run/gpuaas-bootstrap.lock sleep 600');
    await host.waitFor(
      async () => (await host.run(['flock', '-n', '/run/gpuaas-bootstrap.lock', 'true'])).code !== 0,
      'the lock',
    );

    const { code } = await bootstrap.run(await site.online());
    await host.sh('systemctl stop holder');

    expect(code).toBe(75);
  });

  it('keeps its containers running, and every key of its configuration', async () => {
    const { host, bootstrap } = site;
    const tiny = await host.image('tiny');
    await host.sh(`docker run -d --name others ${tiny} sleep 100000`);
    await host.write(
      '/etc/docker/daemon.json',
      '{ "max-concurrent-uploads": 3, "features": { "buildkit": true } }\n',
      0o640,
    );
    const before = await host.sh("docker inspect -f '{{.State.Pid}}' others; systemctl show -p MainPID docker");

    const args = await site.online();
    const begun = Date.now();
    const { code, stdout, stderr } = await bootstrap.run(args);
    console.log(JSON.stringify({ bootstrapMs: Date.now() - begun, load: loadavg()[0] }));

    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toContain('the engine took over what it can without a restart');
    expect(await host.sh("docker inspect -f '{{.State.Pid}}' others; systemctl show -p MainPID docker")).toBe(before);
    expect(JSON.parse(await host.read('/etc/docker/daemon.json'))).toMatchObject({
      'max-concurrent-uploads': 3,
      features: { buildkit: true },
      'live-restore': true,
    });
    expect(await host.sh('stat -c %a /etc/docker/daemon.json /etc/docker/daemon.json.before-gpuaas')).toBe('640\n640');
    expect(await host.read('/etc/docker/daemon.json.before-gpuaas')).toContain('"max-concurrent-uploads": 3,');
    expect(await host.sh('docker info -f "{{.LiveRestoreEnabled}}"')).toBe('true');
  });

  it('has its engine restarted once nothing runs, and then never again', async () => {
    const { host, bootstrap } = site;
    await host.sh('docker rm -f others');
    const pid = async () => await host.unit('docker', 'MainPID');
    const before = await pid();

    expect((await bootstrap.run([])).code).toBe(0);
    const after = await pid();
    expect((await bootstrap.run([])).code).toBe(0);

    expect([after === before, await pid()]).toEqual([false, after]);
  });

  it('gets gVisor and squashfs where they are asked for, and gVisor starts on its kernel', async () => {
    const { host, bootstrap } = site;
    const tiny = await host.image('tiny');

    const { code } = await bootstrap.run(['--gvisor', '--squashfs']);

    expect(code).toBe(0);
    expect(await host.sh('sqfs2tar --version | head -n 1')).toContain('sqfs2tar');
    expect(await host.sh(`docker run --rm --runtime runsc ${tiny} uname -r`)).toBe('4.4.0');
    expect((await bootstrap.run(['--gvisor', '--squashfs'])).stdout).not.toMatch(/^change/m);
  });

  it('gets back what it had where the engine does not start with what was added', async () => {
    const { host, bootstrap } = site;
    await host.write('/etc/docker/daemon.json', '{ "max-concurrent-uploads": 4 }\n');
    await host.sh(
      "echo 'DOCKER_OPTS=--live-restore' >/etc/default/docker; systemctl reset-failed docker; systemctl restart docker",
    );

    const { code, stderr } = await bootstrap.run([]);

    expect([code, stderr]).toEqual([1, expect.stringContaining('that was taken back')]);
    expect(await host.read('/etc/docker/daemon.json')).toBe('{ "max-concurrent-uploads": 4 }\n');
    expect(await host.unit('docker', 'ActiveState')).toBe('active');
  });
});
