/** The life of a host, from bare Debian 13 to its end: each test goes on where the one before it has stopped. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ensureRegistry } from '../../bootstrap/dev/registry.ts';
import { bootstrapText } from '../support/bootstrap-functions.ts';
import { type BootstrapGround, openBootstrapGround } from '../support/bootstrap-ground.ts';
import { launchNotebook, launchWeb } from '../support/bootstrap-launches.ts';
import { type BootstrapRelease, bootstrapRelease } from '../support/bootstrap-release.ts';
import { type BootstrapRuns, bootstrapRuns } from '../support/bootstrap-runs.ts';
import { type SystemdHost, startHost } from '../support/systemd-host.ts';
import { ok } from '../support/wire-ground.ts';

const undo = new AsyncDisposableStack();
let host: SystemdHost;
let ground: BootstrapGround;
let release: BootstrapRelease;
let bootstrap: BootstrapRuns;
let expired: string;
let online: string[];
const tokenFile = '/root/join token';

beforeAll(async () => {
  host = undo.use(await startHost({ debian: 13, engine: false }));
  release = undo.use(await bootstrapRelease());
  const registry = await ensureRegistry();
  ground = undo.use(await openBootstrapGround(host, { keys: release.keys, registry: registry.host }));
  expired = (await ground.invite(60)).token;
  bootstrap = await bootstrapRuns(host);
  await host.copyIn(release.folder, '/root/release');
  online = ['--url', ground.url, '--token-file', tokenFile, '--offline', '/root/release'];
});
afterAll(() => undo.disposeAsync());

const giveToken = async (token?: string) => {
  await host.write(tokenFile, token ?? (await ground.invite()).token, 0o600);
};
const copyRelease = async (folder: string) => await host.copyIn(folder, '/root/wrong');
/** The very script, but that it is killed in each step once: behind its first command, where the rest of the step is not done. */
function dies(): string {
  const step = `[ -e "/run/died-$STEP" ] || DIES=1; touch "/run/died-$STEP"; "do_$STEP"; [ -z "$DIES" ] || kill -9 $$`;
  const run = 'run() { run_whole "$@"; [ -z "$DIES" ] || kill -9 $$; }\nrun_whole() {';
  return bootstrapText
    .replace(/^set -eu$/m, 'set -eu; DIES=')
    .replace(/^run\(\) \{$/m, () => run)
    .replace(/^ {4}"do_\$STEP"$/m, () => step);
}

/** Nothing of ours is there, and no package came. */
const isBare = async () =>
  await host.sh(
    'ls -d /opt/gpuaas* /etc/gpuaas* /var/lib/gpuaas* 2>/dev/null || true; ! command -v dockerd; getent passwd gpuaas-agent || true',
  );

describe('a bare host', () => {
  it('is told what would change, with the engine that was asked for, and is left as it is (G-178, G-188, G-192)', async () => {
    const { code, stdout } = await bootstrap.run(['--check', '--json']);
    const { facts, outcome } = JSON.parse(stdout) as { facts: Record<string, string>[]; outcome: string };

    expect([code, outcome]).toEqual([3, 'would_change']);
    expect(facts).toContainEqual({ name: 'distribution', state: 'ok', fact: 'debian 13', would: '' });
    const would = Object.fromEntries(facts.map(({ name, would }) => [name, would]));
    expect(would).toMatchObject({ engine: 'install docker.io and start it', nvidia: '', gvisor: '' });
    expect((await bootstrap.run(['--check', '--engine-package', 'docker-ce'])).stdout).toContain('install docker-ce');
    expect(await isBare()).toBe('');
  });

  it.each([
    [
      'another control plane than the token was made for',
      async () => giveToken((await ground.invite()).token.replace(/.{43}$/, 'A'.repeat(43))),
      [],
      'is not the control plane that the join token was made for',
    ],
    ['a token that has expired', async () => giveToken(expired), [], 'no longer valid'],
    ['a control plane that is not there', async () => giveToken(), ['--url', 'https://127.0.0.1:9'], 'cannot be used'],
    [
      'a manifest that was changed',
      async () => copyRelease(release.altered((text) => text.replace('"seq":7', '"seq":8'))),
      ['--offline', '/root/wrong'],
      'None of the release keys has signed',
    ],
    [
      'other release keys',
      async () => copyRelease(release.damaged(/^release-keys\.pem$/)),
      ['--offline', '/root/wrong'],
      'The release root has not signed',
    ],
  ] as const)('takes nothing from %s', async (_what, prepare, args, words) => {
    await giveToken();
    await prepare();
    if (words === 'no longer valid')
      await host.waitFor(
        async () => (await bootstrap.run(['--dry-run', ...online])).stderr.includes(words),
        'the end of a token',
        90,
      );

    const { code, stderr } = await bootstrap.run([...online, ...args]);

    expect([code, stderr]).toEqual([1, expect.stringContaining(words)]);
    expect(await isBare()).toBe('');
    expect(await host.sh(`test -s '${tokenFile}' && echo kept`)).toBe('kept');
  });

  it('becomes a node although a run is killed in the middle of each of its steps', async () => {
    await giveToken();
    await host.write('/root/dies.sh', dies());
    const run = async () => await host.run(['sh', '/root/dies.sh', ...online], { timeout: 280 });
    const died = async () => await host.sh('ls /run | sed -n s/^died-//p');
    let ended = await run();
    for (let before = ''; ended.code === 137 && before !== (await died()); ) {
      before = await died();
      ended = await run();
    }

    const { code, stdout, stderr } = ended;
    expect([code, stderr]).toEqual([0, '']);
    // Packages are there by now: the runs before needed them to find out whom to believe.
    const steps = 'engine compose users folders binary engine_config units config firewall enrolment services';
    expect((await died()).split('\n')).toEqual(expect.arrayContaining(steps.split(' ')));
    expect(stdout).toMatch(/^ok +ready +connected, and the engine answers$/m);
    const [node] = await ground.nodes();
    expect(node).toMatchObject({ status: 'enrolled', connected: true });
    expect(await host.sh(`ls -d '${tokenFile}' /var/lib/gpuaas-bootstrap.* 2>/dev/null || true`)).toBe('');
    expect(
      await host.sh('stat -c "%a %U" /var/lib/gpuaas-node-agent /var/lib/gpuaas-node-agent/identity/*.jwk | sort -u'),
    ).toBe('600 gpuaas-agent\n700 gpuaas-agent');
    expect(await host.sh('stat -c %a /run/gpuaas-bootstrap.lock')).toBe('600');
  });

  it('is not changed by a second run, and nothing is restarted (G-188)', async () => {
    const before = await bootstrap.traces();

    const { code, stdout, stderr } = await bootstrap.run([]);

    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).not.toMatch(/^change/m);
    expect(await bootstrap.traces()).toBe(before);
    expect((await bootstrap.run(['--check'])).code).toBe(0);
  });

  it('has its version with its place among the releases, which is written down later where it is missing', async () => {
    const seq = '/opt/gpuaas-node-agent/versions/1.0.0/seq';
    expect(await host.read(seq)).toBe('7\n');
    const before = await host.unit('gpuaas-node-agent', 'MainPID');
    await host.sh(`rm ${seq}`);

    const { code, stdout } = await bootstrap.run([]);

    expect([code, stdout]).toEqual([0, expect.stringMatching(/^change +binary .*write down that it is number 7$/m)]);
    expect(await host.read(seq)).toBe('7\n');
    expect(await host.unit('gpuaas-node-agent', 'MainPID')).toBe(before);
  });

  it('needs no token any more: neither the one that is gone, nor one that is worth nothing', async () => {
    expect(await bootstrap.run(online)).toMatchObject({ code: 0, stderr: '' });

    await giveToken(expired);
    expect(await bootstrap.run(online)).toMatchObject({ code: 0, stderr: '' });
    expect(await host.sh(`ls '${tokenFile}' 2>/dev/null || true`)).toBe('');
  });

  it('has the token in no argument, no file and no log', async () => {
    const { token } = await ground.invite();
    await giveToken(token);
    const seen = host.sh(
      "while ! test -e /run/stop; do cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n'; done | sort -u",
    );

    await bootstrap.run(['--dry-run', ...online]);
    await host.sh('touch /run/stop');

    const secret = token.split('.')[1] ?? '';
    expect(await seen).not.toContain(secret);
    expect(
      await host.sh(
        `rm '${tokenFile}'; grep -rl ${secret} /var/log /var/lib/gpuaas* /etc /opt/gpuaas-node-agent/release || true`,
      ),
    ).toBe('');
  });

  it('keeps what its operator has set, and shows where that is otherwise', async () => {
    await host.sh(`cd /etc && sed -i 's/^{/{ "log_level": "debug",/' gpuaas-node-agent/agent.json
      sed -i 's/^{/{ "max-concurrent-downloads": 2,/; s/10m/50m/' docker/daemon.json
      systemctl restart gpuaas-node-agent-gate gpuaas-node-agent`);
    const before = await bootstrap.traces();

    const { code } = await bootstrap.run([]);

    expect([code, await bootstrap.traces()]).toEqual([0, before]);
  });
});

