/**
 * A real `sshd` of a test's own on the loopback address, with keys that nobody else has, and the client's tunnels through it.
 *
 * Debian's server is unpacked, not installed: an installed one would start, and make the machine reachable. Ours runs as
 * a system user without a shell, who may forward ports and nothing else.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../../bootstrap/dev/free-port.ts';
import { ensurePackages, unpackPackage } from '../../bootstrap/dev/packages.ts';
import { run } from '../../bootstrap/dev/processes.ts';
import { eventually } from './eventually.ts';

/** Every Debian has it. Its shell is no hindrance: a tunnel needs none. */
const daemonUser = { name: 'daemon', uid: 1, gid: 1 };

export interface SshServer {
  /** How its users log in, as an allocation says it. */
  readonly login: { readonly user: string; readonly host: string; readonly port: number };
  /**
   * Runs a command `ssh -N -L PORT:… …` as people are shown it, but with a key and from another port of this machine, on
   * which `PORT` is taken by what it leads to. Resolves with that other port when it is open.
   */
  tunnel(command: string): Promise<number>;
  close(): Promise<void>;
}

export async function startSshServer(): Promise<SshServer> {
  await ensurePackages(['openssh-client', 'libwrap0']);
  await using undo = new AsyncDisposableStack();
  // Whatever the folders of this machine are closed to, the server's user gets to this one.
  const own = mkdtempSync(join(tmpdir(), 'gpuaas-ssh-'));
  undo.defer(() => rmSync(own, { recursive: true, force: true }));
  chmodSync(own, 0o755);
  const [program, config] = [join(own, 'sshd'), join(own, 'config')];
  copyFileSync(join(await unpackPackage('openssh-server'), 'usr/sbin/sshd'), program);
  for (const name of ['host', 'user'])
    await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(own, name)]);
  chownSync(join(own, 'host'), daemonUser.uid, daemonUser.gid);
  const port = await freePort();
  writeFileSync(config, configOf(own, port));
  const log = join(own, 'log');
  writeFileSync(log, '');
  chownSync(log, daemonUser.uid, daemonUser.gid);

  const server = spawn(program, ['-D', '-f', config, '-E', log], {
    uid: daemonUser.uid,
    gid: daemonUser.gid,
    stdio: 'ignore',
  });
  undo.defer(() => end(server));
  await eventually(() => canConnect(port)).catch((cause) => {
    throw new Error(`sshd does not answer: ${readFileSync(log, 'utf8')}`, { cause });
  });

  const options = [
    ...['-F', 'none', '-i', join(own, 'user'), '-o', 'IdentitiesOnly=yes', '-o', 'ExitOnForwardFailure=yes'],
    ...['-o', 'StrictHostKeyChecking=no', '-o', `UserKnownHostsFile=${join(own, 'known')}`, '-o', 'LogLevel=ERROR'],
  ];
  const all = undo.move();
  return {
    login: { user: daemonUser.name, host: '127.0.0.1', port },
    tunnel: async (command) => {
      const [name, ...args] = command.split(' ');
      if (name !== 'ssh') throw new Error(`no tunnel: ${command}`);
      const local = await freePort();
      const forward = args.indexOf('-L') + 1;
      const moved = args.map((arg, at) => (at === forward ? arg.replace(/^\d+:/, `${local}:`) : arg));
      const client = spawn(name, [...options, ...moved], { stdio: ['ignore', 'ignore', 'inherit'] });
      all.defer(() => end(client));
      await eventually(() => canConnect(local));
      return local;
    },
    close: () => all.disposeAsync(),
  };
}

const configOf = (own: string, port: number) => `ListenAddress 127.0.0.1
Port ${port}
HostKey ${join(own, 'host')}
AuthorizedKeysFile ${join(own, 'user.pub')}
StrictModes no
PidFile none
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
AllowTcpForwarding local
PermitTTY no
`;

async function canConnect(port: number): Promise<void> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
  } finally {
    socket.destroy();
  }
}

async function end(child: ReturnType<typeof spawn>): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
}
