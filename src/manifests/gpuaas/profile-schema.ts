/**
 * The profile schema as a document of its own, for editors and for other people's programs (G-21).
 *
 * It is the very declaration that manifests are judged by. What a schema cannot say is in `check-profile.ts`, so a manifest
 * that this document accepts may still be refused: `gpuaas manifest validate` says all of it.
 */
import { WorkloadProfile } from './profile.ts';

/** Name of the file that it lies in, and of its address at the control plane. */
export const profileSchemaName = 'launchable_oci_workload_profile.v1.schema.json';

export const profileSchemaPath = `/api/v1/schemas/${profileSchemaName}`;

/** JSON, indented, ending in a line feed: the same bytes everywhere. */
export function profileSchemaText(): string {
  const document = { $schema: 'http://json-schema.org/draft-07/schema#', $id: profileSchemaName, ...WorkloadProfile };
  return `${JSON.stringify(document, null, 2)}\n`;
}
