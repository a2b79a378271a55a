/** A host that is enrolled has its name from the control plane; what the configuration says must not contradict that. */
import type { LoadedConfig } from './config.ts';
import { invalid } from './config-refusals.ts';
import type { NodeRecord } from './identity/node-record.ts';

/** The configuration with the node's own name in it. `config.invalid` where file or environment say something else. */
export function configOfNode(loaded: LoadedConfig, node: NodeRecord | undefined): LoadedConfig {
  if (node === undefined) {
    return loaded;
  }
  const { config, sources } = loaded;
  const named = sources['/node_id'] === 'default' ? node.node_id : config.node_id;
  const wrong = [
    ...(named === node.node_id ? [] : [differs('/node_id', `must be ${node.node_id}, or be left out`)]),
    ...(config.allocation.id === node.allocation_id
      ? []
      : [differs('/allocation/id', `must be ${node.allocation_id}`)]),
  ];
  if (wrong.length > 0) {
    throw invalid(wrong, sources);
  }
  return { ...loaded, config: { ...config, node_id: named }, sources: { ...sources, '/node_id': 'enrolment' } };
}

function differs(path: string, what: string) {
  return { path, code: 'other_node', message: `${what}: this host was enrolled so` };
}
