/**
 * The checks that cost nothing: they start no program and ask no network. They run with each look at the host, and what they
 * find travels with its inventory.
 */
import type { HealthFinding, HostHealth } from '../../contract/host-health.ts';
import { type Check, type CheckResult, unknownWhy } from './check.ts';

/** True: launches fail as long as that check does. */
const cheap: Readonly<Record<string, boolean>> = {
  'engine.reachable': true,
  'engine.version': false,
  'engine.limits': true,
  'engine.cgroups': false,
  'engine.storage': false,
  'engine.sandboxes': false,
  'engine.live_restore': false,
  'engine.log_rotation': false,
  'engine.registry_trust': false,
  'disk.engine': true,
  'disk.state': false,
  'disk.inputs': false,
  'host.secrets_dir': false,
  'host.state_dir': false,
  'state.journal': true,
  'host.clock': false,
  'allocation.home': false,
  'network.pool': true,
  'host.system': false,
  'host.units': false,
  'network.firewall': false,
  'update.state': false,
  'host.agent_user': false,
  'host.folders': false,
  'disk.versions': false,
};

export function cheapOnes(checks: readonly Check[]): Check[] {
  return checks.filter(({ name }) => Object.hasOwn(cheap, name));
}

const mostFindings = 32;
const mostCharacters = 500;

export function healthOf(results: readonly CheckResult[]): HostHealth {
  const of = (status: CheckResult['status']) => results.filter((each) => each.status === status);
  const [failed, warned] = [of('fail'), of('warn')];
  return {
    ...{ ok: of('ok').length, warn: warned.length, fail: failed.length, skipped: of('skipped').length },
    findings: [...failed, ...warned].slice(0, mostFindings).map(findingOf),
  };
}

/** A check that could not be carried out says nothing about launches. */
function findingOf({ name, status, why, found, fix }: CheckResult): HealthFinding {
  const isFailure = status === 'fail';
  return {
    ...{ name, status: isFailure ? 'fail' : 'warn', blocks: isFailure && cheap[name] === true && why !== unknownWhy },
    ...{ found: short(found), fix: short(fix ?? '') },
  };
}

function short(text: string): string {
  return text.slice(0, mostCharacters).toWellFormed();
}
