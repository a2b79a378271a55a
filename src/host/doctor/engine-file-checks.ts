/** Checks of what the engine was told by its operator: bounds of logs, and whom it trusts as a registry. */
import { X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import { type Check, check, type Finding, fail, ok, warn } from './check.ts';
import { readIfThere } from './if-there.ts';

export interface EngineFileChecks {
  readonly root: string;
  /** Hosts that images may come from, with their ports. */
  readonly registries: readonly string[];
  readonly now?: () => number;
}

const daemonJson = 'etc/docker/daemon.json';

export function engineFileChecks({ root, registries, now = Date.now }: EngineFileChecks): Check[] {
  return [
    check(
      'engine.log_rotation',
      'The log of a container that nobody bounds fills the disk. Workloads of ours bring their own bounds.',
      () => judgeLogs(root),
    ),
    check('engine.registry_trust', 'A registry whose CA the engine does not believe hands nothing over.', () =>
      judgeRegistries(root, registries, now()),
    ),
  ];
}

/** These drivers bound themselves, or keep nothing on this disk. */
const bounded = new Set(['local', 'journald', 'syslog', 'none', 'fluentd', 'gelf', 'awslogs', 'gcplogs', 'splunk']);

async function judgeLogs(root: string): Promise<Finding> {
  const text = await readIfThere(join(root, daemonJson));
  const fix = `Set \`"log-opts": {"max-size": "10m", "max-file": "3"}\` in /${daemonJson}; it counts for new containers.`;
  if (text === undefined || text.trim() === '') {
    return warn(`There is no /${daemonJson}: logs of containers grow without bound.`, fix);
  }
  let config: Record<string, unknown>;
  try {
    config = JSON.parse(text) as Record<string, unknown>;
  } catch {
    return fail(
      `/${daemonJson} is no JSON: the engine will not start again.`,
      `Correct it, and try it: dockerd --validate --config-file=/${daemonJson}`,
    );
  }
  const { 'log-driver': driver = 'json-file', 'log-opts': options } = config;
  const size = (options as Record<string, unknown> | undefined)?.['max-size'];
  if (typeof size === 'string') {
    return ok(`Logs of containers are rotated at ${size} (${String(driver)}).`);
  }
  return bounded.has(String(driver))
    ? ok(`Logs of containers go to ${String(driver)}.`)
    : warn(`\`log-opts\` in /${daemonJson} has no \`max-size\`: logs of containers grow without bound.`, fix);
}

const soonMs = 30 * 86_400_000;

async function judgeRegistries(root: string, hosts: readonly string[], now: number): Promise<Finding> {
  if (hosts.length === 0) {
    return warn('Host policy names no registry: nothing can be pulled.', 'Add `registries` to the configuration.');
  }
  const seen = await Promise.all(hosts.map((host) => trustOf(root, host, now)));
  const worst = seen.find(({ status }) => status === 'fail') ?? seen.find(({ status }) => status === 'warn');
  return worst ?? ok(`${seen.map(({ found }) => found.replace(/\.$/, '')).join('; ')}.`);
}

async function trustOf(root: string, host: string, now: number): Promise<Finding> {
  if (/^(localhost|127(\.\d+){3}|\[::1\])(:|$)/.test(host)) {
    return ok(`${host} is on this host and needs no certificate.`);
  }
  const file = `etc/docker/certs.d/${host}/ca.crt`;
  const text = await readIfThere(join(root, file));
  if (text === undefined) {
    return ok(`${host} is trusted by the CAs of the system.`);
  }
  const pem = text.match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g) ?? [];
  const fix = `Put the PEM of its CA there: bootstrap.sh --registry-ca ${host}=FILE`;
  const ends = pem.map(endOf);
  if (ends.length === 0 || ends.some(Number.isNaN)) {
    return fail(`/${file} holds no certificate that can be read.`, fix);
  }
  const end = Math.min(...ends);
  const until = new Date(end).toISOString().slice(0, 10);
  if (end < now) {
    return fail(`The CA of ${host} in /${file} is over since ${until}.`, fix);
  }
  return end - now < soonMs
    ? warn(`The CA of ${host} in /${file} is over on ${until}.`, fix)
    : ok(`${host} is trusted by /${file}, good until ${until}.`);
}

/** NaN for what is no certificate. */
function endOf(pem: string): number {
  try {
    return Date.parse(new X509Certificate(pem).validTo);
  } catch {
    return Number.NaN;
  }
}