describe('a host that was changed', () => {
  it('has its units read once, whatever has to be turned on, and what is older than they are started anew', async () => {
    await host.sh(`systemctl disable --now gpuaas-node-agent-update.path gpuaas-node-agent-firewall
      echo '# site' >>/etc/systemd/system/gpuaas-node-agent.service
      touch /etc/systemd/system/gpuaas-node-agent-gate.service`);
    const pids = async () =>
      [await host.unit('gpuaas-node-agent', 'MainPID'), await host.unit('gpuaas-node-agent-gate', 'MainPID')] as const;
    const [[agent, gate], reloads] = [await pids(), await bootstrap.reloads()];

    expect(await bootstrap.run([])).toMatchObject({ code: 0, stderr: '' });

    expect(await bootstrap.reloads()).toBe(reloads + 1);
    const [nextAgent, nextGate] = await pids();
    expect([nextAgent === agent, nextGate === gate]).toEqual([false, false]);
    expect(await host.sh('systemctl is-active gpuaas-node-agent-update.path gpuaas-node-agent-firewall')).toBe(
      'active\nactive',
    );
  });

  it('takes new work again where an uninstall had ended that and did not finish, and not where an operator has', async () => {
    const agent = '/opt/gpuaas-node-agent/current/node-agent';
    const draining = async () => (await host.sh(`${agent} status`)).includes('it drains');
    await host.sh(`${agent} drain`);
    expect((await bootstrap.run([])).code).toBe(0);
    expect(await draining()).toBe(true);

    await host.sh('touch /var/lib/gpuaas-node-agent-update/uninstall-drain');
    expect((await bootstrap.run([])).stdout).toMatch(/^change +ready .*take new work again/m);
    expect(await draining()).toBe(false);
    expect((await bootstrap.run([])).stdout).not.toMatch(/^change/m);
  });
});

