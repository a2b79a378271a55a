/** Turns the options of `gpuaas serve` into settings, or says which of them cannot be. Nothing is opened but files. */
import { readFileSync } from 'node:fs';
import { Type } from 'typebox';
import { AgentError } from '../../contract/failures.ts';
import { judge } from '../../contract/validate.ts';
import { releaseRootOf as rootOfPem } from '../../policy/release-trust.ts';
import type { ServerSettings } from '../../server/context.ts';
import type { Channel } from '../../server/db/entities/artifact.ts';
import { defaultRateSizes } from '../../server/http/rate-limits.ts';
import { isLaunchEnabled } from '../../server/launch/environment.ts';

export const artifactPolicies = ['published', 'promoted'] as const;

export interface ServeOptions {
  readonly init: boolean;
  readonly newAdminToken: boolean;
  readonly newKeys: boolean;
  readonly dataDir: string;
  readonly listen: string;
  readonly publicUrl?: string;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly ca?: string;
  /** A variable of the environment gives text; only `true` turns it on. */
  readonly insecureListen: boolean | string;
  readonly registry: readonly string[] | string;
  readonly tokenRegistry: readonly string[] | string;
  readonly registryLogins?: string;
  readonly artifactPolicy: (typeof artifactPolicies)[number];
  readonly environment: string;
  readonly launchSignOff?: string;
  readonly artifactChannel?: Channel;
  readonly platform: string;
  readonly releaseRoot?: string;
  readonly replaceReleaseRoot?: boolean;
  readonly strangersPerAddress: string;
  readonly strangers: string;
  readonly outputGib: string;
  readonly projectOutputGib: string;
  readonly requestsPerToken: string;
  readonly requestsPerAddress: string;
  readonly logLevel: string;
  readonly json: boolean;
}

export interface Listening {
  readonly host: string;
  readonly port: number;
  readonly tls?: { readonly cert: string; readonly key: string };
}

/** Where to listen; wider than this machine only with TLS or when told so in so many words. */
export function listeningOf({ listen, tlsCert, tlsKey, insecureListen }: ServeOptions): Listening {
  const [, host = '', digits = ''] = /^(\[[0-9a-f:]+\]|[A-Za-z0-9.-]+):(\d{1,5})$/.exec(listen) ?? [];
  const port = Number(digits);
  if (host === '' || port > 65_535) {
    throw refused(`--listen must be HOST:PORT, and is ${JSON.stringify(listen)}.`);
  }
  if ((tlsCert === undefined) !== (tlsKey === undefined)) {
    throw refused('--tls-cert and --tls-key go together.');
  }
  const plain = { host: host.replace(/^\[|\]$/g, ''), port };
  if (tlsCert !== undefined && tlsKey !== undefined) {
    return { ...plain, tls: { cert: textOf('--tls-cert', tlsCert), key: textOf('--tls-key', tlsKey) } };
  }
  const isLocal = plain.host === 'localhost' || plain.host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(plain.host);
  if (!isLocal && insecureListen !== true && insecureListen !== 'true') {
    throw refused(
      `${plain.host} can be reached from other machines, and everything would travel in the clear. Give --tls-cert and --tls-key, or --insecure-listen if something in front does TLS.`,
    );
  }
  return plain;
}

export function settingsOf(options: ServeOptions, listening: Listening, env: NodeJS.ProcessEnv): ServerSettings {
  const registries = hostsOf('--registry', options.registry);
  const tokenRegistries = hostsOf('--token-registry', options.tokenRegistry);
  if (!/^[a-z0-9]+\/[a-z0-9]+$/.test(options.platform)) {
    throw refused('--platform must be OS/ARCHITECTURE, for example linux/amd64.');
  }
  if (!/^[a-z0-9][a-z0-9-]{0,62}$/.test(options.environment)) {
    throw refused('--environment must be a name of lower-case letters, digits and dashes, for example production.');
  }
  if (options.artifactChannel !== undefined && options.artifactPolicy !== 'promoted') {
    throw refused('--artifact-channel says how far artifacts must be promoted: it needs --artifact-policy promoted.');
  }
  const launchEnabled = isLaunchEnabled(env['APP_RUNTIME_LAUNCHABLE_OCI_NODE_TASKS_ENABLED']);
  if (launchEnabled && options.environment === 'production' && (options.launchSignOff ?? '').trim() === '') {
    throw refused(
      '--launch-sign-off must say who has found the hosts of production ready for launches; docs/app-developers.md has the list.',
    );
  }
  return {
    publicUrl: originOf(options.publicUrl) ?? urlOf(listening, listening.port),
    ca: options.ca === undefined ? '' : textOf('--ca', options.ca),
    launchEnabled,
    ...(options.launchSignOff?.trim() ? { launchSignOff: options.launchSignOff.trim().slice(0, 500) } : {}),
    environment: options.environment,
    registries: [...new Set([...registries, ...tokenRegistries])],
    tokenRegistries,
    upstream: options.registryLogins === undefined ? {} : loginsOf(options.registryLogins),
    artifactPolicy: options.artifactPolicy,
    ...(options.artifactChannel === undefined ? {} : { artifactChannel: options.artifactChannel }),
    platform: options.platform,
    strangers: {
      perAddress: countOf('--strangers-per-address', options.strangersPerAddress),
      all: countOf('--strangers', options.strangers),
    },
    outputs: {
      each: countOf('--output-gib', options.outputGib) * 2 ** 30,
      project: countOf('--project-output-gib', options.projectOutputGib) * 2 ** 30,
    },
    rates: {
      ...defaultRateSizes,
      token: rateOf(countOf('--requests-per-token', options.requestsPerToken)),
      address: rateOf(countOf('--requests-per-address', options.requestsPerAddress)),
    },
  };
}

