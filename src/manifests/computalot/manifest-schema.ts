/** The shape of a project manifest as a document of its own; what it cannot say is in `check-manifest.ts`. */
import { ProjectManifest } from './manifest.ts';

/** Name of the file that it lies in, in `docs/schemas`. */
export const manifestSchemaName = 'computalot_project_manifest.v1.schema.json';

/** JSON, indented, ending in a line feed: the same bytes everywhere. */
export function manifestSchemaText(): string {
  const document = { $schema: 'http://json-schema.org/draft-07/schema#', $id: manifestSchemaName, ...ProjectManifest };
  return `${JSON.stringify(document, null, 2)}\n`;
}
