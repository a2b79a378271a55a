/** A setting that is a path of the host. */
import { Type } from 'typebox';

export const hostPath = (fallback: string, description: string) =>
  Type.String({ pattern: '^/[^\\u0000]*[^/\\u0000]$', default: fallback, description });