describe('what it is then', () => {
  it('a host of which neither its doctor nor its control plane says anything bad', async () => {
    const { checks } = JSON.parse(await host.sh('/opt/gpuaas-node-agent/current/node-agent doctor --json'));
    const [node] = await ground.nodes();
    const { inventory } = ok(await ground.admin.call('GET', `/api/v1/nodes/${node?.id}`));

    expect(checks.filter(({ status }: { status: string }) => status === 'fail')).toEqual([]);
    expect(checks.filter(({ status }: { status: string }) => status === 'ok').length).toBeGreaterThan(15);
    expect(inventory.health).toMatchObject({ ok: expect.toSatisfy((count) => count > 8), fail: 0 });
  });

  it('a place where JupyterLab runs, from the catalog', async () => {
    const id = await launchNotebook(host, ground, 18_888);

    const { version } = JSON.parse(await host.sh('curl -s --max-time 5 http://127.0.0.1:18888/api'));
    expect(version).toMatch(/^\d/);
    await ground.admin.cli('apps', 'instances', 'decommission', id).ended;
    expect(await host.sh('curl -s -o /dev/null -w "%{http_code}" http://127.0.0.1:18888/api || true')).toBe('000');
  });
});

describe('a workload on it', () => {
  let id: string;
  const curl = (url: string) => `curl -s -o /dev/null --max-time 3 -w '%{http_code}' ${url} || true`;
  /** In the network of the workload, with the tools of the host. */
  const inside = async (command: string) =>
    await host.sh(`nsenter -t $(docker inspect -f '{{.State.Pid}}' gpuaas-${id}) -n sh -c "${command}"`);

  beforeAll(async () => {
    await host.sh('apt-get install -y -q --no-install-recommends docker-cli');
    id = await launchWeb(host, ground, 18_080);
  });

  it('answers on the host, and reaches neither services of the host nor metadata of the machine', async () => {
    expect(await host.sh(curl('http://127.0.0.1:18080/'))).toMatch(/^[24]/);
    const gateway = (await inside('ip -4 route show default')).split(' ')[2] ?? '';
    const dropped = async (what: string) => {
      const rules = await host.sh('nft list table inet gpuaas_node_agent');
      return Number(new RegExp(`packets (\\d+) .*${what}`).exec(rules)?.[1]);
    };

    expect(await inside(curl(`http://${gateway}:9464/healthz`))).toBe('000');
    expect(await inside(curl('http://169.254.169.254/latest/meta-data/'))).toBe('000');

    expect(await dropped('no services of the host')).toBeGreaterThan(0);
    expect(await dropped('no metadata of the machine')).toBeGreaterThan(0);
    expect(await inside('grep -v lo /proc/net/if_inet6 || true')).toBe('');
  });

  it('is not reached by a neighbour who knows its address, and would be without the firewall (moby #49325)', async () => {
    const address = await host.sh(
      `docker inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' gpuaas-${id}`,
    );
    await host.sh(`
      systemd-run --quiet --service-type=exec --unit=neighbour -p PrivateNetwork=yes sleep infinity
      ip link add nb0 type veth peer name nb1
      ip link set nb1 netns $(systemctl show -p MainPID --value neighbour)
      ip addr add 192.168.77.1/24 dev nb0; ip link set nb0 up
      nsenter -t $(systemctl show -p MainPID --value neighbour) -n sh -c 'ip addr add 192.168.77.2/24 dev nb1; ip link set nb1 up; ip route add 10.213.0.0/20 via 192.168.77.1'`);
    const ask = async () =>
      await host.sh(`nsenter -t $(systemctl show -p MainPID --value neighbour) -n ${curl(`http://${address}:8080/`)}`);

    const guarded = await ask();
    await host.sh('nft delete table inet gpuaas_node_agent');
    const open = await ask();
    const { stdout } = await bootstrap.run([]);

    expect([guarded, open]).toEqual(['000', expect.stringMatching(/^[24]/)]);
    expect(stdout).toMatch(/^change +firewall/m);
    expect(await ask()).toBe('000');
  });

  it('and its firewall outlive a restart of the engine, and of nftables', async () => {
    const started = async () =>
      await host.sh(`docker inspect -f '{{.State.StartedAt}} {{.State.Status}}' gpuaas-${id}`);
    const before = await started();

    const dropsAfter = async (what: string) =>
      await host.sh(`systemctl ${what}; nft list table inet gpuaas_node_agent | grep -c drop`);

    expect(await dropsAfter('restart docker')).toBe('4');
    // It flushes the rules of the whole host.
    for (const what of ['start', 'reload', 'restart'])
      expect([what, await dropsAfter(`${what} nftables`)]).toEqual([what, '4']);
    expect(await dropsAfter('stop nftables; systemctl start nftables')).toBe('4');
    expect(await started()).toBe(before);
    expect(before).toContain('running');
  });

  it('is not left behind without its firewall by an uninstall that nobody can tell what runs', async () => {
    const services = 'gpuaas-node-agent gpuaas-node-agent-gate docker.socket docker';
    await host.sh(`systemctl stop ${services}`);

    expect(await bootstrap.run(['--uninstall'])).toMatchObject({
      ...{ code: 1, stderr: expect.stringContaining('Neither agent nor engine answers') },
    });
    // It was started often enough within a minute for systemd to wait.
    await host.sh('systemctl reset-failed docker; systemctl start docker');
    expect(await bootstrap.run(['--uninstall'])).toMatchObject({
      ...{ code: 1, stderr: expect.stringContaining('systemctl start gpuaas-node-agent, and run this again') },
    });
    expect(await host.sh('nft list table inet gpuaas_node_agent | grep -c drop')).toBe('4');

    await host.sh('systemctl start gpuaas-node-agent');
    await host.waitFor(async () => (await ground.nodes()).some(({ connected }) => connected), 'the agent');
  });

  it('goes with an uninstall; engine, configuration and what it has written stay, and the node is revoked', async () => {
    await host.sh('echo mine >/home/tenant/mine');
    const { code, stdout, stderr } = await bootstrap.run(['--uninstall']);

    expect([code, stderr]).toEqual([0, expect.stringContaining('its data is kept')]);
    expect(stdout).toContain('is revoked');
    expect((await ground.nodes()).map(({ status, connected }) => [status, connected])).toEqual([['revoked', false]]);
    expect(await host.sh('docker ps -aq; docker network ls -q --filter name=gpuaas')).toBe('');
    expect(
      await host.sh(
        'ls -d /opt/gpuaas-node-agent /etc/systemd/system/gpuaas* /etc/systemd/system/*.wants/gpuaas* 2>/dev/null || true',
      ),
    ).toBe('');
    expect(
      await host.sh('systemctl is-active docker; grep -c live-restore /etc/docker/daemon.json; cat /home/tenant/mine'),
    ).toBe('active\n1\nmine');
    expect(await host.sh(`find /home/tenant/gpuaas -path '*${id}/data*' | head -n 1`)).not.toBe('');
    expect(await host.sh('nft list tables | grep gpuaas || true; ls /etc/gpuaas-node-agent/agent.json')).toBe(
      '/etc/gpuaas-node-agent/agent.json',
    );
  });

  it('is no hindrance to come back, and to leave with everything', async () => {
    const [before] = (await ground.nodes()).filter(({ status }) => status === 'revoked');

    // What is there belongs to an allocation that has not ended.
    await host.sh('rm /etc/gpuaas-node-agent/agent.json');
    await giveToken();
    expect(await bootstrap.run(online)).toMatchObject({ code: 1, stderr: expect.stringContaining('has not ended') });

    await host.sh('rm /etc/gpuaas-node-agent/agent.json');
    await giveToken((await ground.invite(3600, before?.allocation_id)).token);
    const { code: again, stderr } = await bootstrap.run(online);
    expect([again, stderr]).toEqual([0, expect.any(String)]);
    expect((await ground.nodes()).filter(({ connected }) => connected)).toHaveLength(1);

    const { code } = await bootstrap.run(['--uninstall', '--purge']);

    expect(code).toBe(0);
    expect(
      await host.sh(
        'ls -d /opt/gpuaas* /etc/gpuaas* /var/lib/gpuaas* /run/gpuaas-node-agent* 2>/dev/null || true; getent passwd gpuaas-agent || true',
      ),
    ).toBe('');
    expect(await host.sh('systemctl is-active docker; cat /home/tenant/mine')).toBe('active\nmine');
    expect((await bootstrap.run(['--uninstall', '--purge'])).code).toBe(0);
  });
});

describe('a host that is none of ours any more', () => {
  it.each([/^node-agent-/, /^host-/])('runs nothing of a release in which a file was changed: %s', async (file) => {
    await giveToken();
    await copyRelease(release.damaged(file));

    const { code, stderr } = await bootstrap.run([...online, '--offline', '/root/wrong']);

    expect([code, stderr]).toEqual([1, expect.stringContaining('is not what release.json names')]);
    expect(await host.sh('ls -d /opt/gpuaas-node-agent/current /etc/systemd/system/gpuaas* 2>/dev/null || true')).toBe(
      '',
    );
  });
});

it('is released as the very script that was tested here', () => {
  expect(readFileSync(join(release.folder, 'bootstrap.sh'))).toEqual(readFileSync('bootstrap/bootstrap.sh'));
});
