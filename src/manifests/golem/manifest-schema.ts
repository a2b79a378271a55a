/** The shape of a computation payload manifest as a document of its own; what it cannot say is in `read-manifest.ts`. */
import { PayloadManifest } from '../../contract/payload-manifest.ts';

/** Name of the file that it lies in, in `docs/schemas`. */
export const payloadManifestSchemaName = 'golem_computation_payload_manifest.v0.1.schema.json';

/** JSON, indented, ending in a line feed: the same bytes everywhere. */
export function payloadManifestSchemaText(): string {
  const document = {
    ...{ $schema: 'http://json-schema.org/draft-07/schema#', $id: payloadManifestSchemaName },
    ...PayloadManifest,
  };
  return `${JSON.stringify(document, null, 2)}\n`;
}
