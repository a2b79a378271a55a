/**
 * `gpuaas apps instances launch`: from values to a running instance, with every step on the screen.
 *
 * The credentials of its endpoints come in the answer to the launch and nowhere else, so they are printed at once, before
 * anything can go wrong.
 */

import { readDocument } from '../../agent/read-document.ts';
import { AgentError, type Json } from '../../contract/failures.ts';
import { printJson, printLine, tell, tellJson } from '../output.ts';
import { oneLine } from '../printable.ts';
import { readSecrets } from '../secret-file.ts';
import { askLaunch } from './ask-launch.ts';
import type { ControlPlaneClient } from './client.ts';
import { findAccount, findCredential } from './credential-commands.ts';
import type { Instance } from './instance.ts';
import { isTerminal, terminalQuestions } from './questions.ts';
import type { Item } from './things.ts';
import { untilSettled } from './watch.ts';

export interface LaunchOptions {
  readonly allocation?: string;
  readonly artifact?: string;
  readonly name?: string;
  readonly project?: string;
  readonly values?: string;
  readonly set: Readonly<Record<string, string | number | boolean>>;
  /** File of each secret, by name; `-` is standard input. */
  readonly secretFile?: Readonly<Record<string, string>>;
  /** Name or id of what the project keeps. */
  readonly credential?: string;
  readonly serviceAccount?: string;
  /** Credential in place of each secret, by name. */
  readonly secretCredential?: Readonly<Record<string, string>>;
  readonly gpus?: number;
  readonly cpus?: number;
  readonly memory?: number;
  /** Whether to ask for what was not given; undefined to ask where somebody can answer and no allocation was given. */
  readonly ask?: boolean;
  readonly wait: boolean;
  readonly timeout?: number;
  readonly json: boolean;
}

interface Credential {
  readonly endpoint: string;
  readonly token: string;
  readonly url_query: string | null;
  readonly bearer_path: string | null;
}

type Launched = Instance & { readonly credentials: readonly Credential[] };

export async function launch(client: ControlPlaneClient, app: string, options: LaunchOptions): Promise<number> {
  const body = await (asksFor(options) ? answersOf(client, app, options) : requestOf(client, app, options));
  const { credentials, ...instance } = await accepted(client, body, options);
  if (!options.json) {
    tell(`Instance ${instance.id}: ${oneLine(instance.display_name)}`);
    for (const { endpoint, token } of credentials) {
      tell(`Token of endpoint ${endpoint}, shown this once: ${token}`);
    }
  }
  if (!options.wait) {
    if (options.json) {
      printJson({ ...instance, credentials });
    } else {
      tell(`It is ${instance.state}; follow it with: gpuaas apps instances events -f ${instance.id}`);
      printLine(instance.id);
    }
    return 0;
  }
  if (options.json) {
    tellJson({ type: 'accepted', instance: instance.id, credentials });
  }

  const { instance: settled, status } = await untilSettled(client, instance, options);
  if (options.json) {
    printJson({ ...settled, credentials });
  } else if (status === 0) {
    sayAccess(settled, credentials);
  }
  return status;
}

/** Programs are never asked. */
function asksFor({ ask, json, values, allocation }: LaunchOptions): boolean {
  return ask ?? (!json && values === undefined && allocation === undefined && isTerminal());
}

async function answersOf(client: ControlPlaneClient, app: string, options: LaunchOptions): Promise<Json> {
  const { allocation, artifact, name, project, set, secretFile, gpus, cpus, memory } = options;
  const [slug = '', version = await newestVersion(client, slug)] = app.split('@');
  const given = {
    ...{ target_allocation_id: allocation, artifact_id: artifact, display_name: name, config: set },
    resource_overrides: defined({ gpu_count: gpus, cpu_cores: cpus, memory_gib: memory }),
    secrets: secretFile === undefined ? {} : await readSecrets(secretFile),
  };
  return askLaunch(client, { slug, version, project }, given, await terminalQuestions());
}

async function accepted(client: ControlPlaneClient, body: Json, { json, values }: LaunchOptions): Promise<Launched> {
  try {
    return await client.change<Launched>('POST', '/api/v1/app-instances', body);
  } catch (error) {
    const { errors } = error instanceof AgentError ? error.detail : {};
    if (!(error instanceof AgentError) || !Array.isArray(errors) || json || values !== undefined) throw error;
    const named = (errors as { path: string }[]).map((each) => ({ ...each, path: optionAt(each.path) }));
    throw new AgentError(error.code, { ...error.detail, errors: named }, { cause: error });
  }
}

