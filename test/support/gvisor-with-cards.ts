/**
 * What an engine needs to give NVIDIA cards to gVisor, as `bootstrap.sh --gvisor-cards` leaves it: `runsc` with `--nvproxy`, and the
 * toolkit's hook. The runtime keeps what it was told to create, and starts gVisor without its nvproxy, which would need a driver.
 */
import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { GVISOR_RUNTIME, gvisorFlag } from '../../bootstrap/dev/gvisor.ts';
import type { PrivateEngineOptions } from '../../bootstrap/dev/private-engine.ts';
import { SYSTEM_ENV } from '../../bootstrap/dev/processes.ts';
import { nvidiaSmi } from './nvidia-smi.ts';

export interface GvisorWithCards {
  /** Those of a private engine. */
  readonly engine: PrivateEngineOptions;
  /** Where the programs of the driver and its toolkit are. */
  readonly path: string;
  /** Every container that the engine had gVisor create. */
  created(): readonly Created[];
}

export interface Created {
  readonly id: string;
  readonly args: readonly string[];
  /** As the container's own program has it. */
  readonly env: readonly string[];
  /** Programs that are run before it starts. */
  readonly prestart: readonly string[];
}

/** A host with these cards, of a driver that Debian's gVisor knows. `dir` becomes that of the engine. */
export async function gvisorWithCards(dir: string, uuids: readonly string[]): Promise<GvisorWithCards> {
  await gvisorFlag(dir);
  const [tools, kept] = [join(dir, 'bin'), join(dir, 'created')];
  mkdirSync(kept);
  nvidiaSmi(
    tools,
    uuids.map((uuid) => ({ uuid, driver: '550.54.15' })),
  );
  const path = join(tools, GVISOR_RUNTIME);
  const programs = {
    [path]: script(kept, join(dir, GVISOR_RUNTIME)),
    [join(tools, 'nvidia-container-runtime-hook')]: '#!/bin/sh\n',
  };
  for (const [file, text] of Object.entries(programs)) {
    writeFileSync(file, text);
    chmodSync(file, 0o755);
  }
  return {
    path: tools,
    engine: {
      env: { ...SYSTEM_ENV, PATH: `${tools}:${SYSTEM_ENV['PATH']}` },
      config: {
        runtimes: { [GVISOR_RUNTIME]: { path, runtimeArgs: ['--network=host', '--directfs=false', '--nvproxy'] } },
      },
    },
    created: () => readdirSync(kept).map((id) => createdIn(kept, id)),
  };
}

const script = (kept: string, runsc: string) => `#!/bin/sh
for arg; do
  [ "$before" != --bundle ] || bundle=$arg
  before=$arg
done
if [ -n "$bundle" ]; then
  mkdir -p "${kept}/$before"
  printf '%s\\n' "$@" >"${kept}/$before/args"
  cp "$bundle/config.json" "${kept}/$before/config.json"
fi
for arg; do
  shift
  [ "$arg" = --nvproxy ] || set -- "$@" "$arg"
done
exec ${runsc} "$@"
`;

function createdIn(kept: string, id: string): Created {
  const folder = join(kept, id);
  const { process, hooks } = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')) as {
    readonly process: { readonly env: string[] };
    readonly hooks?: { readonly prestart?: readonly { readonly path: string }[] };
  };
  return {
    id,
    args: readFileSync(join(folder, 'args'), 'utf8').trimEnd().split('\n'),
    ...{ env: process.env, prestart: (hooks?.prestart ?? []).map(({ path }) => path) },
  };
}
