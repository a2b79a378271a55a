/** `gpuaas artifacts`: images, from the push to the end of their life. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { Json } from '../../contract/failures.ts';
import { channels } from '../../server/db/entities/artifact.ts';
import { exitCodes } from '../exit-codes.ts';
import { printJson, printLine, tell } from '../output.ts';
import type { Carry } from './carry.ts';
import { addShow, group } from './group.ts';
import { given, json, whole } from './options.ts';
import { pushArtifact } from './push-artifact.ts';
import { type Column, field, type Item, printItem } from './things.ts';

const reason = ['--reason <text>', 'why, for those who run it and those who look at it'] as const;

export function addArtifactCommands(program: Command, carry: Carry): void {
  const path = '/api/v1/artifacts';
  const columns: Column[] = [
    ['ID', field('id')],
    ['NAME', field('name')],
    ['LIFECYCLE', field('lifecycle')],
    ['TRUST', field('trust')],
    ['LAUNCHABLE', field('launchable')],
    ['DIGEST', (item) => String(field('digest')(item)).slice(0, 19)],
    ['REPOSITORY', field('repository')],
  ];
  const none = 'No artifacts yet: gpuaas artifacts register NAME REFERENCE';
  const command = group(program, carry, 'images that may be launched', { name: 'artifacts', path, columns, none });
  addShow(command, carry, path);
  command
    .command('register')
    .argument('<name>', 'as manifests call it, for example runtime-cpu')
    .argument('<reference>', 'registry/repository@sha256:…; a tag is never accepted', pinned)
    .description('register an image that was pushed')
    .option('--media-type <type>', 'media type of what the digest names', 'application/vnd.oci.image.manifest.v1+json')
    .option('--source <url>', 'where it was built from')
    .option('--revision <commit>', 'revision that it was built from')
    .option(...json)
    .action((name, reference, options) =>
      carry(async (client) => {
        const { repository, digest } = reference;
        const provenance = given({ source: options.source, revision: options.revision });
        const body = { name, repository, digest, media_type: options.mediaType, provenance };
        printItem(await client.change<Item>('POST', path, body), options);
      }),
    );
  command
    .command('publish <repository>')
    .description('get a token to push to one repository; it is printed this once')
    .option('--expires <seconds>', 'how long pushes may begin', whole)
    .option(...json)
    .action((repository, options) =>
      carry(async (client) => {
        const body = given({ repository, expires_in_seconds: options.expires });
        const made = await client.change<Item>('POST', `${path}/publish`, body);
        if (options.json) {
          printJson(made);
        } else {
          tell(`Push token, shown this once; good for pushes to ${repository} until ${made['expires_at']}.`);
          for (const line of nextSteps(repository)) tell(line);
          printLine(String(made['token']));
        }
      }),
    );
  addPush(command, carry);
  const act = (name: string, description: string) =>
    command
      .command(`${name} <id>`)
      .description(description)
      .option(...json);
  const send = (id: string, action: string, body: Json | undefined, options: { json: boolean }) =>
    carry(async (client) =>
      printItem(await client.change<Item>('POST', `${path}/${encodeURIComponent(id)}/${action}`, body), options),
    );
  act('verify', 'ask the registry whether it has exactly this image; fails where it has not').action((id, options) =>
    carry(async (client) => {
      const artifact = await client.change<Item>('POST', `${path}/${encodeURIComponent(id)}/verify`);
      printItem(artifact, options);
      return artifact['trust'] === 'verified' ? exitCodes.ok : exitCodes.failed;
    }),
  );
  act('promote', 'vouch for a verified artifact on one channel')
    .addOption(new Option('--channel <name>', 'how far').choices([...channels]).makeOptionMandatory())
    .action((id, options) => send(id, 'promote', { channel: options.channel }, options));
  act('deprecate', 'nothing new is launched from it; what runs goes on')
    .requiredOption(...reason)
    .action((id, options) => send(id, 'deprecate', { reason: options.reason }, options));
  act('retire', 'end its life for good')
    .requiredOption(...reason)
    .action((id, options) => send(id, 'retire', { reason: options.reason }, options));
  act('revoke', 'take the trust in it back for good')
    .requiredOption(...reason)
    .action((id, options) => send(id, 'revoke', { reason: options.reason }, options));
}

/** What follows the token, with the only things filled in that are not known here. */
function nextSteps(repository: string): string[] {
  return [
    'Push with whatever takes a bearer token, then register the digest that it names and verify it:',
    `  skopeo copy --dest-registry-token "$token" --digestfile digest oci:FOLDER docker://${repository}:TAG`,
    `  gpuaas artifacts register NAME ${repository}@$(cat digest)`,
    'or all three in one, from a folder in the OCI layout:',
    `  gpuaas artifacts push NAME FOLDER ${repository}`,
  ];
}

function addPush(command: Command, carry: Carry): void {
  command
    .command('push')
    .argument('<name>', 'as manifests call it, for example runtime-cpu')
    .argument('<folder>', 'the image in the OCI layout, as `docker buildx build --output type=oci,tar=false` writes it')
    .argument('<repository>', 'registry and repository, without a tag')
    .description('push an image straight to its registry, register its digest and verify it; safe to repeat')
    .option('--source <url>', 'where it was built from')
    .option('--revision <commit>', 'revision that it was built from')
    .option('--no-token', 'push to a registry that takes no tokens of the control plane and lets everybody push')
    .option(...json)
    .action((name, folder, repository, options) =>
      carry(async (client) => {
        const artifact = await pushArtifact(client, { name, folder, repository, ...options });
        printItem(artifact, options);
        if (options.json) return undefined;
        tell(
          artifact['trust'] === 'verified'
            ? `Next: gpuaas artifacts promote ${artifact['id']} --channel dev`
            : `It is not believed: ${(artifact['verification'] as Item | null)?.['message']}`,
        );
        return artifact['trust'] === 'verified' ? exitCodes.ok : exitCodes.failed;
      }),
    );
}

function pinned(text: string): { repository: string; digest: string } {
  const [, repository, digest] = /^([^@]+)@(sha256:[0-9a-f]{64})$/.exec(text) ?? [];
  if (repository === undefined || digest === undefined) {
    throw new InvalidArgumentError(
      'It must be REGISTRY/REPOSITORY@sha256:DIGEST; `skopeo inspect docker://REGISTRY/REPOSITORY:TAG` prints the digest of a tag.',
    );
  }
  return { repository, digest };
}
