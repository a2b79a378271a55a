/**
 * `web`: a small app as apps of a catalog are. It serves on port 8080, counts lines into its log, and does what its
 * parameters say: `GPUAAS_PARAM_WAIT_SECONDS` before it serves, `GPUAAS_PARAM_MODE=fail` to end at once instead.
 */
import { place, type RootRecipe } from './recipe.ts';
import { fillTiny, TINY_PATH } from './tiny.ts';

const PROGRAM = `#!/bin/sh
trap 'exit 0' TERM
if [ "$GPUAAS_PARAM_MODE" = fail ]; then
  echo "told to fail"
  exit 3
fi
mkdir -p /tmp/www
echo "hello" >/tmp/www/index.html
sleep "\${GPUAAS_PARAM_WAIT_SECONDS:-0}"
httpd -p 8080 -h /tmp/www
number=0
while :; do
  number=$((number + 1))
  echo "line $number"
  sleep 0.1
done
`;

export const web: RootRecipe = {
  kind: 'root',
  name: 'web',
  sources: ['tiny.ts', 'web.ts'],
  changes: [TINY_PATH, 'CMD ["/bin/serve"]'],
  fill: async (root) => {
    await fillTiny(root);
    await place(root, 'bin/serve', PROGRAM, 0o755);
  },
};
