/** `healthy`: healthy from the moment /tmp/healthy exists, unhealthy about two seconds after it is gone. */
import type { RootRecipe } from './recipe.ts';
import { fillTiny, TINY_PATH } from './tiny.ts';

export const healthy: RootRecipe = {
  kind: 'root',
  name: 'healthy',
  sources: ['tiny.ts', 'healthy.ts'],
  changes: [
    TINY_PATH,
    'HEALTHCHECK --interval=1s --timeout=2s --retries=2 CMD test -f /tmp/healthy',
    'CMD ["sleep","3600"]',
  ],
  fill: fillTiny,
};
