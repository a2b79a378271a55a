/** How somebody logs in to the host of an allocation. */
export interface SshAccess {
  readonly host: string;
  readonly port: number;
  readonly user: string;
}

/** Brings a port of the loopback address of the host to the same port of one's own computer. */
export function tunnelCommand({ host, port: sshPort, user }: SshAccess, port: number): string {
  return `ssh -N -L ${port}:127.0.0.1:${port} ${sshPort === 22 ? '' : `-p ${sshPort} `}${user}@${host}`;
}
