/**
 * A host with NVIDIA cards, as far as there can be one here: a stand-in for `nvidia-smi`, and a toolkit that does nothing, from a
 * repository that is signed by a key of the test's own.
 */
import { createReadStream, existsSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ensurePackages } from '../../bootstrap/dev/packages.ts';
import { type AptRepository, aptRepository } from '../support/apt-repository.ts';
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
const hasToolkit = async () => (await host.run(['test', '-e', runtime])).code === 0;

describe('a host with cards', () => {
  it('has nothing of NVIDIA planned for it as long as it has no driver (G-179)', async () => {
    expect((await bootstrap.run(['--check', ...pinned()])).stdout).toMatch(/^ok +nvidia +no nvidia-smi/m);

    await host.write(
      '/usr/bin/nvidia-smi',
      '#!/bin/sh\ncase $1 in *persistence*) echo Disabled ;; *driver*) echo 570.86.15 ;; esac\n',
      0o755,
    );

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
