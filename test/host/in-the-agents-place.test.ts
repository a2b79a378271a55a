/**
 * Somebody who has taken over the agent: any program, as the agent's user, behind the agent's own unit, with the agent's end of the
 * gate. What it can do to the host is what this file finds out.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { containerName } from '../../src/contract/names.ts';
import { installAgent, runTask, units, webLaunch } from '../support/installed-agent.ts';
import { type SystemdHost, startHost } from '../support/systemd-host.ts';

let host: SystemdHost;
let tiny: string;

beforeAll(async () => {
  host = await startHost();
  tiny = await host.image('tiny');
  await installAgent(host);
  const launched = await runTask(host, 'workload.oci_launch', webLaunch(await host.image('web'), 'ours', 8080));
  expect(launched.status).toBe('succeeded');
  await host.sh(`docker run -d --name foreign ${tiny} sleep 86400
    echo of the tenant >/home/tenant/file; chmod 644 /home/tenant/file; chmod 755 /home/tenant`);
});
afterAll(async () => await host?.[Symbol.asyncDispose]());

/** Runs a script in the unit of the agent, word for word but for what is started and where its output goes; gives that output. */
async function inItsPlace(script: string): Promise<string> {
  await host.write('/usr/local/bin/taken-over', `#!/bin/sh\nexec 2>&1\n${script}\n`, 0o755);
  await host.sh(`
    sed -e 's|^ExecStart=.*|ExecStart=/usr/local/bin/taken-over\\nStandardOutput=truncate:/run/taken-over|' -e '/^ExecStartPre=/d' -e '/^ExecStopPost=/d' \\
      -e 's/^Type=.*/Type=oneshot/' -e '/^Restart=/d' -e '/^WatchdogSec=/d' -e '/^OpenFile=/d' -e '/^RuntimeDirectory/d' \\
      /etc/systemd/system/${units.agent} >/run/systemd/system/taken-over.service
    systemctl daemon-reload`);
  await host.run(['systemctl', 'start', 'taken-over.service']);
  return (await host.read('/run/taken-over')).trimEnd();
}

type Asked = readonly [method: string, path: string, body?: object];

/** What the gate answers to somebody in its place: status and body of each call, a line each. */
async function askGate(...calls: readonly Asked[]): Promise<string[]> {
  const curl = 'curl -sS -m 20 --unix-socket /run/gpuaas-node-agent-gate/gate.sock';
  const lines = calls.map(([method, path, body]) => {
    const data = body === undefined ? '' : `-H 'content-type: application/json' -d '${JSON.stringify(body)}'`;
    return `${curl} -X ${method} ${data} -o /tmp/answer -w '%{http_code} ' 'http://gate${path}'; tr -d '\\n' </tmp/answer; echo; rm -f /tmp/answer`;
  });
  return (await inItsPlace(lines.join('\n'))).split('\n');
}

