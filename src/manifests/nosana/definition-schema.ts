/** The shape of a job definition as a document of its own; what it cannot say is in `check-definition.ts`. */
import { JobDefinition } from './definition.ts';

/** Name of the file that it lies in, in `docs/schemas`. */
export const definitionSchemaName = 'nosana_job_definition.v0.1.schema.json';

/** JSON, indented, ending in a line feed: the same bytes everywhere. */
export function definitionSchemaText(): string {
  const document = { $schema: 'http://json-schema.org/draft-07/schema#', $id: definitionSchemaName, ...JobDefinition };
  return `${JSON.stringify(document, null, 2)}\n`;
}