/** Where a value of the request comes from on the command line. */
const optionOf: Readonly<Record<string, string>> = {
  '/app_slug': 'APP',
  '/app_version': 'APP@VERSION',
  '/placement_intent': '--allocation',
  '/placement_intent/target_allocation_id': '--allocation',
  '/artifact_id': '--artifact',
  '/access_credential_id': '--credential',
  '/service_account_id': '--service-account',
  '/display_name': '--name',
  '/project_id': '--project',
  '/resource_overrides/gpu_count': '--gpus',
  '/resource_overrides/cpu_cores': '--cpus',
  '/resource_overrides/memory_gib': '--memory',
};

function optionAt(path: string): string {
  const [, part, name] = /^\/(config|secrets)\/([^/]+)$/.exec(path) ?? [];
  const option =
    part === undefined ? optionOf[path] : part === 'config' ? `--set ${name}=…` : `--secret-file ${name}=…`;
  return option ?? path;
}

/** How to reach what runs: the tunnel, then the address with the token that was just made. */
function sayAccess({ access, id }: Instance, credentials: readonly Credential[]): void {
  for (const { endpoint, url, tunnel } of access) {
    const credential = credentials.find((each) => each.endpoint === endpoint);
    if (tunnel !== null) {
      printLine(`From your own computer:  ${oneLine(tunnel)}`);
    }
    if (url !== null && credential?.bearer_path) {
      const header = `'Authorization: Bearer ${credential.token}'`;
      printLine(`Then ask:                curl -H ${header} ${oneLine(new URL(credential.bearer_path, url).href)}`);
    } else if (url !== null) {
      const query = credential?.url_query ? `?${credential.url_query}=${credential.token}` : '';
      printLine(`Then open:               ${oneLine(url)}${query}`);
    }
  }
  printLine(`Look at it:              gpuaas apps instances describe ${id}`);
}

async function requestOf(client: ControlPlaneClient, app: string, options: LaunchOptions): Promise<Json> {
  const { allocation, artifact, name, project, values, set, gpus, cpus, memory } = options;
  const given = values === undefined ? {} : objectOf(await readDocument(values), values);
  const [slug = '', version = await newestVersion(client, slug)] = app.split('@');
  const overrides = defined({ gpu_count: gpus, cpu_cores: cpus, memory_gib: memory });
  const base = objectOf(given['resource_overrides'] ?? {}, 'resource_overrides');
  return defined({
    display_name: slug,
    ...given,
    app_slug: slug,
    app_version: version,
    ...defined({ artifact_id: artifact, display_name: name, project_id: project }),
    ...(allocation === undefined ? {} : { placement_intent: { target_allocation_id: allocation } }),
    config: { ...objectOf(given['config'] ?? {}, 'config'), ...set },
    ...(await keptOf(client, options)),
    ...(await secretsOf(client, given, options)),
    resource_overrides: { ...base, ...overrides },
  });
}

/** What the launch takes of its project, by id. */
async function keptOf(client: ControlPlaneClient, { credential, serviceAccount }: LaunchOptions) {
  return {
    ...(credential === undefined ? {} : { access_credential_id: (await findCredential(client, credential)).id }),
    ...(serviceAccount === undefined ? {} : { service_account_id: (await findAccount(client, serviceAccount)).id }),
  };
}

/** Those of the file, and over them those of the options: out of files, or kept by the project. */
async function secretsOf(
  client: ControlPlaneClient,
  given: Readonly<Record<string, Json>>,
  { secretFile = {}, secretCredential = {} }: LaunchOptions,
) {
  const kept: Record<string, Json> = {};
  for (const [name, credential] of Object.entries(secretCredential)) {
    kept[name] = { credential_id: (await findCredential(client, credential)).id };
  }
  const secrets = { ...objectOf(given['secrets'] ?? {}, 'secrets'), ...(await readSecrets(secretFile)), ...kept };
  return Object.keys(secrets).length === 0 ? {} : { secrets };
}

/** The newest version that can be launched; the newest of all where none can, so that the refusal says why. */
async function newestVersion(client: ControlPlaneClient, slug: string): Promise<string> {
  const app = await client.get<Item>(`/api/v1/catalog/apps/${encodeURIComponent(slug)}`);
  const versions = app['versions'] as { version: string; launchable: boolean }[];
  const chosen = versions.find(({ launchable }) => launchable) ?? versions[0];
  if (chosen === undefined) {
    throw new AgentError('launch.version_not_found', { reason: `${slug} has no version.` });
  }
  return chosen.version;
}

function objectOf(value: unknown, what: string): Readonly<Record<string, Json>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new AgentError('file.unusable', { reason: `${what} must be a JSON object.` });
  }
  return value as Readonly<Record<string, Json>>;
}

function defined(values: Readonly<Record<string, Json | undefined>>): Readonly<Record<string, Json>> {
  return Object.fromEntries(Object.entries(values).filter((pair): pair is [string, Json] => pair[1] !== undefined));
}
