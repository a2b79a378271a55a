/**
 * Every way a task can fail, in one table.
 *
 * Codes are contract: never renamed, never reused. Messages and hints are for people and may change. The table is the
 * only place where a code gets its kind, so that the control plane, the CLI and the docs cannot disagree about it.
 */
import { type Static, Type } from 'typebox';
import { bounds, cutFacts, cutText } from './bounds.ts';

/** What sort of trouble a failure is: decides whether trying again can help and how a client should present it. */
export const failureKinds = [
  'invalid',
  'denied',
  'conflict',
  'exhausted',
  'unavailable',
  'cancelled',
  'timed_out',
  'internal',
] as const;
export type FailureKind = (typeof failureKinds)[number];

interface FailureEntry {
  readonly kind: FailureKind;
  readonly message: string;
  readonly hint: string;
  /** True where the same task may succeed later with no change by anybody. */
  readonly retryable: boolean;
}

export const failures = {
  'task.invalid': {
    kind: 'invalid',
    message: 'The task does not match its schema.',
    hint: 'Correct the listed paths; `node-agent schema TYPE` prints what is accepted.',
    retryable: false,
  },
  'task.unsupported': {
    kind: 'invalid',
    message: 'This agent does not know the task type or its version.',
    hint: 'Update the agent, or send one of the types that `node-agent schema` lists.',
    retryable: false,
  },
  'task.untrusted': {
    kind: 'denied',
    message: 'The task is not meant for this host, or its origin cannot be proven.',
    hint: 'Compare node, allocation and signing key with `node-agent config`.',
    retryable: false,
  },
  'task.expired': {
    kind: 'denied',
    message: 'The task arrived after the time it was valid for.',
    hint: 'Issue the task again.',
    retryable: false,
  },
  'task.stale': {
    kind: 'conflict',
    message: 'A newer task for this workload was already carried out.',
    hint: 'Issue the task again with a fencing number above the one in the detail.',
    retryable: false,
  },
  'task.cancelled': {
    kind: 'cancelled',
    message: 'The task was cancelled before it ended.',
    hint: 'What it had begun was undone; issue it again when it is wanted.',
    retryable: false,
  },
  'task.timed_out': {
    kind: 'timed_out',
    message: 'The task ran past its deadline.',
    hint: 'The detail names the phase that was running; allow more `deadline_seconds` or look why that phase is slow.',
    retryable: true,
  },
  'agent.draining': {
    kind: 'unavailable',
    message: 'The agent is draining and takes no new work.',
    hint: 'Send the task to another host, or wait until the drain has ended.',
    retryable: true,
  },
  'agent.busy': {
    kind: 'unavailable',
    message: 'Another node-agent process is already at work here.',
    hint: 'Wait until that process has ended; two of them need a `state_dir` and a `gate.socket` each.',
    retryable: true,
  },
  'command.invalid': {
    kind: 'invalid',
    message: 'The command line cannot be used.',
    hint: 'Look at the `--help` of the command.',
    retryable: false,
  },
  'command.timed_out': {
    kind: 'timed_out',
    message: 'The command has waited as long as it was told to.',
    hint: 'What was asked for goes on: look at it with `gpuaas apps instances describe`, or allow more `--timeout`.',
    retryable: true,
  },
  'command.left': {
    kind: 'cancelled',
    message: 'The questions were left; nothing was launched.',
    hint: 'Start again, or answer by options: --allocation, --artifact, --name, --set.',
    retryable: false,
  },
  'command.interrupted': {
    kind: 'cancelled',
    message: 'The command was interrupted; what was asked for goes on.',
    hint: 'Look at it with `gpuaas apps instances describe ID`, or `gpuaas jobs describe ID` where it is a job; `decommission` and `cancel` end it.',
    retryable: false,
  },
  'file.unusable': {
    kind: 'invalid',
    message: 'A file that was given cannot be used.',
    hint: 'Give a readable file of the kind that this command takes; its `--help` says which.',
    retryable: false,
  },
  'config.missing': {
    kind: 'invalid',
    message: 'This host has no configuration yet.',
    hint: 'Write one there; the detail shows the smallest useful one, docs/operators.md explains every key.',
    retryable: false,
  },
  'config.invalid': {
    kind: 'invalid',
    message: 'The configuration cannot be used.',
    hint: 'Correct what is named; `node-agent schema config` prints what is accepted, docs/operators.md explains it.',
    retryable: false,
  },
  'control_plane.unavailable': {
    kind: 'unavailable',
    message: 'The control plane cannot be reached, or has trouble of its own.',
    hint: 'The agent tries again by itself; compare `control_plane.url`, name resolution and firewall if this stays.',
    retryable: true,
  },
  'control_plane.refused': {
    kind: 'denied',
    message: 'The control plane refused a request of this agent.',
    hint: 'The reason is its own; look there under the same time, and at whether this node was revoked.',
    retryable: false,
  },
  'control_plane.untrusted': {
    kind: 'denied',
    message: 'What answers at `control_plane.url` cannot prove to be the control plane.',
    hint: 'Compare `control_plane.url` with the certificate it shows, and set `control_plane.ca_file` for a CA of your own.',
    retryable: false,
  },
  'enrolment.token_unreadable': {
    kind: 'invalid',
    message: 'There is no join token to be read.',
    hint: 'Give its file by `--token-file FILE`, or `-` for standard input; `gpuaas nodes join-token ALLOCATION` makes one.',
    retryable: false,
  },
  'enrolment.token_invalid': {
    kind: 'invalid',
    message: 'The join token is not one.',
    hint: 'Copy it whole, as `id.secret.pin` in one line; `gpuaas nodes join-token` makes a new one.',
    retryable: false,
  },
  'enrolment.untrusted': {
    kind: 'denied',
    message: 'The control plane that answered is not the one that the join token was made for.',
    hint: 'Compare `control_plane.url`; the token names the keys and the CA that this host may trust, and they were others.',
    retryable: false,
  },
  'identity.unusable': {
    kind: 'internal',
    message: 'A file of the identity of this node cannot be used.',
    hint: 'Restore the file that the detail names from a backup, mode 0600, or enrol the host anew with a fresh join token.',
    retryable: false,
  },
  'enrolment.refused': {
    kind: 'denied',
    message: 'The join token is unknown, wrong, used up or no longer valid.',
    hint: 'Ask the operator for a new one; each lets one host in, within an hour.',
    retryable: false,
  },
  'enrolment.keys_used': {
    kind: 'conflict',
    message: 'Another node has, or had, the keys that this host shows.',
    hint: 'The agent makes new ones and asks again by itself; older ones do so with their identity folder removed.',
    retryable: false,
  },
  'node.untrusted': {
    kind: 'denied',
    message: 'The host cannot prove that it is the node it says it is.',
    hint: 'Compare `control_plane.url` and the identity of the host; enrol it anew with a fresh join token.',
    retryable: false,
  },
  'node.key_invalid': {
    kind: 'invalid',
    message: 'A public key that the host shows cannot be used.',
    hint: 'Remove the identity folder of the agent, so that it makes new keys, and enrol the host again.',
    retryable: false,
  },
  'node.revoked': {
    kind: 'denied',
    message: 'The node was revoked.',
    hint: 'Nothing of it comes back; enrol the host anew if it shall serve again.',
    retryable: false,
  },
  'node.quarantined': {
    kind: 'denied',
    message: 'Two hosts use the identity of this node, so neither is let in.',
    hint: 'Find the copy, switch it off, then release the node from quarantine or revoke it.',
    retryable: false,
  },
  'node.away': {
    kind: 'unavailable',
    message: 'The node has no session with the control plane at the moment.',
    hint: 'It comes back by itself when its network does; look at the agent on that host if it does not.',
    retryable: true,
  },
  'credential.refused': {
    kind: 'denied',
    message: 'The node has no task that needs this credential.',
    hint: 'A node gets credentials for registry images of tasks that it holds and that have not ended.',
    retryable: false,
  },
  'server.key_unusable': {
    kind: 'internal',
    message: 'A private key of the control plane cannot be used.',
    hint: 'Restore the file named in the detail from a backup, mode 0600; making a new one means that every node enrols anew.',
    retryable: false,
  },
  'image.not_pinned': {
    kind: 'invalid',
    message: 'The image is not pinned by a sha256 digest.',
    hint: 'Use registry/repository@sha256:<64 hex digits>.',
    retryable: false,
  },
  'image.registry_denied': {
    kind: 'denied',
    message: 'The image does not come from an allowed registry and repository.',
    hint: 'Publish it to an allowed registry, or have the operator add the repository prefix to `registries`.',
    retryable: false,
  },
  'image.unauthorized': {
    kind: 'denied',
    message: 'The registry refused to hand over the image.',
    hint: 'Check the pull credential of the artifact.',
    retryable: false,
  },
  'image.rate_limited': {
    kind: 'unavailable',
    message: 'The registry limits how often this host may pull.',
    hint: 'Wait for the time in the detail, or pull with a credential that has a higher limit.',
    retryable: true,
  },
  'image.not_found': {
    kind: 'invalid',
    message: 'The image does not exist.',
    hint: 'Check repository and digest; a retired artifact may have been deleted from the registry.',
    retryable: false,
  },
  'image.digest_mismatch': {
    kind: 'denied',
    message: 'What the engine holds is not what the digest promises. The image was not run.',
    hint: 'Treat the registry as compromised until the cause is known.',
    retryable: false,
  },
  'build.denied': {
    kind: 'denied',
    message: 'This host builds no such images.',
    hint: 'Have the operator allow `builds` in the configuration of the host, with `network: bridge` for a build that asks for one.',
    retryable: false,
  },
  'build.failed': {
    kind: 'invalid',
    message: 'The image could not be built.',
    hint: 'The detail has the instruction that failed and the last lines of what it wrote; a build has no network unless the host and the plan allow it.',
    retryable: false,
  },
  'build.timed_out': {
    kind: 'timed_out',
    message: 'The image was not built in time.',
    hint: 'The detail has the instruction that was at work; allow more time, or do less in it.',
    retryable: false,
  },
  'build.unsupported': {
    kind: 'unavailable',
    message: 'The engine of this host has no builder that is used here.',
    hint: "Jobs with a Dockerfile need an engine with the classic builder; look at the engine's own words in the detail.",
    retryable: false,
  },
  'payload.denied': {
    kind: 'denied',
    message: 'This host downloads no images.',
    hint: 'Have the operator allow `payloads` in the configuration of the host, or name an OCI image by its digest.',
    retryable: false,
  },
  'payload.other_platform': {
    kind: 'invalid',
    message: 'None of the images is for the platform of this host.',
    hint: 'Add a payload for it to the manifest, or choose a host of a platform that it names.',
    retryable: false,
  },
  'payload.unavailable': {
    kind: 'unavailable',
    message: 'The image could not be downloaded from any of its addresses.',
    hint: 'The detail has each address with what went wrong there; correct the addresses, or have the operator list a private one under `inputs.allow`.',
    retryable: true,
  },
  'payload.hash_mismatch': {
    kind: 'denied',
    message: 'What came from the addresses of the image is not what its hash promises. It was not run.',
    hint: 'The detail has the hash of what came. Correct the hash of the manifest, or treat the addresses as compromised.',
    retryable: false,
  },
  'payload.unreadable': {
    kind: 'invalid',
    message: 'What was downloaded is no image that can be unpacked.',
    hint: 'A payload is a GVMI image: squashfs, within the limits of the host (`payloads` in its configuration). Build it again with gvmkit-build.',
    retryable: false,
  },
  'image.pull_failed': {
    kind: 'unavailable',
    message: 'The image could not be pulled.',
    hint: 'The detail has the last error; check network, proxy and registry of this host.',
    retryable: true,
  },
  'policy.refused': {
    kind: 'denied',
    message: 'The safety policy of this host refuses the request.',
    hint: 'The detail names each refused path. The policy is host configuration and cannot be changed by a task.',
    retryable: false,
  },
  'image.in_use': {
    kind: 'conflict',
    message: 'A container or another image is made of this image.',
    hint: 'Wait until the jobs of its revision have ended, or remove those that are kept.',
    retryable: true,
  },
  'cache.in_use': {
    kind: 'conflict',
    message: 'A container has this cache.',
    hint: 'Wait until the jobs of its revision have ended, or remove those that are kept.',
    retryable: true,
  },
  'mount.refused': {
    kind: 'denied',
    message: 'A mount is not where this workload may have one.',
    hint: 'Look at the folder named in the detail: something on its path is missing, is a link, or belongs to another user.',
    retryable: false,
  },
  'secret.unavailable': {
    kind: 'denied',
    message: 'A sealed value cannot be opened or delivered on this host.',
    hint: 'Seal it again for the public key that `node-agent config` prints.',
    retryable: false,
  },
  'port.conflict': {
    kind: 'conflict',
    message: 'A requested host port is already taken.',
    hint: 'Choose another host_port; the detail names the one that is taken.',
    retryable: false,
  },
  'gpu.none_free': {
    kind: 'exhausted',
    message: 'No GPU on this host is free.',
    hint: 'Decommission a workload, since a stopped one keeps its cards, or choose another allocation.',
    retryable: true,
  },
  'gpu.unhealthy': {
    kind: 'unavailable',
    message: 'A GPU of this workload does not work as it should.',
    hint: 'Look at `node-agent gpus` on the host: it says why; the card is quarantined until it is well again. Where it was gone, restart or relaunch the workload.',
    retryable: true,
  },
  'resources.exceeded': {
    kind: 'exhausted',
    message: 'The host has not enough free CPU or memory.',
    hint: 'Stop another workload, or launch the app with less or on a larger allocation.',
    retryable: true,
  },
  'network.exhausted': {
    kind: 'exhausted',
    message: 'The network pool of this host has no free subnet.',
    hint: 'Remove workloads that are not needed, or have the operator enlarge `network_pool`.',
    retryable: true,
  },
  'disk.full': {
    kind: 'exhausted',
    message: 'The host has not enough free disk.',
    hint: 'Free space on the file system named in the detail; unused images are the usual cause.',
    retryable: true,
  },
  'packages.invalid': {
    kind: 'invalid',
    message: 'A Python package is not a single plain requirement.',
    hint: 'Write name, extras and version specifiers without spaces, for example numpy==2.4.4.',
    retryable: false,
  },
  'packages.failed': {
    kind: 'invalid',
    message: 'The Python packages could not be installed.',
    hint: 'The detail ends with what the installer said; check names, versions and the package index.',
    retryable: false,
  },
  'readiness.timed_out': {
    kind: 'timed_out',
    message: 'The workload did not become ready in time.',
    hint: 'The detail has the last answer of the probe; read the log of the workload, or allow more time.',
    retryable: false,
  },
  'container.exited': {
    kind: 'invalid',
    message: 'The container ended although it should keep running.',
    hint: 'The detail has the exit code and the last lines of its log. 137 is a kill: where nobody asked for it, most likely for its memory, which engines do not always tell.',
    retryable: false,
  },
  'container.oom_killed': {
    kind: 'exhausted',
    message: 'The container was killed because it used more memory than it may.',
    hint: 'Give it more memory: memory_gib, or requirements.memory_mb in the manifest of a project.',
    retryable: false,
  },
  'container.not_found': {
    kind: 'invalid',
    message: 'There is no such workload on this host.',
    hint: 'It was never launched, could not be, or is already removed; its last task tells which.',
    retryable: false,
  },
  'logs.not_found': {
    kind: 'invalid',
    message: 'There is no such log on this host.',
    hint: 'Look at `node-agent tasks`; logs of the oldest tasks are removed (`task_logs.max_tasks`).',
    retryable: false,
  },
  'service.not_found': {
    kind: 'invalid',
    message: 'The workload has no service of that name.',
    hint: 'Ask for one of the services that the detail names, or for all of them.',
    retryable: false,
  },
  'logs.exhausted': {
    kind: 'exhausted',
    message: 'The agent has as many log streams open as it serves.',
    hint: 'Close a stream that nobody reads, then open this one again.',
    retryable: true,
  },
  'explain.unknown': {
    kind: 'invalid',
    message: 'Nobody on this host has heard of such an instance, job or task.',
    hint: 'Compare the id with `node-agent tasks`; what happened long ago is forgotten (`task_logs.max_tasks`).',
    retryable: false,
  },
  'agent.absent': {
    kind: 'unavailable',
    message: 'No node-agent daemon answers on this host.',
    hint: 'Start it (`systemctl start gpuaas-node-agent`, or `node-agent run`), or give the `--config` of the one that runs.',
    retryable: true,
  },
  'agent.outdated': {
    kind: 'conflict',
    message: 'The journal was written by a version of the agent that this one is too old for.',
    hint: 'Install that version again; or stop the agent and put the copy beside the journal, `agent.db.before-N`, in its place.',
    retryable: false,
  },
  'engine.unavailable': {
    kind: 'unavailable',
    message: 'The container engine or the gate in front of it cannot be reached.',
    hint: 'Run `node-agent doctor`; check the services docker and gpuaas-node-agent-gate.',
    retryable: true,
  },
  'engine.timed_out': {
    kind: 'timed_out',
    message: 'The container engine did not answer in time.',
    hint: 'The engine hangs: look at its journal and at disk load; running workloads are not touched.',
    retryable: true,
  },
  'engine.unsupported': {
    kind: 'unavailable',
    message: 'The engine that answers is none that workloads may run on.',
    hint: 'Have Docker answer at `gate.engine_socket` and name it in `approved_engines`. "Podman" in docs/operators.md has what stands against podman.',
    retryable: false,
  },
  'engine.failed': {
    kind: 'internal',
    message: 'The container engine reported an error.',
    hint: "The detail has the engine's own words.",
    retryable: true,
  },
  'name.conflict': {
    kind: 'conflict',
    message: 'Something that is not ours already has the name of this workload.',
    hint: 'Look at it with the engine CLI and remove it by hand; the agent never touches what it did not make.',
    retryable: false,
  },
  'compose.unavailable': {
    kind: 'unavailable',
    message: 'Docker Compose v2 cannot be used on this host.',
    hint: 'Install the Compose plugin (`docker compose version` must answer); `node-agent doctor` tells what is missing.',
    retryable: true,
  },
  'compose.failed': {
    kind: 'internal',
    message: 'Docker Compose could not do what it was asked.',
    hint: "The detail has Compose's own words; the task log has all of them.",
    retryable: true,
  },
  'compose.refused': {
    kind: 'denied',
    message: 'The stack document asks for something this host does not allow.',
    hint: 'The detail names each refused path.',
    retryable: false,
  },
  'sandbox.unavailable': {
    kind: 'unavailable',
    message: 'The requested sandbox is not installed on this host.',
    hint: 'Install its runtime and add it to the engine; the agent never falls back to a weaker one.',
    retryable: false,
  },
  'sandbox.no_cards': {
    kind: 'unavailable',
    message: 'This host gives no cards to gVisor.',
    hint: 'Ask for no card, or for another host. Its operator lets gVisor have them with `bootstrap.sh --gvisor-cards`; the detail says what is missing.',
    retryable: false,
  },
  'input.failed': {
    kind: 'unavailable',
    message: 'An input of the job could not be fetched.',
    hint: 'Look whether its source answers, and submit the job again. The detail names the input and the last error.',
    retryable: true,
  },
  'revision.failed': {
    kind: 'unavailable',
    message: 'The files of the revision could not be fetched from the control plane.',
    hint: 'Look whether the control plane answers this host, and submit the job again. The detail names the revision and the last error.',
    retryable: true,
  },
  'input.refused': {
    kind: 'denied',
    message: 'An input of the job cannot be had as it was asked for.',
    hint: 'The detail names the input and what is wrong with it: the source, its credential, or what this host allows.',
    retryable: false,
  },
  'preflight.failed': {
    kind: 'invalid',
    message: 'A check before the job did not pass.',
    hint: 'The detail names the check, and `gpuaas jobs describe JOB` has all of them. Correct the project, push it and submit the job again.',
    retryable: false,
  },
  'step.failed': {
    kind: 'invalid',
    message: 'A step of the job failed.',
    hint: 'Read what the step has written: `gpuaas jobs logs JOB --step STEP`. The detail has the step, its exit code and the end of that.',
    retryable: false,
  },
  'command.failed': {
    kind: 'invalid',
    message: 'A command of the script failed.',
    hint: 'Read what it has written: `gpuaas jobs describe JOB` has the end of that, and `gpuaas jobs logs JOB` all of it. The detail has the command, its place in the batch from 0, its exit code and what is wrong.',
    retryable: false,
  },
  'step.unresolved': {
    kind: 'invalid',
    message: 'A step of the job needs a value that is not there.',
    hint: 'The detail names the reference. Look at what the step that it names has printed, and at the expression of its result.',
    retryable: false,
  },
  'step.lost': {
    kind: 'unavailable',
    message: 'What ran a step of the job is gone, and nobody saw how it ended.',
    hint: 'Somebody has removed its container while the agent was away. Submit the job again.',
    retryable: true,
  },
  'step.timed_out': {
    kind: 'timed_out',
    message: 'A step of the job ran past its time.',
    hint: 'The detail names the step and its `timeout_seconds`; allow more, or look at the log of the step.',
    retryable: false,
  },
  'step.unhealthy': {
    kind: 'invalid',
    message: 'A check of a step of the job does not pass.',
    hint: 'The detail names the step, its port and what the check saw last; read the log of the step.',
    retryable: false,
  },
  'output.missing': {
    kind: 'invalid',
    message: 'A required output of the job does not exist.',
    hint: 'Compare the path in the detail with what the steps write, which their logs may tell.',
    retryable: false,
  },
  'output.refused': {
    kind: 'denied',
    message: 'An output of the job cannot be kept.',
    hint: 'The detail names the output and why. Only files and folders within the limits of the host are kept.',
    retryable: false,
  },
  'output.unsettled': {
    kind: 'conflict',
    message: 'A checkpoint was being written when it was looked at.',
    hint: 'It is not kept, so that no attempt goes on from half of one. Write it under another name and rename it, at least three seconds before the next.',
    retryable: true,
  },
  'output.damaged': {
    kind: 'invalid',
    message: 'An output of a job is not what was announced.',
    hint: 'It is handed over anew. If that goes on, look at the disk of the host.',
    retryable: false,
  },
  'log.incomplete': {
    kind: 'unavailable',
    message: 'The log of a job is not here as a whole.',
    hint: 'The detail says of which steps. What is on its way can be read later; the rest is lost.',
    retryable: true,
  },
  'push.damaged': {
    kind: 'invalid',
    message: 'What was pushed is not what was announced.',
    hint: 'Push again: the tarball may have changed while it was sent.',
    retryable: false,
  },
  'push.interrupted': {
    kind: 'cancelled',
    message: 'The push was interrupted.',
    hint: 'Push the same again: it goes on where it was.',
    retryable: false,
  },
  'push.refused': {
    kind: 'invalid',
    message: 'The tarball cannot become a revision; nothing of it was kept.',
    hint: 'Correct what is listed and push again.',
    retryable: false,
  },
  'revision.in_use': {
    kind: 'conflict',
    message: 'The revision is needed by jobs that are not over.',
    hint: 'Wait until they are over, or cancel them, and remove it then.',
    retryable: false,
  },
  'revision.outdated': {
    kind: 'invalid',
    message: 'The control plane was updated and does not take the manifest of the revision any more.',
    hint: 'Correct what is listed in computalot.project.json, push the project again, and submit a job of the revision that it becomes.',
    retryable: false,
  },
  'job.invalid': {
    kind: 'invalid',
    message: 'The job cannot be accepted.',
    hint: 'Correct what is listed. `gpuaas manifest validate FILE` finds faults of the document offline; images, registries and allocations only the control plane knows.',
    retryable: false,
  },
  'job.unfit': {
    kind: 'exhausted',
    message: 'No host of the project can ever carry out the job.',
    hint: 'Ask for less, or have an operator give the project a larger host, switch on what is missing there, or update its agent.',
    retryable: false,
  },
  'job.cancelled': {
    kind: 'cancelled',
    message: 'The job was cancelled.',
    hint: 'Submit it again if it is still wanted.',
    retryable: false,
  },
  'job.expired': {
    kind: 'timed_out',
    message: 'The job ran past its deadline.',
    hint: 'Allow more `deadline_seconds`; the report says which steps had ended by then.',
    retryable: false,
  },
  'manifest.refused': {
    kind: 'denied',
    message: 'The operator of the host does not let this manifest be carried out.',
    hint: 'The detail says step by step what is lacking: have its author sign it, or ask the operator; docs/golem-trust.md explains both.',
    retryable: false,
  },
  'manifest.expired': {
    kind: 'denied',
    message: 'The manifest does not hold at this time.',
    hint: 'The detail says which date: have its author issue it again with a later `expiresAt`; where `createdAt` is ahead, set right the clock of the host or that of the author.',
    retryable: false,
  },
  'manifest.broken_promise': {
    kind: 'denied',
    message: 'The plan of the job is not what its manifest promises.',
    hint: 'Submit the job again: whoever rendered the plan has not kept to the manifest that is listed.',
    retryable: false,
  },
  'trust.unusable': {
    kind: 'denied',
    message: 'The host cannot read whose manifests it is to carry out, and so carries out none.',
    hint: 'Its operator corrects the file that is named, on that host.',
    retryable: false,
  },
  'egress.unavailable': {
    kind: 'unavailable',
    message: 'The proxy by which the job reaches what its list names could not be begun.',
    hint: 'The detail says why; look at the log of the gate on that host. Nothing of the job was let out.',
    retryable: true,
  },
  'job.not_found': {
    kind: 'invalid',
    message: 'There is no such job on this host.',
    hint: 'It was never begun here, or is already removed; its last task tells which.',
    retryable: false,
  },
  'job.running': {
    kind: 'conflict',
    message: 'The job has not ended.',
    hint: 'Cancel it first, then remove it.',
    retryable: false,
  },
  'update.untrusted': {
    kind: 'denied',
    message: 'The release cannot be believed.',
    hint: 'Install nothing of it. Fetch it again from where it was published; if it is refused again, tell whoever signs releases.',
    retryable: false,
  },
  'update.damaged': {
    kind: 'unavailable',
    message: 'A file of the release is not the one that its manifest names.',
    hint: 'It was cut or changed on its way: fetch it again.',
    retryable: true,
  },
  'update.expired': {
    kind: 'denied',
    message: 'The release has expired.',
    hint: 'Take a newer one, or have this one signed again; if it is not old, look at the clock of this host.',
    retryable: false,
  },
  'update.older': {
    kind: 'denied',
    message: 'The release is older than one that this host had.',
    hint: 'Have it signed anew with a higher number; to go back to the version before is for the operator of the host.',
    retryable: false,
  },
  'update.below_floor': {
    kind: 'denied',
    message: 'The release is older than this host will ever take again.',
    hint: 'A release that it had said so, as one does for a hole that was mended. Take a newer one.',
    retryable: false,
  },
  'update.step_missing': {
    kind: 'conflict',
    message: 'This version cannot become that one in one step.',
    hint: 'Update to a release in between first, one at or above `min_from` of the detail.',
    retryable: false,
  },
  'update.no_artifact': {
    kind: 'invalid',
    message: 'The release has no such file for this processor.',
    hint: 'Have the release built for this processor as well.',
    retryable: false,
  },
  'update.pinned': {
    kind: 'denied',
    message: 'This host is kept at another version by its operator.',
    hint: 'Change `updates.pinned` of its configuration, or leave it at its version.',
    retryable: false,
  },
  'update.skipped': {
    kind: 'denied',
    message: 'This version is skipped on this host.',
    hint: 'It was rolled back here, or is not wanted. Release a mended one under another version.',
    retryable: false,
  },
  'update.rolled_back': {
    kind: 'internal',
    message: 'The new version did not prove itself; the previous one runs again.',
    hint: 'Read the journal of the failed start; that version is skipped from now on.',
    retryable: false,
  },
  'update.held': {
    kind: 'unavailable',
    message: 'This host takes no update at the moment.',
    hint: 'The detail says when it does; `updates` of its configuration holds it, and `urgent` or somebody on the host overrides a window.',
    retryable: true,
  },
  'update.in_progress': {
    kind: 'conflict',
    message: 'Another update of this agent is under way.',
    hint: 'Wait until that one has ended: it is committed or rolled back within minutes; `node-agent update` shows it.',
    retryable: true,
  },
  'update.unfit': {
    kind: 'internal',
    message: 'The new version does not work on this host; nothing was changed.',
    hint: 'The detail has what its self-test said.',
    retryable: false,
  },
  'update.failed': {
    kind: 'internal',
    message: 'The update could not be put in place; the version before runs on.',
    hint: 'Look at `journalctl -u gpuaas-node-agent-update`, and at docs/updates.md.',
    retryable: true,
  },
  'request.invalid': {
    kind: 'invalid',
    message: 'The request is not as this address accepts it.',
    hint: 'Correct the listed paths; `/openapi.json` shows what is accepted.',
    retryable: false,
  },
  'request.too_large': {
    kind: 'invalid',
    message: 'The body of the request is larger than this address accepts.',
    hint: 'Send less, or in several requests.',
    retryable: false,
  },
  'request.unauthenticated': {
    kind: 'denied',
    message: 'The request carries no token that is valid.',
    hint: 'Send a token as `Authorization: Bearer …`; `GPUAAS_TOKEN` is where the commands look for it.',
    retryable: false,
  },
  'request.forbidden': {
    kind: 'denied',
    message: 'The role of this token does not allow that.',
    hint: 'Use a token with one of the roles in the detail, or ask who runs the platform.',
    retryable: false,
  },
  'request.foreign_origin': {
    kind: 'denied',
    message: 'The request was made for another host or by a page of another origin.',
    hint: 'Use the address that the control plane was started with as `--public-url`.',
    retryable: false,
  },
  'request.rate_limited': {
    kind: 'exhausted',
    message: 'Too many requests in a short time.',
    hint: 'Wait as long as the `retry-after` header says; ask for changes by the event stream instead of asking again and again.',
    retryable: true,
  },
  'idempotency.conflict': {
    kind: 'conflict',
    message: 'This Idempotency-Key was used for another request.',
    hint: 'Use a new key for a new request, and the same body for a repetition.',
    retryable: false,
  },
  'resource.not_found': {
    kind: 'invalid',
    message: 'There is no such thing, or this token cannot see it.',
    hint: 'Compare the id with the list of what this token can see.',
    retryable: false,
  },
  'resource.conflict': {
    kind: 'conflict',
    message: 'What is there already stands against it.',
    hint: 'Read the detail, look at the thing as it is now, and decide again.',
    retryable: false,
  },
  'resource.too_many': {
    kind: 'exhausted',
    message: 'There are as many of these as there may be.',
    hint: 'The detail says how many and of whom; take back what nobody uses, or wait until what is over was forgotten.',
    retryable: false,
  },
  'credential.unreadable': {
    kind: 'internal',
    message: 'The value of the access credential cannot be opened: its key is another one now.',
    hint: 'Set the value anew with `gpuaas credentials rotate`, or put the key folder of the backup back.',
    retryable: false,
  },
  'resource.exceeds_host': {
    kind: 'exhausted',
    message: 'The host of the allocation has less than that.',
    hint: 'Ask for at most what the listed paths say, or lower the reserves in the configuration of that host.',
    retryable: false,
  },
  'server.unreachable': {
    kind: 'unavailable',
    message: 'The control plane does not answer.',
    hint: 'Check GPUAAS_URL and that `gpuaas serve` runs; nothing tells whether the last request arrived.',
    retryable: true,
  },
  'server.untrusted': {
    kind: 'denied',
    message: 'What answers cannot prove to be the control plane, so the token was not sent.',
    hint: 'Compare GPUAAS_URL with the names in its certificate; for a CA of your own, GPUAAS_CA names its PEM file.',
    retryable: false,
  },
  'server.unintelligible': {
    kind: 'internal',
    message: 'The control plane answers what this command does not understand.',
    hint: 'Compare the versions of both; something else may be listening at GPUAAS_URL.',
    retryable: false,
  },
  'server.busy': {
    kind: 'exhausted',
    message: 'The control plane has no room for that now.',
    hint: 'Try again in a moment; close streams that nobody reads.',
    retryable: true,
  },
  'server.config_invalid': {
    kind: 'invalid',
    message: 'The control plane cannot be started like this.',
    hint: 'Correct what is named; `gpuaas serve --help` lists what is accepted.',
    retryable: false,
  },
  'server.not_initialised': {
    kind: 'invalid',
    message: 'There is no control plane in this data folder yet.',
    hint: 'Run `gpuaas serve --init` once; it makes store and keys and prints the first admin token.',
    retryable: false,
  },
  'server.running': {
    kind: 'unavailable',
    message: 'Another control plane is at work on this data folder.',
    hint: 'Stop it first, or give this one a `--data-dir` of its own.',
    retryable: true,
  },
  'manifest.invalid': {
    kind: 'invalid',
    message: 'The manifest cannot be accepted.',
    hint: 'Correct the listed paths, which are in the manifest; `docs/manifests.md` says what each may be.',
    retryable: false,
  },
  'command.refused': {
    kind: 'denied',
    message: 'The manifest of the job does not allow a command.',
    hint: 'The detail names each such command and the nearest rule. Submit what the manifest allows, or have its author allow more.',
    retryable: false,
  },
  'artifact.unreachable': {
    kind: 'unavailable',
    message: 'The registry of the artifact did not answer as one.',
    hint: 'Check that the registry runs and that the control plane can reach it, then verify again.',
    retryable: true,
  },
  'artifact.unauthorized': {
    kind: 'denied',
    message: 'The registry of the artifact does not let this control plane read it.',
    hint: 'Give it a login for that registry (`gpuaas serve --registry-logins`), or let the registry take its tokens (`--token-registry`); then verify again.',
    retryable: false,
  },
  'artifact.push_denied': {
    kind: 'denied',
    message: 'The registry does not let this push in.',
    hint: 'A registry that takes no tokens of the control plane wants `--no-token`; one that does must be named by `gpuaas serve --token-registry`.',
    retryable: false,
  },
  'artifact.push_failed': {
    kind: 'unavailable',
    message: 'The registry did not take the image.',
    hint: 'Check that the registry runs, that this machine reaches it and that it takes pushes, then push again: what it has already is not sent again.',
    retryable: true,
  },
  'artifact.refused': {
    kind: 'denied',
    message: 'The registry of the artifact is not one that this control plane accepts.',
    hint: 'Copy it to an accepted registry (`skopeo copy`, with a token of `gpuaas artifacts publish`) and register the copy, or have the operator accept this one (`gpuaas serve --registry`).',
    retryable: false,
  },
  'store.unusable': {
    kind: 'unavailable',
    message: 'The store of the control plane cannot be used.',
    hint: 'Look at the file named in the detail: its owner, free disk, and whether an older copy can be put back.',
    retryable: false,
  },
  'launch.credential_required': {
    kind: 'invalid',
    message: 'The app needs an access credential, and the launch names none.',
    hint: 'Choose one of the project; `gpuaas credentials` lists them, `gpuaas credentials add` keeps a new one.',
    retryable: false,
  },
  'launch.credential_not_found': {
    kind: 'invalid',
    message: 'The project has no such access credential.',
    hint: 'Choose one of those that `gpuaas credentials` lists.',
    retryable: false,
  },
  'launch.service_account_required': {
    kind: 'invalid',
    message: 'The app needs a service account, and the launch names none.',
    hint: 'Choose one of the project; `gpuaas service-accounts` lists them, `gpuaas service-accounts add` makes one.',
    retryable: false,
  },
  'launch.service_account_not_found': {
    kind: 'invalid',
    message: 'The project has no such service account.',
    hint: 'Choose one of those that `gpuaas service-accounts` lists.',
    retryable: false,
  },
  'launch.values_invalid': {
    kind: 'invalid',
    message: 'The launch values are not what the app accepts.',
    hint: 'Correct what is listed; the form of the app and its manifest (`gpuaas apps manifest`) say what each accepts.',
    retryable: false,
  },
  'launch.allocation_missing': {
    kind: 'invalid',
    message: 'The launch names no allocation to run on.',
    hint: 'Choose one of the allocations of the project; `gpuaas allocations list` shows them.',
    retryable: false,
  },
  'launch.allocation_not_active': {
    kind: 'conflict',
    message: 'The allocation is not active.',
    hint: 'Launch the app on an allocation that is active; one that is being released takes no new work.',
    retryable: false,
  },
  'launch.allocation_not_in_project': {
    kind: 'denied',
    message: 'The project has no such allocation.',
    hint: 'Choose one of the allocations that the project has.',
    retryable: false,
  },
  'launch.app_not_found': {
    kind: 'invalid',
    message: 'The catalog has no such app.',
    hint: 'Look at the catalog for the slugs there are.',
    retryable: false,
  },
  'launch.version_not_found': {
    kind: 'invalid',
    message: 'The app has no such version.',
    hint: 'Look at the app in the catalog for its versions.',
    retryable: false,
  },
  'launch.version_not_published': {
    kind: 'invalid',
    message: 'The version of the app is not published.',
    hint: 'Choose a published version, or have an operator publish this one.',
    retryable: false,
  },
  'launch.not_entitled': {
    kind: 'denied',
    message: 'The project is not entitled to the app.',
    hint: 'Ask an operator for an entitlement: `gpuaas apps entitlements grant APP --project ID`.',
    retryable: false,
  },
  'launch.artifact_required': {
    kind: 'invalid',
    message: 'The launch names no image, and there is not exactly one that fits.',
    hint: 'Choose one of the verified and published artifacts of the app; `gpuaas artifacts list` shows them.',
    retryable: false,
  },
  'launch.artifact_not_found': {
    kind: 'invalid',
    message: 'There is no such artifact.',
    hint: 'Choose one of the artifacts of the app.',
    retryable: false,
  },
  'launch.artifact_mismatch': {
    kind: 'invalid',
    message: 'The artifact is not an image of this app.',
    hint: 'Choose an artifact with a name and a media type that the manifest declares.',
    retryable: false,
  },
  'launch.image_unfit': {
    kind: 'invalid',
    message: 'The image is made for cards of another vendor.',
    hint: 'Choose the artifact for the cards of the host; `gpuaas nodes show` lists them, the manifest its images.',
    retryable: false,
  },
  'launch.artifact_not_promoted': {
    kind: 'denied',
    message: 'The artifact is not promoted as far as this environment asks.',
    hint: 'Have an operator promote it, or choose a promoted artifact.',
    retryable: false,
  },
  'launch.artifact_not_locked': {
    kind: 'denied',
    message: 'The artifact is not one of the release that this version is locked to.',
    hint: 'Choose the artifact that `gpuaas apps show APP@VERSION` lists, leave it out, or launch another version.',
    retryable: false,
  },
  'launch.artifact_retired': {
    kind: 'denied',
    message: 'The artifact is retired or on its way there.',
    hint: 'Launch the app from a newer artifact.',
    retryable: false,
  },
  'launch.artifact_untrusted': {
    kind: 'denied',
    message: 'The artifact is not trusted.',
    hint: 'Have an operator verify it against the registry; where it was revoked, launch the app from another artifact.',
    retryable: false,
  },
  'launch.digest_invalid': {
    kind: 'invalid',
    message: 'The artifact is not pinned by a sha256 digest.',
    hint: 'Register the image by its digest; a tag can change and is never deployed.',
    retryable: false,
  },
  'launch.registry_denied': {
    kind: 'denied',
    message: 'The artifact does not lie in a registry of this platform.',
    hint: 'Publish it to the registry of the platform, or have the operator approve that registry.',
    retryable: false,
  },
  'launch.storage_mode_not_allowed': {
    kind: 'invalid',
    message: 'The app does not allow this kind of storage.',
    hint: 'Choose one of the storage modes of the mount.',
    retryable: false,
  },
  'launch.storage_not_ready': {
    kind: 'invalid',
    message: 'The allocation offers no project storage yet.',
    hint: 'Choose scratch, or an allocation with project storage.',
    retryable: false,
  },
  'launch.exposure_not_supported': {
    kind: 'invalid',
    message: 'This environment does not support the exposure mode.',
    hint: 'Choose private and open an SSH tunnel.',
    retryable: false,
  },
  'launch.resources_exceed_allocation': {
    kind: 'exhausted',
    message: 'The allocation has not enough free cards, cores or memory.',
    hint: 'Stop another instance (decommission it for its cards), or launch the app with less or on a larger allocation.',
    retryable: true,
  },
  'launch.host_port_taken': {
    kind: 'conflict',
    message: 'Another instance of the allocation has this host port.',
    hint: 'Launch the app with another host port, or decommission the instance that has this one.',
    retryable: false,
  },
  'launch.engine_not_active': {
    kind: 'invalid',
    message: 'The execution engine of the app is declared for the future only.',
    hint: 'Choose a version of the app whose default engine is active.',
    retryable: false,
  },
  'launch.adapter_not_enabled': {
    kind: 'denied',
    message: 'The execution adapter is not enabled in this environment.',
    hint: 'For node_agent, the operator sets APP_RUNTIME_LAUNCHABLE_OCI_NODE_TASKS_ENABLED=true; others come later.',
    retryable: false,
  },
  'launch.node_unavailable': {
    kind: 'unavailable',
    message: 'No node of the allocation can take the launch now.',
    hint: 'Look at the node of the allocation: it has to be enrolled, connected and not draining.',
    retryable: true,
  },
  'launch.runtime_not_ready': {
    kind: 'unavailable',
    message: 'The node has no approved container runtime that is ready.',
    hint: 'Run `node-agent doctor` on the host, or its bootstrap again.',
    retryable: true,
  },
  'instance.wrong_state': {
    kind: 'conflict',
    message: 'The instance is in a state that does not allow this.',
    hint: 'See its state; where it is on its way to another one, wait until it has settled.',
    retryable: false,
  },
  internal: {
    kind: 'internal',
    message: 'The agent met a state it was not written for.',
    hint: 'Keep the task log and report it; the cause is in the log.',
    retryable: false,
  },
} as const satisfies Record<string, FailureEntry>;

