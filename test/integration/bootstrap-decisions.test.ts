/** What `bootstrap.sh` makes of what it finds: function by function, on a host that is made of a few files and programs. */
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { dash, usual, withPrograms } from '../support/bootstrap-functions.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const folder = temporaryFolder('bootstrap-decisions');
/** PATH with programs of a test's own. */
const programs = (name: string, scripts: Readonly<Record<string, string>>) => withPrograms(join(folder, name), scripts);

describe('podman in the place of the engine', () => {
  const judged = (socket: string, path = usual) =>
    dash(`ENGINE_SOCKET=${socket} PROBLEM= REMEDY=; fact_engine_version; printf '%s|%s' "$PROBLEM" "$REMEDY"`, path)
      .stdout;
  const linked = (name: string, target: string) => {
    symlinkSync(join(folder, target), join(folder, name));
    return join(folder, name);
  };

  it('is a reason not to begin, by the link that its package makes', () => {
    expect(judged(linked('linked.sock', 'podman/podman.sock'))).toMatch(/^podman is in the place .*\|.*podman-docker/);
  });

  it('is one by the package alone, which an installation of Docker would take away', () => {
    expect(judged('/nowhere', programs('podman-docker', { 'dpkg-query': 'echo "ii "' }))).toContain('podman is in the');
    expect(judged('/nowhere', programs('removed', { 'dpkg-query': 'echo "rc "' }))).toBe('|');
  });

  it('is not seen in a socket of Docker, wherever that is', () => {
    expect(judged(linked('other.sock', 'docker/docker.sock'), programs('none', { 'dpkg-query': 'exit 1' }))).toBe('|');
  });
});

describe('a gVisor', () => {
  const told = (flags: string) => {
    const path = withPrograms(join(folder, 'gvisor'), { runsc: `[ "$*" = flags ] && printf '${flags}' >&2` });
    return dash('gvisor_directfs runsc', path);
  };

  it('is told to leave files to a process of its own where it knows how to do otherwise, and not with an unknown flag', () => {
    expect(told('  -debug\\n  -directfs\\n\\tdirectly access the container filesystems')).toMatchObject({
      ...{ status: 0, stdout: '--directfs=false\n' },
    });
    expect(told('  -debug\\n  -overlay\\n')).toMatchObject({ status: 0, stdout: '' });
  });
});

describe('an engine', () => {
  const engine = (name: string, answer: string | undefined, state: string) => {
    const file = join(folder, `${name}-answer`);
    writeFileSync(file, answer ?? '');
    const curl = answer === undefined ? 'exit 7' : `while [ "$1" != -o ]; do shift; done; cp ${file} "$2"`;
    return programs(name, { curl, systemctl: `echo ${state}`, dockerd: '' });
  };
  const asked = (path: string, words: string) =>
    dash(`WORK=$(mktemp -d -p ${folder}); mkdir "$WORK/own"; ${words}`, path);
  const ours = '[{"Id":"a","Labels":{"gpuaas.instance":"i1"}},{"Id":"b","Labels":{}}]';

  it.each([
    ['answers', ours, 'active', '2'],
    ['is at work and does not answer: then something may run', undefined, 'active', '1'],
    ['is only just starting', undefined, 'activating', '1'],
    ['does not run', undefined, 'inactive', '0'],
  ])('that %s', (name, answer, state, count) => {
    expect(asked(engine(name.replaceAll(/\W/g, '-'), answer, state), 'running').stdout).toBe(`${count}\n`);
  });

  it.each([
    ['of which nothing is known', undefined, 'Neither agent nor engine answers'],
    ['that has a workload of ours', ours, 'The agent does not run'],
    ['that has nothing of ours', '[{"Id":"b","Labels":{}}]', 'nothing'],
  ])('%s, as an uninstall without an agent finds it', (name, answer, told) => {
    const words = 'if nothing_of_ours; then echo nothing; else echo "$TROUBLE"; fi';

    expect(asked(engine(name.replaceAll(' ', '-'), answer, 'inactive'), words).stdout).toContain(told);
  });
});

it('names the keys that stay valid where there is no program any more to revoke them', () => {
  const identity = join(folder, 'node/identity');
  mkdirSync(identity, { recursive: true });
  writeFileSync(join(identity, 'node.json'), '{\n  "node_id": "node-1"\n}\n');

  const { stderr } = dash(`STATE=${folder}/node; WORK=${folder}; AGENT=/nowhere; leave_control_plane`, usual);

  expect(stderr).toContain('could not be revoked: there is no /nowhere to do it with');
  expect(stderr).toContain('gpuaas nodes revoke node-1');
});

