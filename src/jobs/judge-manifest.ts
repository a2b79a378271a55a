/**
 * Whether a plan that brings a signed manifest may be carried out: judged before anything of it is done, by the host itself, whoever
 * has judged it before.
 */
import { bounds, cutText } from '../contract/bounds.ts';
import { AgentError } from '../contract/failures.ts';
import type { JobPlan } from '../contract/job-plan.ts';
import type { PayloadManifest, SignedManifest } from '../contract/payload-manifest.ts';
import type { PathError } from '../contract/validate.ts';
import { checkPromises } from '../policy/promises/check-promises.ts';
import { expiryOf } from '../policy/promises/dates.ts';
import { readManifest } from '../policy/promises/read-manifest.ts';
import { refuse } from '../policy/refusal.ts';
import { judgeTrust, type TrustQuestion } from '../policy/trust/judge-trust.ts';
import type { JobGround } from './job-ground.ts';

/** Whose manifests the operator of this host lets be carried out. */
export interface ManifestTrust {
  /** As it is settled now. `trust.unusable` where nobody can say. */
  read(): Promise<Pick<TrustQuestion, 'settings' | 'keystore'>>;
  /** Milliseconds since 1970. */
  now(): number;
}

/**
 * Nothing where it brings none. `manifest.expired`, `manifest.broken_promise`, `command.refused`, `policy.refused`, `manifest.refused`,
 * `trust.unusable`, `task.invalid`, `task.unsupported`; paths in the task.
 */
export async function judgeManifest(plan: JobPlan, { jobs, emit, log }: Pick<JobGround, 'jobs' | 'emit' | 'log'>) {
  const { signed_manifest: signed, identity } = plan;
  if (!signed) return;
  const { trust } = jobs;
  if (!trust) throw new AgentError('task.unsupported', { reason: 'This process judges no manifests.' });
  const now = trust.now();
  const manifest = manifestOf(signed);
  const { settings, keystore } = await trust.read();
  const broken = checkPromises(plan, manifest, { compat: settings.compat === 'yagna', now });
  refuse(broken.map(({ failure, errors }) => ({ failure, errors: errors.map(ofTask) })));
  const question = { manifest, signed, project: identity.project_id, settings, keystore, now };
  const { accepted, steps } = judgeTrust(question);
  log.info({ steps }, accepted ? 'manifest accepted' : 'manifest refused');
  const name = manifest.metadata?.name ?? 'The manifest';
  if (accepted) return emit('manifest.accepted', `${name} may be carried out on this host.`, { steps });
  const reason = steps
    .filter(({ outcome }) => outcome === 'refused')
    .map(({ why }) => why)
    .join(' ');
  const message = `${name} may not be carried out on this host. ${reason}`;
  emit('manifest.refused', cutText(message, bounds.message), { steps });
  throw new AgentError('manifest.refused', { reason, steps: steps.map((step) => ({ ...step })) });
}

/** When a job has to end for its manifest, in milliseconds since 1970; undefined where that says nothing. */
export function manifestEnd({ signed_manifest: signed }: JobPlan): number | undefined {
  return signed && expiryOf(manifestOf(signed));
}

function manifestOf({ manifest }: SignedManifest): PayloadManifest {
  const read = readManifest(manifest);
  if (read.ok) return read.value;
  const errors = read.errors.map(({ path, code, message }) => {
    return {
      path: '/params/signed_manifest/manifest',
      code,
      message: `has a manifest ${path ? `whose ${path}` : 'that'} ${message}`,
    };
  });
  throw new AgentError('task.invalid', { reason: errors.map(({ message }) => message).join('; '), errors });
}

function ofTask(error: PathError): PathError {
  return { ...error, path: `/params${error.path}` };
}
