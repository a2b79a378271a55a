/** Identifiers that travel in tasks and become part of names and folders on the host. */
import { type Static, Type } from 'typebox';

/** Safe as a container name, a label value and one folder name: no dot, no slash, no leading dash. */
export const identifierPattern = '^[a-zA-Z0-9][a-zA-Z0-9_-]{0,63}$';

export const Identifier = Type.String({
  pattern: identifierPattern,
  description: 'Identifier of 1 to 64 letters, digits, `_` and `-`, beginning with a letter or digit.',
});
export type Identifier = Static<typeof Identifier>;

export const Identity = Type.Object(
  {
    project_id: Type.String({
      pattern: identifierPattern,
      description: 'Project that owns and pays for the workload.',
    }),
    app_instance_id: Type.String({
      pattern: identifierPattern,
      description: 'The workload itself. Container, network and data folder are named after it.',
    }),
    allocation_id: Type.String({
      pattern: identifierPattern,
      description: 'Allocation the workload belongs to; must be the one this host is configured for.',
    }),
    app_slug: Type.String({
      pattern: identifierPattern,
      description: 'Catalog name of the app, for example `jupyterlab`.',
    }),
    app_version: Type.String({
      minLength: 1,
      maxLength: 64,
      pattern: '^[a-zA-Z0-9][a-zA-Z0-9._+-]*$',
      description: 'Version of the app in the catalog, for example `2026.04-preview`.',
    }),
    display_name: Type.String({
      minLength: 1,
      maxLength: 128,
      pattern: '^[^\\u0000-\\u001f\\u007f]*$',
      description: 'Name that people gave the instance. Shown, never used as a name on the host.',
    }),
  },
  { additionalProperties: false, description: 'Who the workload is and whom it belongs to.' },
);
export type Identity = Static<typeof Identity>;