describe('the packages of NVIDIA', () => {
  const pinned = (name: string, repository: string, sources: string) => {
    const apt = join(folder, name);
    mkdirSync(join(apt, 'sources.list.d'), { recursive: true });
    writeFileSync(join(apt, 'sources.list.d/debian.sources'), sources);
    const words = `APT=${apt} WORK=${apt} NVIDIA_REPOSITORY=${repository}; put() { cat "$2"; }; pin_nvidia`;
    return dash(words, usual);
  };
  const debian = 'Types: deb\nURIs: http://deb.example.com/debian https://user:word@mirror.example.com:8443/debian\n';

  it('are all that may come from their host, where nothing else does', () => {
    expect(pinned('apart', 'https://nvidia.example.com/deb', debian)).toMatchObject({
      ...{ stdout: expect.stringContaining('Pin: origin "nvidia.example.com"\nPin-Priority: -1'), stderr: '' },
    });
  });

  it.each(['https://mirror.example.com/nvidia', 'file:///srv/nvidia'])(
    'cut nobody off who has other sources there: %s',
    (repository) => {
      expect(pinned('shared', repository, debian)).toMatchObject({
        ...{ stdout: '', stderr: expect.stringContaining('Packages of other names could come from') },
      });
    },
  );
});

describe('what lies on a host', () => {
  const units = join(folder, 'units');
  const gate = 'gpuaas-node-agent-gate.service';
  const place = (path: string, hour: number) => {
    mkdirSync(join(path, '..'), { recursive: true });
    if (!existsSync(path)) writeFileSync(path, '');
    utimesSync(path, new Date(hour * 3_600_000), new Date(hour * 3_600_000));
  };

  it('is older than the services that run, or they are started anew', () => {
    const systemctl = 'case $1 in show) echo "1970-01-02 00:00:00 UTC" ;; esac';
    const path = programs('started', { systemctl });
    const stale = () =>
      dash(
        `UNITS=${units}; AGENT=${folder}/program; CONFIG=${folder}/agent.json; SERVICES="${gate} gpuaas-node-agent-update.path"; stale_services`,
        path,
      );
    const files = [join(units, gate), join(folder, 'program'), join(folder, 'agent.json')];
    for (const each of files) place(each, 23);
    mkdirSync(join(units, `${gate}.d`));
    place(join(units, `${gate}.d`), 23);
    expect(stale()).toEqual({ status: 0, stdout: '', stderr: '' });

    for (const each of [...files, join(units, `${gate}.d`)]) {
      place(each, 25);
      expect(stale().stdout).toBe(` ${gate}`);
      place(each, 23);
    }
  });

  it('is no drop-in of ours that does not apply any more', () => {
    const host = join(folder, 'work/host');
    for (const [name, at] of [
      ['older-systemd.conf', `older/${gate}.d`],
      ['gpuaas-home.conf', `${gate}.d`],
    ] as const) {
      place(join(host, at, name), 1);
      place(join(units, `${gate}.d`, name), 1);
    }
    place(join(units, `${gate}.d`, 'site.conf'), 1);
    const obsolete = (version: number, home: string) =>
      dash(`UNITS=${units}; WORK=${folder}/work; home=${home}; obsolete_drop_ins`, systemd(version)).stdout;

    expect(obsolete(252, '/srv/alice')).toBe('');
    expect(obsolete(257, '/srv/alice')).toBe(` ${units}/${gate}.d/older-systemd.conf`);
    rmSync(join(host, `${gate}.d/gpuaas-home.conf`));
    expect(obsolete(252, '/home/alice')).toBe(` ${units}/${gate}.d/gpuaas-home.conf`);
    expect(obsolete(252, '')).toBe('');
  });

  it('opens no log of the kernel where root cannot read it either', () => {
    const dropIn = 'older/gpuaas-node-agent.service.d/older-systemd.conf';
    const lines = (kernelLog: string) => {
      const copy = join(folder, 'kernel/host.part', dropIn);
      mkdirSync(join(copy, '..'), { recursive: true });
      cpSync(join('systemd', dropIn), copy);
      dash(`KERNEL_LOG=${kernelLog}; WORK=${folder}/kernel; unheard_kernel`, usual);
      return readFileSync(copy, 'utf8').match(/^\w+=.*/gm);
    };

    expect(lines('/dev/null')).toEqual(['NotifyAccess=all', 'StandardInput=file:/dev/kmsg', 'DeviceAllow=/dev/kmsg r']);
    expect(lines('/nonexistent')).toEqual(['NotifyAccess=all']);
  });
  const systemd = (version: number) => programs(`systemd-${version}`, { systemctl: `echo 'systemd ${version} (x)'` });
});

