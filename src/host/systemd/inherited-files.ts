/**
 * Files that systemd has opened for this process before it began, by name: `OpenFile=` of its unit (systemd 253 and newer), which
 * connects to a socket where the path is one.
 *
 * So a process without privileges and without native code has datagram sockets, which Node itself cannot open. See sd_listen_fds(3).
 */

const firstFile = 3;

/** Gives the descriptors by name, and takes the variables out of the environment, so that no child takes them for its own. */
export function takeInheritedFiles(env: NodeJS.ProcessEnv): ReadonlyMap<string, number> {
  const { LISTEN_PID: pid, LISTEN_FDS: count, LISTEN_FDNAMES: names = '' } = env;
  for (const name of ['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES']) {
    delete env[name];
  }
  if (pid !== String(process.pid) || count === undefined) {
    return new Map();
  }
  const all = names.split(':').slice(0, Number(count));
  return new Map(all.map((name, at) => [name, firstFile + at]));
}