describe('the host', () => {
  it('shows no engine, no home, no state of the gate, and no secret of the system', async () => {
    const said = await inItsPlace(`
      curl -sS -m 5 --unix-socket /run/docker.sock http://engine/version || echo no engine
      curl -sS -m 5 --unix-socket /var/run/docker.sock http://engine/version || echo no engine
      for file in /home/tenant/file /root/.profile /var/lib/gpuaas-node-agent-gate/seal.key /etc/shadow /var/lib/docker/engine-id \\
          /run/gpuaas-node-agent-gate/secrets /dev/kmsg; do
        cat "$file" >/dev/null && echo "READ $file"
      done
      id -u; id -G`);

    const uid = await host.sh('id -u gpuaas-agent');
    expect(said).not.toContain('READ');
    expect(said.match(/no engine/g)).toHaveLength(2);
    expect(said.endsWith(`${uid}\n${await host.sh('id -g gpuaas-agent')}`)).toBe(true);
  });

  it('has no place to write but its own', async () => {
    const said = await inItsPlace(`
      for folder in / /etc /etc/gpuaas-node-agent /opt/gpuaas-node-agent /usr/local/bin /var/lib /var/lib/gpuaas-node-agent-update \\
          /run /run/gpuaas-node-agent-gate /run/systemd/system /home /var/spool/cron /sys/fs/cgroup /proc/sys/kernel /boot /srv /mnt; do
        (: >"$folder/mine") && echo "WROTE $folder"
      done
      (: >/var/lib/gpuaas-node-agent/mine) && rm /var/lib/gpuaas-node-agent/mine && echo its own`);

    expect(said).not.toContain('WROTE');
    expect(said.split('\n').at(-1)).toBe('its own');
  });

  it('lends it no privilege: no capability, no setuid program, no namespace, no mount, no device', async () => {
    const said = await inItsPlace(`
      grep -E '^(CapPrm|CapEff|CapBnd|CapAmb|NoNewPrivs|Seccomp):' /proc/self/status | tr -s '\\t' ' '
      for try in 'su root -c id' 'passwd -d root' 'newgrp root' 'unshare --user --map-root-user true' 'unshare --mount true' \\
          'mount -t tmpfs none /mnt' 'mknod /tmp/disk b 8 0' 'chroot / true' 'chown root /tmp' 'dmesg' 'nsenter -t 1 -m true'; do
        $try </dev/null >/dev/null && echo "DONE $try"
      done
      cp /bin/sh /tmp/sh && chmod 4755 /tmp/sh && echo 'DONE setuid'
      echo end`);

    const capabilities = ['CapPrm', 'CapEff', 'CapBnd', 'CapAmb'].map((name) => `${name}: 0000000000000000`);
    for (const line of [...capabilities, 'NoNewPrivs: 1', 'Seccomp: 2']) expect(said).toContain(line);
    expect(said).not.toContain('DONE');
    expect(said).toContain('end');
  });

  it('hides the gate from it: no look into it, no signal to it, nothing of systemd', async () => {
    const gate = await host.unit(units.gate, 'MainPID');
    const said = await inItsPlace(`
      for file in environ maps mem root/etc/hostname fd; do ls -l "/proc/${gate}/$file" && echo "SEEN $file"; done
      kill -0 ${gate} && echo SIGNALLED
      kill -9 ${gate} && echo SIGNALLED
      systemctl stop ${units.gate} && echo STOPPED
      systemd-run --quiet id && echo RAN
      ls /proc | grep -c '^[0-9]'`);

    expect(said).not.toMatch(/SEEN|SIGNALLED|STOPPED|RAN/);
    expect(await host.unit(units.gate, 'MainPID')).toBe(gate);
    expect(await host.unit(units.gate, 'ActiveState')).toBe('active');
  });
});

/** Containers that no workload may be. */
const evil: Readonly<Record<string, object>> = {
  privileged: { HostConfig: { Privileged: true } },
  'with the file system of the host': { HostConfig: { Binds: ['/:/host'] } },
  'with the network of the host': { HostConfig: { NetworkMode: 'host' } },
  'with the processes of the host': { HostConfig: { PidMode: 'host' } },
  'with a device': { HostConfig: { Devices: [{ PathOnHost: '/dev/kmsg', PathInContainer: '/dev/k' }] } },
  'as root without limits': { User: '0:0' },
};

describe('the gate', () => {
  it('makes it no container that could reach the host', async () => {
    const path = `/containers/create?name=${containerName('evil')}`;

    const answers = await askGate(
      ...Object.values(evil).map((over) => ['POST', path, { Image: tiny, ...over }] as const),
    );

    expect(answers).toEqual(Object.keys(evil).map(() => expect.stringMatching(/^4\d\d \{/)));
    expect(await host.sh('docker ps -a --format "{{.Names}}"')).not.toContain('evil');
  });

  it('shows and gives it no container of others, and what is its own', async () => {
    const [listed, ...refused] = await askGate(
      ['GET', '/containers/json?all=1'],
      ['GET', '/containers/foreign/json'],
      ['POST', '/containers/foreign/kill'],
      ['POST', '/containers/foreign/exec', { Cmd: ['id'], AttachStdout: true }],
      ['DELETE', '/containers/foreign?force=1'],
    );

    expect(listed).toMatch(/^200 .*gpuaas-ours/);
    expect(listed).not.toContain('foreign');
    expect(refused).toEqual(refused.map(() => expect.stringMatching(/^4\d\d /)));
    expect(await host.sh('docker inspect -f "{{.State.Running}}" foreign')).toBe('true');
  });

  it('offers nothing else of the engine, not even for its own', async () => {
    const ours = containerName('ours');

    const answers = await askGate(
      ['POST', '/build'],
      ['POST', '/swarm/init'],
      ['POST', '/plugins/pull?remote=x'],
      ['GET', `/containers/${ours}/archive?path=/`],
      ['PUT', `/containers/${ours}/archive?path=/`],
      ['POST', `/containers/${ours}/update`, { Memory: 0 }],
      ['POST', '/volumes/create', { Name: 'x' }],
      ['GET', '/secrets'],
    );

    expect(answers).toEqual(answers.map(() => expect.stringMatching(/^4\d\d /)));
  });
});