describe('the users of a host', () => {
  const home = (where: string) =>
    dash('home_drop_in', programs('home', { getent: `echo 'tenant:x:1:1::${where}:/bin/sh'` }));

  it.each(['/', '/usr/games', '/var/lib', '/home', '/tmp/x', '/home/../etc', '/srv/a b', '/lib64/x'])(
    'have no home in a folder of the system: %s',
    (where) => {
      expect(home(where)).toMatchObject({ status: 4, stderr: expect.stringContaining('is no place for') });
    },
  );

  it('may have one elsewhere, and the gate starts also where it is gone', () => {
    const path = programs('alice', { getent: `echo 'tenant:x:1:1::/srv/alice:/bin/sh'` });

    const { stdout } = dash(
      `WORK=$(mktemp -d -p ${folder}); home_drop_in; cat "$WORK"/host.part/*.d/gpuaas-home.conf`,
      path,
    );

    expect(stdout).toContain('\nReadWritePaths=-/srv/alice\n');
  });

  it.each([
    ['gpuaas-agent video render', 0],
    ['gpuaas-agent lxd', 4],
    ['gpuaas-agent disk video', 4],
  ])('lend the agent no group but those of cards: %s', (groups, status) => {
    const path = programs(`groups-${groups.replaceAll(' ', '-')}`, {
      id: `echo ${groups}`,
      getent: 'echo x:x:1:1::/:',
    });

    expect(dash('check_users', path).status).toBe(status);
  });
});

describe('the site prerequisites of a host with Hopper cards', () => {
  const fact = (name: string, path: string, sys = join(folder, 'no-sys')) =>
    dash(
      `SYS=${sys}; FACT= WARNING= REMEDY= PROBLEM=; fact_${name}; printf '%s|%s|%s' "$FACT" "$WARNING" "$REMEDY"`,
      path,
    ).stdout;
  const smi = (mode: string) =>
    programs(`smi-${mode}`, {
      'nvidia-smi': `case $1 in *persistence*) echo ${mode} ;; *driver*) echo 570.86.15 ;; esac`,
      systemctl: 'echo inactive; exit 3',
    });
  const pci = (name: string, devices: readonly (readonly [string, string])[]) => {
    for (const [at, [vendor, kind]] of devices.entries()) {
      const device = join(folder, name, `bus/pci/devices/0000:0${at}:00.0`);
      mkdirSync(device, { recursive: true });
      writeFileSync(join(device, 'vendor'), `${vendor}\n`);
      writeFileSync(join(device, 'class'), `${kind}\n`);
    }
    return join(folder, name);
  };

  it('are persistence mode, with the way to it where it is off', () => {
    expect(fact('persistence', smi('Enabled'))).toBe('persistence mode Enabled ||');
    expect(fact('persistence', smi('Disabled'))).toContain('|systemctl enable --now nvidia-persistenced');
    expect(fact('persistence', usual)).toBe('no NVIDIA driver||');
  });

  it("are the fabric manager of the driver's version where there is an NVSwitch, and there alone", () => {
    const switched = pci('switched', [
      ['0x10de', '0x030200'],
      ['0x10de', '0x068000'],
    ]);
    const plain = pci('plain', [
      ['0x10de', '0x030200'],
      ['0x8086', '0x068000'],
    ]);

    expect(fact('fabric', smi('Enabled'), switched)).toContain('nvidia-fabricmanager-570; systemctl enable --now');
    expect(fact('fabric', smi('Enabled'), plain)).toBe('0 NVSwitches||');
    const running = programs('running', { systemctl: 'echo active' });
    expect(fact('fabric', running.replace(usual, smi('Enabled')), switched)).toBe(
      '1 NVSwitches, fabric manager active||',
    );
  });
});