export type FailureCode = keyof typeof failures;
export const failureCodes = Object.keys(failures) as FailureCode[];

/** A value that survives JSON unchanged. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };
export type FailureDetail = Readonly<Record<string, Json>>;

export const Failure = Type.Object(
  {
    code: Type.Enum(failureCodes, { description: 'Stable dotted code. The list is docs/failures.md.' }),
    kind: Type.Enum([...failureKinds], { description: 'Class of the failure; decides how a client treats it.' }),
    message: Type.String({
      maxLength: bounds.message * 2,
      description: 'What went wrong, in one or two sentences for a person.',
    }),
    hint: Type.String({ maxLength: 512, description: 'The next step a person can take.' }),
    detail: Type.Record(Type.String(), Type.Unknown(), {
      description:
        'Facts of this one case: path, port, exit_code, excerpt and the like, cut where they are long. Never a secret.',
    }),
    retryable: Type.Boolean({ description: 'True if the same task may succeed later unchanged.' }),
  },
  { additionalProperties: false, description: 'Why a task did not succeed.' },
);
export type Failure = Static<typeof Failure>;

const actionByKind = {
  ...{ invalid: 'correct', denied: 'ask_operator', conflict: 'look_at_state', exhausted: 'ask_for_less' },
  ...{ unavailable: 'try_later', cancelled: 'submit_again', timed_out: 'try_later', internal: 'report' },
} as const satisfies Record<FailureKind, string>;

export const RecommendedAction = Type.Enum([...new Set(Object.values(actionByKind))], {
  description: 'What to do about it, for programs; the hint says the same to people.',
});

/** `hint` in one word. */
export function recommendedAction({ kind }: Pick<Failure, 'kind'>): Static<typeof RecommendedAction> {
  return actionByKind[kind];
}

/**
 * The one error class of the project. `code` decides everything else; `detail` carries the facts of this case and must
 * never hold a secret; `detail.reason`, where given, is one sentence that is shown behind the table's message.
 */
export class AgentError extends Error {
  override readonly name = 'AgentError';
  readonly code: FailureCode;
  readonly detail: FailureDetail;

  constructor(code: FailureCode, detail: FailureDetail = {}, options?: { cause?: unknown }) {
    const reason = typeof detail['reason'] === 'string' ? ` ${detail['reason']}` : '';
    super(`${failures[code].message}${reason}`, options);
    this.code = code;
    this.detail = detail;
  }

  /** `clean` takes out what must not leave the agent: before anything is cut, as half a secret would not be found. */
  toFailure(clean: <Value>(value: Value) => Value = (value) => value): Failure {
    const { kind, hint, retryable } = failures[this.code];
    const [message, detail] = [cutText(clean(this.message), bounds.message), cutFacts(clean(this.detail))];
    return { code: this.code, kind, message, hint, detail, retryable };
  }
}
