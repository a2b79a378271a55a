/**
 * Version of what agent and control plane say to each other. A dated line per change; additive changes keep the number: a new
 * field is optional, and who does not know it leaves it out (`judgeKnown`). A new type of message, kind of record or word of an
 * enumeration is no such change: it may be said only to who has said that it knows it. Tasks are as the hello's `task_types` has them.
 *
 * 1  2026-11-23  task envelope, result, `workload.oci_*` at schema version 1
 * 1  2026-11-25  session messages; `pull` says what had arrived, a heartbeat comes at least every 15 s
 * 1  2026-11-25  a `logs_chunk` holds at most 1000 entries, all that its schema's judge can look at; credit is `creditOf`
 * 1  2026-11-25  the cursor of a `logs_chunk` is visible ASCII
 * 1  2026-11-25  a node says at most 32 KiB before its welcome; the longest hello is shorter
 * 1  2026-11-25  `at` of a record is in the time of the control plane, and what follows from the record has it
 * 1  2026-11-26  `workload.compose_*` at schema version 1; `bearer_env` of an HTTP readiness check; `services` and `gpus` of
 *                a workload, `gpus` of metrics; a card says vendor, driver, place, MIG, health and holder
 * 1  2026-11-26  `logs_open` has a source `service`; the log of a stack is those of its services, each entry with its service;
 *                a cursor has at most 4096 characters
 * 1  2026-11-26  `engine.gives_cards` of a runtime status: how the engine hands out NVIDIA cards
 * 1  2026-11-26  `agent.collect_diagnostics` at schema version 1; `health` of an inventory
 * 1  2026-11-26  `agent.self_update` and `agent.wipe` at schema version 1; events `update.*`
 * 1  2026-11-26  `/agent/v1/trust`, `/invitation`, `/goodbye`, `/releases`, `/bootstrap`; `enrolment.keys_used`
 * 1  2026-11-26  fields that the receiver does not know are left out, so far they cost the whole message or record
 * 1  2026-11-26  `agent.rotate_keys` at schema version 1
 * 1  2026-11-26  `workload.job_launch`, `workload.job_control` and `workload.job_remove` at schema version 1; records `job.report`;
 *                `/agent/v1/job-outputs`
 * 1  2026-11-26  a part of a job publishes up to 64 ports, as its definition may
 * 1  2026-11-26  lines of a log that was kept of a job say the `parts` that they were made of
 * 1  2026-11-26  `receipt` of a `job.report`: the end of a job that has succeeded, as soon as it is signed
 * 1  2026-11-26  `credential` of an input may be `{query}`: what a signed link has behind its `?`; `document_sha256` of a job and of
 *                a receipt is of the document without its secrets
 * 1  2026-11-27  `checks` of the report of a job: what was looked for before it, with its outcome; `preflight`, `healthcheck` and
 *                `scope` in a plan, `label` of a check
 * 1  2026-11-27  `kept` of an inventory: caches and built images of projects
 * 1  2026-11-27  `offers.plans` of a runtime status: parts of plans that not all agents carry out; only who says them is given such
 * 1  2026-11-27  `service_state` among the values of a job that are known while it runs
 * 1  2026-11-27  `offers.build_network` of a runtime status: that a build has the network of its job where it asks for it
 * 1  2026-11-27  a source `service` of a log names a build that is at work (`build`) as well; of an agent of before it is not found
 * 1  2026-11-27  `offers.gvisor_cards` of a runtime status: that containers under gVisor get NVIDIA cards
 * 1  2026-11-27  `resources.disk_gib.evictable` of a runtime status: what would make room for a job; `disk_gib` of a plan, for agents that
 *                name `disk` among `offers.plans`
 * 1  2026-11-27  `resources.disk_gib.held` of a runtime status: what jobs at work were promised and have not written yet
 * 1  2026-11-27  `inputs` of the report of a job, and `commit` of an input in its receipt: what the revision of a repository was
 * 1  2026-11-27  `warnings` of the report of a job: what could not be fetched or kept, and was not required
 */
export const protocolVersion = 1;