/** The public root that vouches for releases, where one was named. */
export function releaseRootOf({ releaseRoot: file, replaceReleaseRoot = false }: ServeOptions) {
  if (file === undefined) {
    if (replaceReleaseRoot) throw refused('--replace-release-root needs the new one: --release-root FILE.');
    return {};
  }
  try {
    return { releaseRoot: rootOfPem(textOf('--release-root', file)), replaceReleaseRoot };
  } catch (error) {
    if (!(error instanceof AgentError) || error.code !== 'file.unusable') throw error;
    throw refused(`--release-root: ${file} is no PEM of a public Ed25519 key: root.pem of gpuaas release-keys.`);
  }
}

export function urlOf({ host, tls }: Listening, port: number): string {
  return new URL(`${tls ? 'https' : 'http'}://${host.includes(':') ? `[${host}]` : host}:${port}`).origin;
}

function originOf(url: string | undefined): string | undefined {
  if (url === undefined) {
    return undefined;
  }
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  const isOrigin =
    parsed && ['http:', 'https:'].includes(parsed.protocol) && [parsed.origin, `${parsed.origin}/`].includes(url);
  if (!parsed || !isOrigin) {
    throw refused(`--public-url must be an origin like https://cp.example.com, and is ${JSON.stringify(url)}.`);
  }
  return parsed.origin;
}

function countOf(option: string, text: string): number {
  if (!/^[1-9]\d{0,5}$/.test(text)) {
    throw refused(`${option} must be a number from 1 to 999999, and is ${JSON.stringify(text)}.`);
  }
  return Number(text);
}

/** Ten seconds of it at once. */
function rateOf(perSecond: number) {
  return { perSecond, burst: perSecond * 10 };
}

/** Repeated on the command line, separated by commas in the environment. */
function hostsOf(option: string, given: readonly string[] | string): string[] {
  const hosts = [given]
    .flat()
    .flatMap((each) => each.split(','))
    .filter((each) => each !== '');
  const wrong = hosts.find((each) => !/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:\d{1,5})?$/.test(each));
  if (wrong !== undefined) {
    throw refused(`${option} takes hosts like registry.example.com:5000, and ${JSON.stringify(wrong)} is none.`);
  }
  return hosts;
}

const Logins = Type.Record(
  Type.String(),
  Type.Object(
    {
      username: Type.String({ minLength: 1, maxLength: 256, description: 'User.' }),
      password: Type.String({ minLength: 1, maxLength: 4096, description: 'Password or token.' }),
    },
    { additionalProperties: false },
  ),
);

function loginsOf(file: string) {
  let value: unknown;
  try {
    value = JSON.parse(textOf('--registry-logins', file));
  } catch (error) {
    throw error instanceof AgentError ? error : refused(`--registry-logins: ${file} is not JSON.`);
  }
  const judged = judge(Logins, value);
  if (!judged.ok) {
    const errors = judged.errors.map(({ path, code, message }) => ({ path, code, message }));
    throw new AgentError('server.config_invalid', {
      reason: `--registry-logins: ${file} is not as it should be.`,
      errors,
    });
  }
  return judged.value;
}

function textOf(option: string, file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'error';
    throw new AgentError(
      'server.config_invalid',
      { reason: `${option}: ${file} cannot be read (${code}).`, file },
      { cause: error },
    );
  }
}

function refused(reason: string): AgentError {
  return new AgentError('server.config_invalid', { reason });
}
