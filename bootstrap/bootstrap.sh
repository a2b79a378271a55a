#!/bin/sh
# bootstrap.sh: makes a bare host a node of a control plane, and keeps it one when it is run again.
#
#   join token ── its pin is the hash of ──▶ /agent/v1/trust: CA and release root ── signs ──▶ release keys ── sign ──▶
#   release.json ── names by sha256 ──▶ the agent, its units, the Compose plugin
#
# Nothing that came over the network is run before this chain was checked, and nothing needs to be trusted but the token.
#
# Each step of the table STEPS is a pair: `check_STEP` looks, says what is there (FACT) and what would have to be done
# (WOULD, empty for nothing), and changes nothing; `do_STEP` does it and is followed by the check again. So a second run
# does nothing and restarts nothing, and a run that was killed is finished by the next one.
#
# It never removes or replaces a container engine, never touches what users have written, and never overwrites what an
# operator has set. POSIX sh. The last line is the only one that does anything, and half of it is a syntax error: a script that
# arrives truncated does nothing.
# shellcheck disable=SC2317 # The functions of the tables are called by their names.
set -eu
umask 022
# What programs say is read here, so they say it in one language. PATH of whoever calls may lack programs of root. Variables that
# the caller has exported would hand a secret of ours on to programs.
export LC_ALL=C PATH="${PATH:-}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
unset TOKEN TOKEN_ID TOKEN_PIN TOKEN_BEARER CDPATH GREP_OPTIONS

PROGRAM=bootstrap.sh
OPT=/opt/gpuaas-node-agent
ETC=/etc/gpuaas-node-agent
STATE=/var/lib/gpuaas-node-agent
UPDATE=/var/lib/gpuaas-node-agent-update
UNITS=/etc/systemd/system
AGENT_USER=gpuaas-agent
AGENT=$OPT/current/node-agent
CONFIG=$ETC/agent.json
DAEMON_JSON=/etc/docker/daemon.json
ENGINE_SOCKET=/var/run/docker.sock
ENGINE_DUE=$UPDATE/engine-restart-due
DRAINED=$UPDATE/uninstall-drain
PLUGIN=/usr/local/lib/docker/cli-plugins/docker-compose
FIREWALL=gpuaas-node-agent-firewall.service
NFTABLES_DROP_IN=$UNITS/nftables.service.d/gpuaas-node-agent.conf
SERVICES="gpuaas-node-agent-gate.service gpuaas-node-agent.service gpuaas-node-agent-update.path"
LOG=/var/log/gpuaas-bootstrap.log
LOCK=/run/gpuaas-bootstrap.lock
SYS=/sys
KERNEL_LOG=/dev/kmsg
APT=/etc/apt
APT_LISTS=/var/lib/apt/lists
DPKG=/var/lib/dpkg

# The key that NVIDIA signs its repository with, and the first toolkit without CVE-2025-23266.
NVIDIA_REPOSITORY=https://nvidia.github.io/libnvidia-container/stable/deb
NVIDIA_KEY=https://nvidia.github.io/libnvidia-container/gpgkey
NVIDIA_FINGERPRINT=C95B321B61E88C1809C4F759DDCAE044F796ECB0
NVIDIA_FLOOR=1.17.8

FACTS="root systemd processor libc distribution kernel cgroups disk engine_version persistence fabric"
STEPS="packages release engine compose nvidia gvisor squashfs users folders binary gvisor_cards engine_config registries units config firewall enrolment services ready"

# Exit status.
FAILED=1 UNUSABLE=2 CHANGES=3 REFUSED=4 BUSY=75

usage() {
  cat <<'USAGE'
Usage: bootstrap.sh --url ORIGIN --token-file FILE [options]
       bootstrap.sh --check [--json] | --dry-run | --uninstall [--purge] [--keep-workloads]

Without a mode it installs what is missing. Run again, it changes only what is not as it should be.

  --url ORIGIN              the control plane, for example https://cp.example.com
  --token-file FILE         join token of `gpuaas nodes join-token`; removed once the host is a node; - reads stdin
  --offline DIR             take the release from this folder instead of the control plane
  --release-root FILE       PEM of the release root, where no join token names it
  --channel NAME            channel of the release (stable)
  --allocation-user NAME    user that workloads run as; made where it is missing (tenant)
  --registry HOST[/PREFIX]  where images may come from; repeatable (what the control plane names)
  --registry-ca HOST=FILE   PEM of the CA of a registry; repeatable
  --network-pool RANGE      private range for the networks of workloads (10.213.0.0/20)
  --engine-package NAME     engine to install where there is none (docker.io); none: leave the engine to me
  --gvisor                  install it as well
  --squashfs                install what unpacks images that jobs name by their hash, and let jobs do that
  --gvisor-cards            install gVisor, and let workloads under it have NVIDIA cards, by its nvproxy
  --no-gvisor-cards         take that back; gVisor stays
  --nvidia-repository URL, --nvidia-key URL|FILE, --nvidia-fingerprint HEX, --nvidia-floor VERSION
                            a mirror of NVIDIA's repository
  --untested-distribution   go on on a distribution that this was not tested on
  --yes                     reload systemd although containers hold cards, which they can lose by it

  --check                   look only: what is there and what would change; --json for programs
  --dry-run                 print what would be done, in order, and do nothing
  --uninstall               take agent and workloads off this host; never the engine, never what users have written
    --keep-workloads        let them run on, with their firewall
    --purge                 remove configuration, state and keys of the agent as well

Exit status: 0 done, or nothing to do; 1 failed; 2 unusable arguments; 3 with --check: something would change;
4 this host is refused; 75 another bootstrap is at work.
USAGE
}

# ---------------------------------------------------------------------------------------------------------------- words

say() { [ -n "$JSON" ] || printf '%s\n' "$*"; }
tell() { printf '%s\n' "$*" >&2; }
warn() { tell "warning: $*"; }

# die STATUS WHAT WAY-OUT
die() {
  finish_json "$([ "$1" = "$REFUSED" ] && echo refused || echo failed)" "$2" "${3:-}"
  tell "error: $2"
  [ -z "${3:-}" ] || tell "  what to do: $3"
  exit "$1"
}

# A line of the table: STATE NAME FACT WOULD
row() {
  if [ -n "$JSON" ]; then
    begin_json
    printf '%s{"name":"%s","state":"%s","fact":"%s","would":"%s"}' "$SEPARATOR" "$2" "$1" "$(escaped "$3")" "$(escaped "$4")"
    SEPARATOR=,
  else
    printf '%-8s %-15s %s%s\n' "$1" "$2" "$3" "${4:+  ->  $4}"
  fi
}

begin_json() {
  [ -n "$BEGUN" ] || printf '{"facts":['
  BEGUN=1
}

# finish_json OUTCOME [ERROR WAY-OUT]: once, however it ends.
finish_json() {
  [ "$JSON" = 1 ] || return 0
  begin_json
  JSON=finished
  printf '],"outcome":"%s"' "$1"
  [ -z "${2:-}" ] || printf ',"error":"%s","what_to_do":"%s"' "$(escaped "$2")" "$(escaped "${3:-}")"
  printf '}\n'
}

escaped() { printf '%s' "$1" | tr -s '\000-\037' ' ' | sed 's/[\\"]/\\&/g'; }

# Runs a command whose output nobody reads unless it fails; with --dry-run prints it.
run() {
  if [ "$MODE" = dry-run ]; then
    say "  would run: $*"
    return 0
  fi
  printf '%s $ %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$*" >>"$LOG"
  if ! "$@" >>"$LOG" 2>&1 </dev/null 9>&-; then
    tail -n 15 "$LOG" >&2
    die "$FAILED" "This failed: $*" "The lines above say why; all of it is in $LOG. Correct that and run $PROGRAM again."
  fi
}

# put MODE FROM TO: FROM becomes TO in one step, and only where its bytes or rights are others.
put() {
  [ "$(stat -c %a "$3" 2>/dev/null)" = "$1" ] && cmp -s "$2" "$3" && return 0
  run install -D -m "$1" -o root -g root "$2" "$3.gpuaas-new"
  run mv -f "$3.gpuaas-new" "$3"
}

has() { command -v "$1" >/dev/null 2>&1; }

# True if version $1 is $2 or later; by numbers, as `sort -V` has them.
at_least() { [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$2" ]; }

# property NAME UNIT…
property() {
  wanted=$1
  shift
  systemctl show --property="$wanted" --value -- "$@" 2>/dev/null || true
}

# ----------------------------------------------------------------------------------------------------------- arguments

defaults() {
  MODE=install JSON='' BEGUN='' SEPARATOR='' URL='' TOKEN_FILE='' TOKEN='' OFFLINE='' RELEASE_ROOT='' CHANNEL=stable
  ALLOCATION_USER='' ENGINE_PACKAGE=docker.io GVISOR='' GVISOR_CARDS='' SQUASHFS='' UNTESTED='' YES='' PURGE='' KEEP=''
  REGISTRIES='' REGISTRY_CAS='' POOL='' APT_FRESH='' WORK='' DATE='' REL='' SOURCE='' CA='' INVITED='' ENROLLED='' PROVEN='' GVISOR_STARTS='' CARDS_START='' home=''
}

arguments() {
  # Also what is wrong with the others is told as JSON.
  case " $* " in *' --json '*) JSON=1 ;; esac
  while [ $# -gt 0 ]; do
    case $1 in
      --url | --token-file | --offline | --release-root | --channel | --allocation-user | --registry | --registry-ca | --network-pool | --engine-package | --nvidia-repository | --nvidia-key | --nvidia-fingerprint | --nvidia-floor)
        [ $# -ge 2 ] || die "$UNUSABLE" "$1 needs a value." "$PROGRAM --help lists them all."
        value "$1" "$2"
        shift
        ;;
      --check) MODE=check ;;
      --dry-run) MODE=dry-run ;;
      --uninstall) MODE=uninstall ;;
      --purge) PURGE=1 ;;
      --keep-workloads) KEEP=1 ;;
      --json) JSON=1 ;;
      --gvisor) GVISOR=1 ;;
      --gvisor-cards) GVISOR=1 GVISOR_CARDS=on ;;
      --no-gvisor-cards) GVISOR_CARDS=off ;;
      --squashfs) SQUASHFS=1 ;;
      --untested-distribution) UNTESTED=1 ;;
      --yes) YES=1 ;;
      -h | --help)
        usage
        JSON=''
        exit 0
        ;;
      *) die "$UNUSABLE" "There is no option $1." "$PROGRAM --help lists them all." ;;
    esac
    shift
  done
  [ -z "$JSON" ] || [ "$MODE" = check ] || die "$UNUSABLE" '--json goes with --check.' ''
  [ -z "$TOKEN_FILE" ] || [ -n "$URL" ] || die "$UNUSABLE" '--token-file goes with --url.' 'Say which control plane the token is of: --url https://cp.example.com'
  [ -z "$PURGE$KEEP" ] || [ "$MODE" = uninstall ] || die "$UNUSABLE" '--purge and --keep-workloads go with --uninstall.' ''
}

value() {
  case $1 in
    --url) URL=$(origin "$2") && fits "$1" "$2" '^https?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?/?$' ;;
    --token-file) TOKEN_FILE=$2 ;;
    --offline) OFFLINE=$2 ;;
    --release-root) RELEASE_ROOT=$2 ;;
    --channel) CHANNEL=$2 && fits "$1" "$2" '^[a-z][a-z0-9-]{0,31}$' ;;
    --allocation-user) ALLOCATION_USER=$2 && fits "$1" "$2" '^[a-z_][a-z0-9_-]{0,31}$' ;;
    --registry) REGISTRIES="$REGISTRIES $2" && fits "$1" "$2" '^[a-z0-9][a-z0-9.-]*(:[0-9]{1,5})?(/[a-z0-9._/-]+)?$' ;;
    --registry-ca) REGISTRY_CAS="$REGISTRY_CAS $2" && fits "$1" "$2" '^[a-z0-9][a-z0-9.-]*(:[0-9]{1,5})?=/[A-Za-z0-9._/@+-]+$' ;;
    --network-pool) POOL=$2 && fits "$1" "$2" '^[0-9.]+/[0-9]+$' ;;
    --engine-package) ENGINE_PACKAGE=$2 && fits "$1" "$2" '^[a-z0-9][a-z0-9.+-]+$' ;;
    --nvidia-repository) NVIDIA_REPOSITORY=$2 && fits "$1" "$2" '^(https?|file)://[^ ]+$' ;;
    --nvidia-key) NVIDIA_KEY=$2 ;;
    --nvidia-fingerprint) NVIDIA_FINGERPRINT=$2 && fits "$1" "$2" '^[0-9A-F]{40}$' ;;
    --nvidia-floor) NVIDIA_FLOOR=$2 && fits "$1" "$2" '^[0-9][0-9.]*$' ;;
  esac
}

# As the host's record of its control plane spells it.
origin() { printf '%s' "${1%/}" | tr '[:upper:]' '[:lower:]' | sed 's#^\(https:.*\):443$#\1#; s#^\(http:.*\):80$#\1#'; }

fits() {
  printf '%s' "$2" | tr '\n' ' ' | grep -Eqx -- "$3" || die "$UNUSABLE" "$1 cannot be ${2:-empty}." "$PROGRAM --help has examples."
}

# id.secret.pin, into variables only: never an argument of a program, never in its environment, never in a file of ours.
read_token() {
  [ -n "$TOKEN_FILE" ] || return 0
  if [ "$TOKEN_FILE" = - ]; then
    TOKEN=$(head -c 4096)
  else
    # The command that made it a node, once more.
    [ -e "$TOKEN_FILE" ] || [ ! -e "$STATE/identity/node.json" ] || { TOKEN_FILE='' && return 0; }
    [ -f "$TOKEN_FILE" ] || die "$UNUSABLE" "There is no token file $TOKEN_FILE." 'It is removed once the host is a node; gpuaas nodes join-token ALLOCATION makes another.'
    case $(stat -c %a "$TOKEN_FILE") in
      *00) ;;
      *) die "$UNUSABLE" "Others on this host can read $TOKEN_FILE, and could have used it." "chmod 600 $TOKEN_FILE, if nobody did." ;;
    esac
    TOKEN=$(head -c 4096 "$TOKEN_FILE")
  fi
  TOKEN=$(printf '%s' "$TOKEN" | tr -d ' \t\r\n')
  printf '%s\n' "$TOKEN" | grep -Eqx '[a-z0-9]{16}\.[A-Za-z0-9_-]{43}\.[A-Za-z0-9_-]{43}' || die "$UNUSABLE" 'What was read is no join token.' 'Copy it whole, as id.secret.pin in one line. Where the script itself comes by standard input, the token cannot: give a file.'
  TOKEN_ID=${TOKEN%%.*} TOKEN_PIN=${TOKEN##*.}
  TOKEN_BEARER=${TOKEN%.*}
}

# ------------------------------------------------------------------------------------------------------- facts of a host
# Each sets FACT; PROBLEM where this host is refused, WARNING where it is not, and with either the way out, REMEDY.

fact_root() {
  FACT="user $(id -u)"
  [ "$(id -u)" -eq 0 ] || problem 'This has to run as root.' "sudo sh $PROGRAM …"
}

systemd_version() { systemctl --version 2>/dev/null | sed -n '1s/^systemd \([0-9]*\).*/\1/p'; }

fact_systemd() {
  version=$(systemd_version)
  FACT="systemd ${version:-none}"
  [ -d /run/systemd/system ] || problem 'systemd does not run this host.' 'Use a host that systemd has booted; in a container, give it one.'
  [ "${version:-0}" -ge 249 ] || problem "systemd is older than 249." 'Use a newer release of the distribution.'
}

fact_processor() {
  FACT=$(uname -m)
  case $FACT in
    x86_64) ARCH=x64 ;;
    aarch64 | arm64) ARCH=arm64 ;;
    *) problem "There is no agent for $FACT." 'Use an x86-64 or arm64 host.' ;;
  esac
}

fact_libc() {
  FACT=$(getconf GNU_LIBC_VERSION 2>/dev/null) || problem 'The C library is not that of GNU.' 'Use a distribution with glibc; Alpine has another one.'
}

fact_distribution() {
  # shellcheck disable=SC1091
  FACT=$(. /etc/os-release && printf '%s %s' "${ID:-unknown}" "${VERSION_ID:-}")
  case $FACT in
    'debian 12' | 'debian 13' | 'ubuntu 24.04') return 0 ;;
  esac
  way='bootstrap.sh --untested-distribution goes on; packages then come from apt-get, or have to be there already.'
  if [ -n "$UNTESTED" ]; then
    warning "This was not tested on $FACT." 'Try it on one host first; --dry-run shows what it does.'
  else
    problem "This was tested on Debian 12 and 13 and on Ubuntu 24.04, and not on $FACT." "$way"
  fi
}

fact_kernel() {
  FACT=$(uname -r)
  at_least "$FACT" 5.10 || problem 'The kernel is older than 5.10.' 'Boot a newer one.'
}

fact_cgroups() {
  have=$(cat "$SYS/fs/cgroup/cgroup.controllers" 2>/dev/null) || have=$(find "$SYS/fs/cgroup" -mindepth 1 -maxdepth 1 -printf '%f ' 2>/dev/null)
  FACT='memory, cpu and pids'
  for controller in memory cpu pids; do
    case " $have " in
      *" $controller "*) ;;
      *) problem "The control group $controller is not there: one workload could take the host from all others." "Boot with it (for memory: cgroup_enable=memory on the kernel's command line)." ;;
    esac
  done
}

fact_disk() {
  FACT='' least=600
  [ ! -x "$AGENT" ] || least=64
  for place in /opt /var/lib; do
    free=$(df -Pk "$place" | awk 'NR == 2 { print int($4 / 1024) }')
    FACT="$FACT${FACT:+, }$free MiB free at $place"
    [ "$free" -ge "$least" ] || problem "$place has $free MiB left, and $least are needed." "Free space on the file system of $place."
  done
}

fact_engine_version() {
  version=$(engine_version)
  FACT="engine ${version:-none}"
  ! podman_instead || problem 'podman is in the place of the engine, and no workload may run on it.' "Take podman-docker off this host (apt-get remove podman-docker; podman itself can stay), or what else leads from $ENGINE_SOCKET to podman."
  [ -z "$version" ] || at_least "$version" 20.10 || problem "The engine is $version, and limits need 20.10." 'Update it; this script never replaces an engine.'
}

# As the package podman-docker has it. docker.io conflicts with that: to install the one would take the other away without a question.
podman_instead() {
  case $(readlink "$ENGINE_SOCKET") in */podman/*) return 0 ;; esac
  # shellcheck disable=SC2016
  dpkg-query -W -f '${db:Status-Abbrev}' podman-docker 2>/dev/null | grep -q '^ii'
}

# The site prerequisites of hosts with Hopper cards.
fact_persistence() {
  has nvidia-smi || { FACT='no NVIDIA driver' && return 0; }
  FACT="persistence mode $(timeout 30 nvidia-smi --query-gpu=persistence_mode --format=csv,noheader 2>/dev/null </dev/null | sort -u | tr '\n' ' ')"
  case $FACT in
    *Disabled*) warning 'The driver unloads itself when nobody uses a card, and each first use takes seconds.' 'systemctl enable --now nvidia-persistenced' ;;
    *Enabled*) ;;
    *) warning 'nvidia-smi does not tell the persistence mode.' 'Look at the driver: nvidia-smi' ;;
  esac
}

fact_fabric() {
  switches=0
  for device in "$SYS"/bus/pci/devices/*; do
    # A bridge of NVIDIA that is no PCI bridge: an NVSwitch.
    case "$(cat "$device/vendor" 2>/dev/null) $(cat "$device/class" 2>/dev/null)" in
      '0x10de 0x0680'*) switches=$((switches + 1)) ;;
    esac
  done
  FACT="$switches NVSwitches"
  [ "$switches" -gt 0 ] || return 0
  FACT="$FACT, fabric manager $(systemctl is-active nvidia-fabricmanager 2>/dev/null || true)"
  driver=$(timeout 30 nvidia-smi --query-gpu=driver_version --format=csv,noheader 2>/dev/null </dev/null | head -n 1)
  case $FACT in
    *' active') ;;
    *) warning 'Without the fabric manager no program can use a card of this host (CUDA error 802).' "Install the one of the driver's version (${driver:-see nvidia-smi}): nvidia-fabricmanager-${driver%%.*}; systemctl enable --now nvidia-fabricmanager" ;;
  esac
}

problem() { PROBLEM="$1" && REMEDY="$2"; }
warning() { WARNING="$1" && REMEDY="$2"; }

preflight() {
  refused=''
  for fact in $FACTS; do
    FACT='' PROBLEM='' WARNING='' REMEDY=''
    "fact_$fact"
    state=ok
    [ -z "$WARNING" ] || state=warn
    [ -z "$PROBLEM" ] || { state=refused && refused=1; }
    row "$state" "$fact" "$FACT${PROBLEM:+: $PROBLEM}${WARNING:+: $WARNING}" ''
    [ -z "$REMEDY" ] || say "         what to do:     $REMEDY"
  done
  [ -z "$refused" ] || die "$REFUSED" 'This host cannot be a node as it is; nothing was changed.' 'Each line that says refused has its way out.'
}

# --------------------------------------------------------------------------------------------------------------- engine

engine_program() {
  for folder in /usr/bin /usr/sbin /usr/local/bin /usr/local/sbin /opt/bin /snap/bin; do
    [ -x "$folder/dockerd" ] && printf '%s\n' "$folder/dockerd" && return 0
  done
  command -v dockerd || true
}

engine_version() {
  program=$(engine_program)
  [ -z "$program" ] || "$program" --version 2>/dev/null | sed -n 's/.*version \([0-9][0-9.]*\).*/\1/p'
}

# How many containers run. One where the engine is at work and does not answer: then nobody knows, and none may be lost.
running() {
  if ask_engine containers/json; then
    grep -o '"Id":' "$WORK/own/answer" | wc -l
  else
    case $(property ActiveState docker.service) in
      '' | inactive | failed) echo 0 ;;
      *) echo 1 ;;
    esac
  fi
}

ask_engine() { curl -q -sf --max-time 20 --unix-socket "$ENGINE_SOCKET" -o "$WORK/own/answer" "http://engine/$1" 2>/dev/null; }

# A reload of systemd takes cards from containers that run: https://github.com/NVIDIA/nvidia-container-toolkit/issues/48
# So systemd is told to read units in one place only. Units are turned on and off by their links alone: where systemd does that itself it
# counts all of them as out of date from then on (257), or reads them anew for a unit that has a script of init as well.
turn() { run env SYSTEMD_OFFLINE=1 systemctl "$1" "$2"; }

cards_at_stake() { [ -z "$YES" ] && has nvidia-smi && [ "$(running)" -gt 0 ]; }

check_engine() {
  if [ "$ENGINE_PACKAGE" = none ]; then
    FACT='left to the operator'
    return 0
  fi
  program=$(engine_program)
  if [ -z "$program" ]; then
    others=''
    for name in podman nerdctl; do has "$name" && others="$others $name"; done
    FACT="not installed${others:+; there is$others, which no configuration approves}"
    WOULD="install $ENGINE_PACKAGE and start it"
  elif systemctl is-active --quiet docker.service; then
    FACT="$(engine_version), runs"
  else
    FACT="$(engine_version), does not run"
    WOULD='start it'
  fi
}

do_engine() {
  [ -n "$(engine_program)" ] || apt_install "$ENGINE_PACKAGE"
  turn enable docker.service
  run systemctl start docker.service
}

check_compose() {
  found=''
  for folder in /usr/local/lib /usr/local/libexec /usr/lib /usr/libexec; do
    plugin=$folder/docker/cli-plugins/docker-compose
    [ ! -x "$plugin" ] || [ -n "$found" ] || found=$plugin
  done
  version=''
  [ -z "$found" ] || version=$("$found" version --short 2>/dev/null </dev/null) || version=''
  case $version in
    [2-9]* | v[2-9]*) FACT="$version in $found" ;;
    *)
      FACT="none${found:+ that works: $found}"
      compose_source
      WOULD=${from:+install Compose v2 from $from}
      ;;
  esac
}

# From the distribution where it has version 2, else from the release; `from` is empty where neither has it.
compose_source() {
  from=''
  for name in docker-compose-v2 docker-compose; do
    case $(apt-cache policy "$name" 2>/dev/null | sed -n 's/^ *Candidate: //p') in
      [2-9]*) from=${from:-$name} ;;
    esac
  done
  if [ -z "$from" ] && artifact compose; then from='the release'; fi
  [ -n "$from" ] || FACT="$FACT; stacks cannot run, and neither apt nor the release has it"
}

do_compose() {
  compose_source
  case $from in
    'the release')
      obtain compose "$WORK/compose"
      put 755 "$WORK/compose" "$PLUGIN"
      ;;
    *) apt_install "$from" ;;
  esac
}

check_engine_config() {
  if [ "$ENGINE_PACKAGE" = none ]; then
    FACT='left to the operator'
    return 0
  fi
  if ! agent_program; then
    FACT="$([ -e "$DAEMON_JSON" ] && echo "$DAEMON_JSON" || echo 'none')"
    WOULD=$(engine_wishes)
    return 0
  fi
  merge_engine_config
  FACT="$DAEMON_JSON$(tr '\n' ' ' <"$WORK/otherwise" | sed 's/^\(.\)/; left as it is: \1/')"
  if ! cmp -s "$WORK/own/daemon.json" "$WORK/own/daemon.json.now"; then
    WOULD=$(engine_wishes)
  elif [ -e "$ENGINE_DUE" ]; then
    if [ "$(running)" -eq 0 ]; then
      WOULD='restart the engine, which nothing needs now'
    else
      FACT="$FACT; bounds of logs count from the next restart of the engine, which waits while containers run"
    fi
  fi
}

engine_wishes() {
  printf 'add what is missing: live restore, bounds of logs, runtimes'
  case $GVISOR_CARDS in
    on) printf ', --nvproxy of runsc' ;;
    off) printf '; take --nvproxy from runsc' ;;
  esac
}

merge_engine_config() {
  set --
  # An engine of a swarm refuses live restore.
  ! grep -qs '"LocalAddr":"[^"]' /var/lib/docker/swarm/docker-state.json || set -- "$@" --no-live-restore
  ! has nvidia-container-runtime || set -- "$@" --nvidia "$(command -v nvidia-container-runtime)"
  if [ -n "$GVISOR" ] && has runsc && ! grep -qs '"runsc"' "$DAEMON_JSON"; then
    try_gvisor
    set -- "$@" --gvisor "$(command -v runsc)"
  fi
  if has runsc && [ -n "$(gvisor_directfs runsc)" ]; then set -- "$@" --gvisor-directfs; fi
  case $GVISOR_CARDS in
    on) set -- "$@" --gvisor-cards ;;
    off) set -- "$@" --no-gvisor-cards ;;
  esac
  cat "$DAEMON_JSON" >"$WORK/own/daemon.json.now" 2>/dev/null || : >"$WORK/own/daemon.json.now"
  "$PROVEN" host engine-config "$WORK/own/daemon.json.now" "$@" >"$WORK/own/daemon.json" 2>"$WORK/otherwise" || die "$FAILED" "$(cat "$WORK/otherwise")" "Correct $DAEMON_JSON; nothing of it was changed."
}

do_engine_config() {
  if ! cmp -s "$WORK/own/daemon.json" "$WORK/own/daemon.json.now"; then
    program=$(engine_program)
    # Engines before 23 cannot try a configuration.
    if "$program" --help 2>/dev/null | grep -q -- --validate; then
      run "$program" --validate --config-file "$WORK/own/daemon.json"
    fi
    run touch "$ENGINE_DUE"
    [ ! -e "$DAEMON_JSON" ] || [ -e "$DAEMON_JSON.before-gpuaas" ] || run cp -p "$DAEMON_JSON" "$DAEMON_JSON.before-gpuaas"
    [ "$MODE" = dry-run ] || cp "$WORK/own/daemon.json.now" "$WORK/own/daemon.json.last"
    put "$(stat -L -c %a "$DAEMON_JSON" 2>/dev/null || echo 644)" "$WORK/own/daemon.json" "$DAEMON_JSON"
  fi
  if [ "$(running)" -gt 0 ]; then
    run systemctl reload docker.service
    say '         containers run: the engine took over what it can without a restart'
    return 0
  fi
  if [ "$MODE" = dry-run ]; then
    run systemctl restart docker.service
    return 0
  fi
  # Runs that were cut short have used up the starts that systemd allows in a minute.
  systemctl reset-failed docker.service docker.socket 2>/dev/null || true
  if systemctl restart docker.service >>"$LOG" 2>&1 9>&-; then
    rm -f "$ENGINE_DUE"
  else
    undo_engine_config
  fi
}

# The engine does not start with it (a flag of its unit may say the same): it gets back what it had.
undo_engine_config() {
  if [ -s "$WORK/own/daemon.json.last" ]; then
    cp "$WORK/own/daemon.json.last" "$DAEMON_JSON"
  else
    rm -f "$DAEMON_JSON"
  fi
  rm -f "$ENGINE_DUE"
  systemctl reset-failed docker.service docker.socket 2>/dev/null || true
  systemctl restart docker.service >>"$LOG" 2>&1 9>&- || true
  tail -n 15 "$LOG" >&2
  die "$FAILED" "The engine does not start with what was added to $DAEMON_JSON; that was taken back." 'journalctl -u docker says which key it refuses, often because a flag of its unit says the same.'
}

check_registries() {
  missing=''
  for pair in $REGISTRY_CAS; do
    cmp -s "${pair#*=}" "/etc/docker/certs.d/${pair%%=*}/ca.crt" || missing="$missing ${pair%%=*}"
  done
  FACT="$(find /etc/docker/certs.d -name ca.crt 2>/dev/null | wc -l) with a CA of their own"
  WOULD=${missing:+trust$missing}
}

do_registries() {
  for pair in $REGISTRY_CAS; do
    openssl x509 -noout -in "${pair#*=}" 2>/dev/null || die "$UNUSABLE" "${pair#*=} is no certificate in PEM." 'Give the certificate of the CA of the registry.'
    put 644 "${pair#*=}" "/etc/docker/certs.d/${pair%%=*}/ca.crt"
  done
}

# ------------------------------------------------------------------------------------------------------------- packages

apt_install() {
  has apt-get || die "$FAILED" "There is no apt-get here to install $*." 'Install it by the means of this distribution and run again.'
  await_apt
  # What a killed run left half done.
  [ "$MODE" = dry-run ] || [ -z "$(dpkg --audit 2>/dev/null)" ] || run dpkg --configure -a
  apt_update
  run env DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=l LC_ALL=C.UTF-8 apt-get install -y -q --no-install-recommends -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold -o DPkg::Lock::Timeout=300 "$@"
}

# Also apt waits for others, but not with its lists, and says so in a log that nobody reads.
await_apt() {
  seconds=0
  while [ "$MODE" = install ] && holder=$(apt_holder) && [ -n "$holder" ]; do
    [ "$seconds" -gt 0 ] || say "         waiting: $holder is at work with the packages of this host"
    [ "$seconds" -lt 600 ] || die "$FAILED" "$holder has been at work with the packages of this host for 10 minutes." 'Wait until it has ended, and run this again.'
    sleep 1
    seconds=$((seconds + 1))
  done
}

# Who has apt or dpkg locked: `unattended-upgr (process 123)`.
apt_holder() {
  for file in "$DPKG/lock-frontend" "$DPKG/lock" "$APT_LISTS/lock"; do
    inode=$(stat -c %i "$file" 2>/dev/null) || continue
    pid=$(awk -v inode=":$inode" 'index($6, inode) && substr($6, index($6, inode)) == inode { print $5 }' /proc/locks | head -n 1)
    [ -z "$pid" ] || { printf '%s (process %s)' "$(cat "/proc/$pid/comm" 2>/dev/null)" "$pid" && return 0; }
  done
}

apt_update() {
  [ -z "$APT_FRESH" ] || return 0
  run env LC_ALL=C.UTF-8 apt-get update -q -o DPkg::Lock::Timeout=300
  APT_FRESH=1
}

check_packages() {
  missing=''
  for pair in curl:curl openssl:openssl nft:nftables flock:util-linux gzip:gzip tar:tar useradd:passwd; do
    has "${pair%%:*}" || missing="$missing ${pair#*:}"
  done
  [ -e /etc/ssl/certs/ca-certificates.crt ] || missing="$missing ca-certificates"
  # Of Node, in which the agent is written.
  ldconfig -p 2>/dev/null | grep -q 'libatomic\.so\.1' || missing="$missing libatomic1"
  FACT="${missing:+missing:}$missing"
  FACT=${FACT:-all that is needed}
  WOULD=${missing:+install$missing}
}

do_packages() {
  # It comes with a unit, of which its installation tells systemd.
  case $missing in
    *nftables*) ! cards_at_stake || die "$FAILED" 'nftables has to be installed, and containers that run can lose their cards by that.' 'Run again when nothing runs, or with --yes.' ;;
  esac
  # shellcheck disable=SC2086
  apt_install $missing
}

check_nvidia() {
  if ! has nvidia-smi; then
    FACT='no nvidia-smi, so nothing of NVIDIA'
    return 0
  fi
  version=$(toolkit_version)
  FACT="toolkit ${version:-not installed}"
  if [ -z "$version" ] || ! at_least "$version" "$NVIDIA_FLOOR"; then
    WOULD="install nvidia-container-toolkit, $NVIDIA_FLOOR or later, from $NVIDIA_REPOSITORY"
  fi
}

toolkit_version() {
  dpkg-query -W -f '${db:Status-Abbrev}${Version}\n' nvidia-container-toolkit 2>/dev/null | sed -n 's/^ii *//; s/[-~+].*//p'
}

do_nvidia() {
  has gpg || apt_install gpg
  add_nvidia_repository
  apt_install nvidia-container-toolkit
  [ "$MODE" = dry-run ] || at_least "$(toolkit_version)" "$NVIDIA_FLOOR" || die "$FAILED" "The repository has the toolkit $(toolkit_version) only, and before $NVIDIA_FLOOR a container could become root of the host (CVE-2025-23266)." 'Give a repository that has a newer one: --nvidia-repository.'
}

# The key is the pinned one and no other; and the repository may give its own packages and nothing else, as far as apt can tell.
add_nvidia_repository() {
  list=$APT/sources.list.d/nvidia-container-toolkit.list
  keyring=/usr/share/keyrings/nvidia-container-toolkit-keyring.gpg
  if grep -rqsF "$NVIDIA_REPOSITORY" "$APT/sources.list" "$APT/sources.list.d" --exclude=nvidia-container-toolkit.list; then
    return 0
  fi
  if [ "$MODE" = dry-run ]; then
    say "  would add: $NVIDIA_REPOSITORY, signed by $NVIDIA_FINGERPRINT"
    return 0
  fi
  mkdir "$WORK/gnupg"
  chmod 700 "$WORK/gnupg"
  case $NVIDIA_KEY in
    http://* | https://*) (trap '' XFSZ && ulimit -f 2048 && exec curl -q -fsSL --max-time 60 -o "$WORK/nvidia.key" -- "$NVIDIA_KEY") || die "$FAILED" "The key at $NVIDIA_KEY cannot be had." 'Look at the network of this host, or give a file: --nvidia-key.' ;;
    *) cp "$NVIDIA_KEY" "$WORK/nvidia.key" ;;
  esac
  keys=$(gpg --batch --homedir "$WORK/gnupg" --show-keys --with-colons "$WORK/nvidia.key" 2>/dev/null | awk -F: '$1 == "pub" { next_is = 1 } $1 == "fpr" && next_is { print $10; next_is = 0 }')
  [ "$keys" = "$NVIDIA_FINGERPRINT" ] || die "$FAILED" "The key at $NVIDIA_KEY is not the one that is pinned ($NVIDIA_FINGERPRINT), but: ${keys:-none}" 'Somebody may be in between. If NVIDIA has a new key, compare it and give --nvidia-fingerprint.'
  gpg --batch --homedir "$WORK/gnupg" --dearmor <"$WORK/nvidia.key" >"$WORK/nvidia.gpg" 2>/dev/null || cp "$WORK/nvidia.key" "$WORK/nvidia.gpg"
  put 644 "$WORK/nvidia.gpg" "$keyring"
  architecture=$(dpkg --print-architecture)
  printf 'deb [arch=%s signed-by=%s] %s/%s /\n' "$architecture" "$keyring" "$NVIDIA_REPOSITORY" "$architecture" >"$WORK/nvidia.list"
  pin_nvidia
  put 644 "$WORK/nvidia.list" "$list"
  APT_FRESH=''
}

# apt tells repositories apart by their host alone: whoever has others there as well would lose them.
pin_nvidia() {
  host=$(printf '%s\n' "$NVIDIA_REPOSITORY" | hosts_of)
  if [ -z "$host" ] || other_sources | hosts_of | grep -Fqix -- "$host"; then
    warn "Packages of other names could come from $NVIDIA_REPOSITORY as well: apt tells it apart from no other source at ${host:-this host}."
    rm -f "$APT/preferences.d/nvidia-container-toolkit"
    return 0
  fi
  {
    printf 'Package: *\nPin: origin "%s"\nPin-Priority: -1\n\n' "$host"
    printf 'Package: nvidia-container-toolkit* libnvidia-container*\nPin: origin "%s"\nPin-Priority: 500\n' "$host"
  } >"$WORK/nvidia.pref"
  put 644 "$WORK/nvidia.pref" "$APT/preferences.d/nvidia-container-toolkit"
}

other_sources() { grep -rhsv '^ *#' "$APT/sources.list" "$APT/sources.list.d" --exclude=nvidia-container-toolkit.list; }

# Hosts of the addresses in what is read.
hosts_of() { tr -s ' \t' '\n' | sed -n 's#^[a-z+]*://\([^/@]*@\)\{0,1\}\([^/:]*\).*#\2#p'; }

check_gvisor() { check_asked "$GVISOR" runsc runsc; }
do_gvisor() { apt_install runsc; }

# With the network that the engine is told to give it. Some are too old for the kernel.
try_gvisor() {
  [ -z "$GVISOR_STARTS" ] && [ "$MODE" = install ] || return 0
  gvisor_starts runsc || die "$FAILED" "What is installed as $(command -v runsc) starts no sandbox on this host." "Install a newer one and run again, or leave --gvisor out; $LOG has what it said."
  GVISOR_STARTS=yes
}

# Where the driver does not answer it starts nothing so, also no container without a card.
try_gvisor_cards() {
  [ -z "$CARDS_START" ] && [ "$MODE" = install ] || return 0
  gvisor_starts "$1" --nvproxy || die "$FAILED" "$1 starts no sandbox with --nvproxy on this host." "Is the driver loaded? nvidia-smi. Correct that and run again, or leave --gvisor-cards out; $LOG has what it said."
  CARDS_START=yes
}

# gvisor_directfs RUNSC: the flag by which it leaves the files of the host to a process of its own; nothing for one that always does.
gvisor_directfs() {
  if "$1" flags 2>&1 | grep -q -e '-directfs'; then echo --directfs=false; fi
}

# gvisor_starts RUNSC [FLAG]: tried with a program of the host, on which the sandbox looks read-only.
gvisor_starts() {
  runsc=$1
  shift
  directfs=$(gvisor_directfs "$runsc")
  rm -rf "$WORK/own/gvisor"
  mkdir "$WORK/own/gvisor"
  (cd "$WORK/own/gvisor" && "$runsc" spec -cwd / -- /bin/true && sed -i 's#"path": "rootfs"#"path": "/"#' config.json && timeout 30 "$runsc" --root "$PWD/state" --network=host ${directfs:+"$directfs"} "$@" --ignore-cgroups run gpuaas-try) >>"$LOG" 2>&1 </dev/null 9>&-
}

# Both the engine and host policy have to give them. Whether the engine can is asked before either is told.
check_gvisor_cards() {
  FACT=$(grep -qs '"gvisor_cards": *true' "$CONFIG" && echo 'workloads may have them' || echo 'workloads have none')
  if [ -z "$GVISOR_CARDS" ] || ! agent_program; then return 0; fi
  if [ "$GVISOR_CARDS" = on ] && [ "$ENGINE_PACKAGE" != none ] && has runsc; then
    merge_engine_config
    runsc=$("$PROVEN" host check-gvisor-cards "$WORK/own/daemon.json" 2>"$WORK/config.err" </dev/null) || die "$FAILED" "gVisor would give no cards on this host: $(cat "$WORK/config.err")" 'It gives whole cards of NVIDIA, of a driver that runsc nvproxy list-supported-drivers lists: install such a driver, or a runsc that lists this one, and run again; or leave --gvisor-cards out.'
    cmp -s "$WORK/own/daemon.json" "$WORK/own/daemon.json.now" || try_gvisor_cards "$runsc"
  fi
  # That of a new host is written with it.
  [ -e "$CONFIG" ] || return 0
  set -- "$CONFIG"
  [ "$GVISOR_CARDS" = on ] || set -- "$@" --off
  "$PROVEN" host gvisor-cards "$@" >"$WORK/own/agent.json" 2>"$WORK/config.err" </dev/null || die "$FAILED" "$(cat "$WORK/config.err")" "Correct $CONFIG, or leave --gvisor-cards out; nothing of it was changed."
  cmp -s "$WORK/own/agent.json" "$CONFIG" || WOULD="$([ "$GVISOR_CARDS" = on ] && echo 'allow' || echo 'forbid') them in $CONFIG"
}

# Whoever owns it and may read it stays, and so does a link to it.
do_gvisor_cards() {
  place=$(readlink -f "$CONFIG")
  run cp -p "$place" "$place.gpuaas-new"
  run cp "$WORK/own/agent.json" "$place.gpuaas-new"
  run mv -f "$place.gpuaas-new" "$place"
}

check_squashfs() { check_asked "$SQUASHFS" sqfs2tar squashfs-tools-ng; }
do_squashfs() { apt_install squashfs-tools-ng; }

# check_asked ASKED PROGRAM PACKAGE
check_asked() {
  if has "$2"; then
    FACT='installed'
  else
    FACT="not installed${1:+, and asked for}"
    WOULD=${1:+install $3}
  fi
}

# ---------------------------------------------------------------------------------------------------------------- trust

# get ADDRESS FILE MOST-BYTES [more lines for curl]: by its standard input, so that no secret is an argument. The kernel keeps the bound: older
# curl has none for an answer that does not say how long it is. A line that breaks in the middle is tried anew here, since curl itself
# does so only where the server said that it cannot now.
get() {
  for attempt in 1 2 3; do
    status=0
    {
      printf 'url = "%s"\noutput = "%s"\n' "$1" "$2"
      printf 'globoff\nsilent\nshow-error\nfail\nmax-redirs = 0\nproto = "=http,https"\ntlsv1.2\n'
      printf 'connect-timeout = 15\nspeed-limit = 1000\nspeed-time = 60\nretry = 3\n'
      printf '%s' "${4:-}"
    } | (trap '' XFSZ && ulimit -f $(($3 / 512 + 1)) && exec curl -q -K -) 2>"$WORK/curl.err" || status=$?
    # 18: less than was announced. 52, 55, 56: no answer, or the connection was lost.
    case $status in
      18 | 52 | 55 | 56) [ "$attempt" = 3 ] || sleep "$attempt" ;;
      *) return "$status" ;;
    esac
  done
  return "$status"
}

# A control plane with a CA of its own is believed by that CA alone.
with_ca() { [ -z "$CA" ] || printf 'cacert = "%s"\ncapath = "%s"\n' "$CA" "$WORK/none"; }
with_token() { with_ca && printf 'header = "authorization: Bearer %s"\n' "$TOKEN_BEARER"; }

unreachable() {
  die "$FAILED" "The control plane at $URL cannot be used: $(tail -n 1 "$WORK/curl.err")" "${1:-Look at the address and at the network of this host: curl -v $URL/healthz}"
}

# The answer is believed because the token has its hash, whoever gave it: so the certificate is not looked at, once.
learn_trust() {
  printf '%s\n' "$URL" | grep -Eqx 'https://.*|http://(127(\.[0-9]{1,3}){3}|localhost|\[::1\])(:[0-9]+)?' || die "$UNUSABLE" "$URL is not https." 'Plain http is for the loopback address only.'
  mkdir -p "$WORK/none"
  get "$URL/agent/v1/trust?token_id=$TOKEN_ID" "$WORK/trust" 1048576 "$(printf 'insecure\ndump-header = "%s"\n' "$WORK/headers")" || unreachable ''
  pin=$(openssl dgst -sha256 -binary "$WORK/trust" | openssl base64 -A | tr '+/' '-_' | tr -d '=')
  [ "$pin" = "$TOKEN_PIN" ] || die "$FAILED" "$URL is not the control plane that the join token was made for." 'Compare the address. If it is right, somebody is in between, or its keys were replaced: ask for a new token.'
  [ "$(sed -n 1p "$WORK/trust")" = gpuaas-join-pin-v1 ] || die "$FAILED" 'This control plane speaks another language of trust.' 'Take the bootstrap.sh that it serves.'
  root=$(sed -n 3p "$WORK/trust")
  printf '%s\n' "$root" | grep -Eqx '[A-Za-z0-9_-]{43}' || die "$FAILED" 'The release root of this control plane is no key.' ''
  root_pem "$root" >"$WORK/root.pem"
  sed -n '4,$p' "$WORK/trust" >"$WORK/ca.pem"
  if grep -q BEGIN "$WORK/ca.pem"; then CA=$WORK/ca.pem; fi
  check_clock
  get "$URL/agent/v1/invitation" "$WORK/invitation" 65536 "$(with_token)" || case $(cat "$WORK/curl.err") in
    *' 403'*)
      # A node needs no token: it goes on with the release that it has.
      [ ! -e "$STATE/identity/node.json" ] || return 0
      die "$FAILED" 'The join token is unknown, or no longer valid.' 'Each is good for an hour: gpuaas nodes join-token ALLOCATION makes another.'
      ;;
    *) unreachable 'Its certificate must be of the CA that the control plane was started with (--ca).' ;;
  esac
  INVITED=1
}

check_clock() {
  # Nobody has proven yet who says it, and it is shown: nothing but a time.
  DATE=$(tr -d '\r' <"$WORK/headers" | sed -n 's/^[Dd]ate: \([A-Z][a-z][a-z], [0-9][0-9] [A-Z][a-z][a-z] [0-9]\{4\} [0-9:]\{8\} GMT\)$/\1/p' | tail -n 1)
  { [ -n "$DATE" ] && there=$(date -u -d "$DATE" +%s 2>/dev/null); } || die "$FAILED" "$URL does not tell the time." ''
  off=$(($(date -u +%s) - there))
  [ "${off#-}" -le 300 ] || die "$REFUSED" "The clock of this host is $off seconds off." "Turn time synchronisation on: timedatectl set-ntp true. Or set it once: date -u -s '$DATE'"
}

# An Ed25519 key as PEM, of its base64url: the 12 bytes in front of the raw key are the same for all.
root_pem() {
  printf -- '-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA%s=\n-----END PUBLIC KEY-----\n' "$(printf '%s' "$1" | tr '_-' '/+')"
}

# signed KEY DOMAIN FILE: whether FILE.sig is of this key, over the domain and the bytes.
signed() {
  { printf '%s\n' "$2" && cat "$3"; } >"$WORK/signed"
  [ "$(wc -c <"$3.sig")" -eq 64 ] && openssl pkeyutl -verify -rawin -pubin -inkey "$1" -in "$WORK/signed" -sigfile "$3.sig" >/dev/null 2>&1
}

# Where the release comes from, and whom it must be signed by; then its papers are looked at.
find_release() {
  if [ -n "$OFFLINE" ]; then
    [ -r "$OFFLINE/release.json" ] || die "$UNUSABLE" "$OFFLINE is no folder of a release." 'It holds release.json, its signature, the release keys and the files: npm run release makes one.'
    SOURCE=$OFFLINE
  elif [ -n "$INVITED" ]; then
    SOURCE=$URL/agent/v1/bootstrap/$CHANNEL
  elif [ -r "$OPT/release/release.json" ]; then
    SOURCE=$OPT/release
  else
    return 1
  fi
  REL=$WORK/release
  mkdir -p "$REL"
  for paper in release-keys.pem release-keys.pem.sig release.json release.json.sig; do fetch "$paper" "$REL/$paper" 65536; done
  if [ -n "$RELEASE_ROOT" ]; then
    if [ -e "$WORK/root.pem" ] && ! cmp -s "$RELEASE_ROOT" "$WORK/root.pem"; then die "$FAILED" "$RELEASE_ROOT is not the release root that the join token names." 'Give the right one, or leave the option out.'; fi
    cp "$RELEASE_ROOT" "$WORK/root.pem"
  fi
  if [ -e "$ETC/release-root.pem" ]; then
    if [ -e "$WORK/root.pem" ] && ! cmp -s "$ETC/release-root.pem" "$WORK/root.pem"; then die "$FAILED" 'The release root is another one than this host was set up with.' "If that is meant, remove $ETC/release-root.pem first."; fi
    cp "$ETC/release-root.pem" "$WORK/root.pem"
  fi
  [ -e "$WORK/root.pem" ] || die "$UNUSABLE" 'Nothing says whom the release must be signed by.' 'Give a join token, or --release-root FILE.'
  verify_release
}

# fetch NAME FILE MOST-BYTES
fetch() {
  case $SOURCE in
    http*) get "$SOURCE/$1" "$2" "$3" "$(with_token)" || die "$FAILED" "$1 of channel $CHANNEL cannot be had from $URL: $(tail -n 1 "$WORK/curl.err")" 'A release must be published for this channel: gpuaas releases publish DIR. Or give one: --offline DIR.' ;;
    *) cp "$SOURCE/$1" "$2" 2>/dev/null || die "$FAILED" "$1 is missing in $SOURCE." 'The folder of a release is used whole, as npm run release made it.' ;;
  esac
}

verify_release() {
  signed "$WORK/root.pem" gpuaas-release-keys-v1 "$REL/release-keys.pem" || die "$FAILED" 'The release root has not signed the release keys.' 'Do not use this release; ask whoever gave it.'
  awk -v folder="$WORK" '/^-----BEGIN PUBLIC KEY-----$/ { n += 1; inside = 1 } inside { print > (folder "/key." n) } /^-----END PUBLIC KEY-----$/ { inside = 0 }' "$REL/release-keys.pem"
  good=''
  for key in "$WORK"/key.*; do
    if signed "$key" gpuaas-release-v1 "$REL/release.json"; then good=1; fi
  done
  [ -n "$good" ] || die "$FAILED" 'None of the release keys has signed release.json as it is.' 'Do not use this release; ask whoever gave it.'
  VERSION=$(of_release version) SEQ=$(of_release seq) FLOOR=$(of_release floor) EXPIRES=$(of_release expires)
  KEYS_SEQ=$(sed -n '1s/^# gpuaas-release-keys\.v1 seq=\([0-9]*\)$/\1/p' "$REL/release-keys.pem")
  printf '%s\n' "$VERSION" | grep -Eqx '[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]{1,32})?' || die "$FAILED" 'release.json names no version.' ''
  printf '%s\n' "$SEQ.$FLOOR.${KEYS_SEQ:-x}" | grep -Eqx '[0-9]{1,9}\.[0-9]{1,9}\.[0-9]{1,9}' || die "$FAILED" 'release.json has no number.' ''
  # A release of this host's own that has expired since is no reason to leave the host as it is.
  [ "$SOURCE" = "$OPT/release" ] && return 0
  now=$(date -u ${DATE:+-d "$DATE"} +%Y%m%d%H%M%S)
  [ "$now" -lt "$(printf '%s' "$EXPIRES" | tr -cd 0-9)" ] || die "$FAILED" "Release $VERSION has expired on $EXPIRES." 'Take a newer one.'
  for pair in "keys_seq=$KEYS_SEQ" "seq=$SEQ"; do
    seen=$(sed -n "s/^${pair%%=*}=\([0-9]\{1,9\}\)$/\1/p" "$UPDATE/memory" 2>/dev/null)
    [ "${pair#*=}" -ge "${seen:-0}" ] || die "$FAILED" "Release $VERSION is older than what this host has had (${pair%%=*} $seen)." 'Take a newer one.'
  done
}

of_release() { sed -n "1,/\"artifacts\":/s/^\"$1\":\"\{0,1\}\([^\",]*\)\"\{0,1\},\$/\1/p" "$REL/release.json" | head -n 1; }

# artifact KIND: sets NAME, SIZE, SHA and what is in it; false where the release has none for this processor.
artifact() {
  [ -n "$REL" ] || return 1
  line=$(grep -F "\"kind\":\"$1\"" "$REL/release.json" | grep -E "\"arch\":\"($ARCH|any)\"" | head -n 1)
  NAME=$(in_line name) SIZE=$(in_line size) SHA=$(in_line sha256) UNPACKED_SHA=$(in_line unpacked_sha256)
  printf '%s %s\n' "$NAME" "$SIZE" | grep -Eqx '[A-Za-z0-9][A-Za-z0-9._-]{0,127} [0-9]{1,10}'
}

in_line() { printf '%s\n' "$line" | sed -n "s/.*\"$1\":\"\{0,1\}\([^\",}]*\).*/\1/p"; }

no_artifact() { die "$FAILED" "Release $VERSION has no $1 for $ARCH." 'Take a release that was made for this processor.'; }

# obtain KIND FILE: the file of the release, looked at before it is used.
obtain() {
  artifact "$1" || no_artifact "$1"
  fetch "$NAME" "$2" "$SIZE"
  [ "$(wc -c <"$2") $(sha256 "$2")" = "$SIZE $SHA" ] || die "$FAILED" "$NAME is not what release.json names." 'It was damaged on its way, or changed: get it again, or ask whoever gave it.'
}

sha256() { sha256sum "$1" | cut -c 1-64; }

check_release() {
  if find_release; then
    # All that is small is looked at before anything is installed.
    unpack_host_files
    FACT="$VERSION (seq $SEQ) of $SOURCE, verified"
  else
    FACT='none: no token, no --offline, and none was kept here'
    [ "$MODE$TOKEN" = check ] || die "$UNUSABLE" 'There is nothing to install from.' 'Give --url and --token-file, or --offline DIR.'
    WOULD='be looked at with --url and --token-file'
  fi
}

# ------------------------------------------------------------------------------------------------- users, folders, files

# User that workloads run as: what was asked for, else what the configuration says; empty where that spells him out.
tenant() {
  if [ -n "$ALLOCATION_USER" ]; then
    printf '%s' "$ALLOCATION_USER"
  elif [ -e "$CONFIG" ]; then
    sed -n 's/^ *"user": "\([^"]*\)".*/\1/p' "$CONFIG" | head -n 1
  else
    printf tenant
  fi
}

check_users() {
  if getent passwd "$AGENT_USER" >/dev/null; then
    FACT=$AGENT_USER
    for group in $(id -nG "$AGENT_USER"); do
      case $group in
        "$AGENT_USER" | video | render) ;;
        *) die "$REFUSED" "$AGENT_USER is in the group $group, which may lend it more of this host than it should have." "The agent has no power of its own: gpasswd -d $AGENT_USER $group" ;;
      esac
    done
  else
    WOULD="make $AGENT_USER"
  fi
  if [ -z "$(tenant)" ]; then
    FACT="$FACT; $CONFIG spells that of the allocation out"
  elif entry=$(getent passwd "$(tenant)"); then
    FACT="$FACT $(tenant)"
    case $entry in
      *:*:0:*) die "$REFUSED" "$(tenant) is root, or in its group." 'Workloads never run as root: --allocation-user NAME' ;;
    esac
  else
    WOULD="$WOULD${WOULD:+, }make $(tenant)"
  fi
}

do_users() {
  getent passwd "$AGENT_USER" >/dev/null || run systemd-sysusers "$WORK/host/sysusers.d/gpuaas-node-agent.conf"
  [ -z "$(tenant)" ] || getent passwd "$(tenant)" >/dev/null || run useradd --create-home --user-group --shell /bin/bash "$(tenant)"
}

folders() {
  cat <<FOLDERS
755 root:root $OPT
755 root:root $OPT/versions
755 root:root $OPT/release
755 root:root $ETC
700 $AGENT_USER:$AGENT_USER $STATE
755 root:root $UPDATE
FOLDERS
}

check_folders() {
  wrong=$(folders | while read -r mode owner folder; do
    [ "$(stat -c '%a %U:%G %F' "$folder" 2>/dev/null)" = "$mode $owner directory" ] || printf ' %s' "$folder"
  done)
  FACT=${wrong:+not as they should be}
  FACT=${FACT:-as they should be}
  WOULD=${wrong:+make or correct$wrong}
}

do_folders() {
  folders | while read -r mode owner folder; do
    [ ! -L "$folder" ] || die "$FAILED" "$folder is a link." 'It must be a folder of its own.'
    run install -d -m "$mode" -o "${owner%:*}" -g "${owner#*:}" "$folder"
  done
}

# The program to ask: what runs here, or what was just verified (with --dry-run); false where there is none yet.
agent_program() {
  [ ! -x "$PROVEN" ] || return 0
  PROVEN=''
  for program in "$AGENT" "$WORK/node-agent"; do
    if [ -z "$PROVEN" ] && [ -x "$program" ] && "$program" version >/dev/null 2>&1 </dev/null; then PROVEN=$program; fi
  done
  [ -n "$PROVEN" ]
}

# Which version runs is the agent's business once it is there: it updates itself.
check_binary() {
  installed=$(basename "$(readlink "$OPT/current" 2>/dev/null || echo none)")
  FACT=$installed
  if [ "$installed" = none ] || [ ! -x "$AGENT" ]; then
    WOULD="install ${VERSION:-the version of the release}"
  elif [ "$installed" = "${VERSION:-}" ] && artifact agent; then
    if [ "$(sha256 "$AGENT")" != "$UNPACKED_SHA" ]; then
      FACT="$installed, but not the file that the release names"
      WOULD="install $VERSION anew"
    elif [ "$(cat "$OPT/versions/$VERSION/seq" 2>/dev/null)" != "$SEQ" ]; then
      FACT="$installed, without its place among the releases"
      WOULD="write down that it is number $SEQ"
    fi
  elif [ -n "${VERSION:-}" ] && [ "$installed" != "$VERSION" ]; then
    FACT="$installed, which keeps itself up to date ($VERSION is in the release)"
  fi
}

do_binary() {
  artifact agent || no_artifact agent
  # What is there is brought once more only where it is another file.
  [ "$(sha256 "$OPT/versions/$VERSION/node-agent" 2>/dev/null)" = "$UNPACKED_SHA" ] || bring_binary
  keep_release
  printf '%s\n' "$SEQ" >"$WORK/seq"
  put 644 "$WORK/seq" "$OPT/versions/$VERSION/seq"
  run sync "$OPT/versions/$VERSION/seq" "$OPT/versions/$VERSION/node-agent"
  run ln -sfn "versions/$VERSION" "$OPT/current.new"
  run mv -fT "$OPT/current.new" "$OPT/current"
}

# Under its name only once it was looked at, and has run.
bring_binary() {
  obtain agent "$WORK/node-agent.gz"
  gzip -dc "$WORK/node-agent.gz" >"$WORK/node-agent" || die "$FAILED" "$NAME cannot be unpacked." 'Is the disk full? df -h /var/lib'
  [ "$(sha256 "$WORK/node-agent")" = "$UNPACKED_SHA" ] || die "$FAILED" "What is in $NAME is not what release.json names." 'Ask whoever gave the release.'
  chmod 755 "$WORK/node-agent"
  [ "$MODE" = dry-run ] || "$WORK/node-agent" self-test >/dev/null 2>"$WORK/version.err" </dev/null || die "$FAILED" "The agent does not run on this host: $(head -n 1 "$WORK/version.err")" 'Compare the processor and the libraries: ldd.'
  run install -d -m 755 -o root -g root "$OPT/versions/$VERSION"
  run mv -f "$WORK/node-agent" "$OPT/versions/$VERSION/node-agent.gpuaas-new"
  run mv -f "$OPT/versions/$VERSION/node-agent.gpuaas-new" "$OPT/versions/$VERSION/node-agent"
}

# What the next run needs without a token, and what no update may fall behind.
keep_release() {
  put 644 "$WORK/root.pem" "$ETC/release-root.pem"
  printf 'seq=%s\nfloor=%s\nkeys_seq=%s\n' "$SEQ" "$FLOOR" "$KEYS_SEQ" >"$WORK/memory"
  [ -e "$UPDATE/memory" ] || put 644 "$WORK/memory" "$UPDATE/memory"
}

# The files of the release that lie on a host, and where: RIGHTS PLACE. Nothing for what this host does not need.
place_of() {
  case $1 in
    older/*) [ "$(systemd_version)" -ge 253 ] || printf '644 %s/%s\n' "$UNITS" "${1#older/}" ;;
    sysusers.d/* | tmpfiles.d/*) printf '644 /etc/%s\n' "$1" ;;
    *.service | *.path | *.timer | *.service.d/*.conf) printf '644 %s/%s\n' "$UNITS" "$1" ;;
    guard) printf '755 %s/guard\n' "$OPT" ;;
  esac
}

check_units() {
  FACT='' changed=''
  if [ -z "$REL" ] || ! artifact host; then
    FACT='not looked at: there is no release to compare with'
    return 0
  fi
  for file in $(host_files); do
    place=$(place_of "$file")
    [ -n "$place" ] || continue
    [ "$(stat -c %a "${place#* }" 2>/dev/null)" = "${place%% *}" ] && cmp -s "$WORK/host/$file" "${place#* }" || changed="$changed $file"
  done
  # shellcheck disable=SC2046
  stale=$(property NeedDaemonReload $(host_files | grep '^[^/]*\.\(service\|path\|timer\)$') | grep -x yes | head -n 1)
  FACT="$(host_files | wc -l) files of the release"
  obsolete=$(obsolete_drop_ins)
  WOULD="${changed:+write$changed}"
  WOULD="$WOULD${obsolete:+${WOULD:+, }remove$obsolete}"
  [ -z "$stale$changed$obsolete" ] || WOULD="${WOULD:+$WOULD, and }have systemd read them again"
}

# Drop-ins of ours that this host needs no more: systemd became newer, or the home of the allocation's user is another.
obsolete_drop_ins() {
  places=" $(for file in $(host_files); do place_of "$file"; done | tr '\n' ' ')"
  for file in "$UNITS"/gpuaas-node-agent*.d/older-systemd.conf ${home:+"$UNITS"/gpuaas-node-agent*.d/gpuaas-home.conf}; do
    case $places in *" $file "*) continue ;; esac
    [ ! -e "$file" ] || printf ' %s' "$file"
  done
}

unpack_host_files() {
  [ ! -d "$WORK/host" ] || return 0
  obtain host "$WORK/host.tar.gz"
  mkdir -p "$WORK/host.part"
  tar -xzf "$WORK/host.tar.gz" -C "$WORK/host.part" --strip-components=1 --no-same-owner
  home_drop_in
  unheard_kernel
  mv "$WORK/host.part" "$WORK/host"
}

# A home that the gate's unit does not know of. `home` is empty as long as nobody knows it.
home_drop_in() {
  home=$(getent passwd "$(tenant)" | cut -d: -f6 | head -n 1)
  [ -n "$home" ] || return 0
  if is_of_the_system "${home%/}" || ! printf '%s\n' "$home" | grep -Eqx '/[A-Za-z0-9._/@+-]+'; then
    die "$REFUSED" "The home of $(tenant) is $home, which is no place for what workloads write." 'Give a user whose home is in /home: --allocation-user NAME'
  fi
  case $home in /home/*) return 0 ;; esac
  mkdir -p "$WORK/host.part/gpuaas-node-agent-gate.service.d"
  printf '# The home of %s.\n[Service]\nReadWritePaths=-%s\n' "$(tenant)" "$home" >"$WORK/host.part/gpuaas-node-agent-gate.service.d/gpuaas-home.conf"
}

# What root cannot read either systemd cannot open: with that line the agent of an older systemd would not start.
unheard_kernel() {
  (exec <"$KERNEL_LOG") 2>/dev/null || sed -i '/kmsg/d' "$WORK"/host.part/older/*/*.conf
}

# A folder of the system itself, or one in which all kinds of things lie.
is_of_the_system() {
  case $1/ in
    / | /home/ | /srv/ | /opt/ | /mnt/ | /media/ | /var/ | /var/lib/ | */../*) return 0 ;;
    /bin/* | /boot/* | /dev/* | /etc/* | /lib/* | /lib32/* | /lib64/* | /libx32/* | /nonexistent/* | /proc/* | /root/* | /run/* | /sbin/* | /sys/* | /tmp/* | /usr/*) return 0 ;;
    /opt/gpuaas-node-agent/* | /var/lib/gpuaas-* | /var/lib/docker/* | /var/lib/containerd/*) return 0 ;;
    /var/backups/* | /var/cache/* | /var/lock/* | /var/log/* | /var/mail/* | /var/run/* | /var/spool/* | /var/tmp/*) return 0 ;;
  esac
  return 1
}

host_files() { (cd "$WORK/host" && find . -type f | sed 's#^\./##' | grep -E '^[A-Za-z0-9@._/-]+$' | sort); }

do_units() {
  if cards_at_stake; then
    die "$FAILED" 'systemd would have to read new units, and containers that run can lose their cards by that.' 'Run again when nothing runs, or with --yes.'
  fi
  for file in $(host_files); do
    place=$(place_of "$file")
    [ -n "$place" ] || continue
    put "${place%% *}" "$WORK/host/$file" "${place#* }"
  done
  # The folder stays, and with it the time at which it changed: the service is restarted by that.
  for file in $obsolete; do run rm -f "$file"; done
  for paper in release-keys.pem release-keys.pem.sig release.json release.json.sig; do put 644 "$REL/$paper" "$OPT/release/$paper"; done
  artifact host
  put 644 "$WORK/host.tar.gz" "$OPT/release/$NAME"
  run find "$OPT/release" -name 'host-*.tar.gz' ! -name "$NAME" -delete
  [ ! -e /etc/tmpfiles.d/gpuaas-node-agent.conf ] || run systemd-tmpfiles --create /etc/tmpfiles.d/gpuaas-node-agent.conf
  run systemctl daemon-reload
}

# -------------------------------------------------------------------------------------------- configuration and firewall

check_config() {
  if [ -z "$INVITED" ] || ! agent_program; then
    [ -e "$CONFIG" ] && FACT="$CONFIG, left as it is" && return 0
    FACT='none'
    [ -z "$URL" ] && [ "$MODE" = install ] && FACT='none, and none can be made without --url and --token-file' && return 0
    WOULD="write $CONFIG"
    return 0
  fi
  first_config
  if [ ! -e "$CONFIG" ]; then
    FACT='none'
    WOULD="write $CONFIG"
  elif ! grep -qF "\"$(sed -n 's/.*"allocation_id":"\([^"]*\)".*/\1/p' "$WORK/invitation")\"" "$CONFIG"; then
    die "$FAILED" "$CONFIG is for another allocation than the join token." "Move it away, or correct it: the token is for $(sed -n 's/.*"allocation_id":"\([^"]*\)".*/\1/p' "$WORK/invitation")."
  elif cmp -s "$WORK/agent.json" "$CONFIG"; then
    FACT="$CONFIG"
  else
    FACT="$CONFIG, left as the operator has it"
    say '         it would be written otherwise today:'
    [ -n "$JSON" ] || diff -u "$CONFIG" "$WORK/agent.json" | sed -n '3,$s/^/           /p' || true
  fi
}

first_config() {
  # shellcheck disable=SC2086
  set -- $REGISTRIES
  for registry in "$@"; do
    set -- "$@" --registry "$registry"
    shift
  done
  [ -z "$GVISOR" ] || set -- "$@" --gvisor
  [ "$GVISOR_CARDS" != on ] || set -- "$@" --gvisor-cards
  [ -z "$SQUASHFS" ] || set -- "$@" --payloads
  [ -z "$POOL" ] || set -- "$@" --network-pool "$POOL"
  gid=$(getent group "$AGENT_USER" | cut -d: -f3)
  "$PROVEN" host first-config "$WORK/invitation" --user "$(tenant)" --socket-gid "${gid:-65534}" "$@" >"$WORK/agent.json" 2>"$WORK/config.err" </dev/null || die "$FAILED" "$(cat "$WORK/config.err")" ''
}

do_config() {
  if ! agent_program; then
    run "$AGENT" host first-config INVITATION
    return 0
  fi
  first_config
  "$PROVEN" config --config "$WORK/agent.json" >/dev/null 2>"$WORK/config.err" </dev/null || die "$FAILED" "What would be written is no configuration: $(cat "$WORK/config.err")" 'Correct what it names: --allocation-user, --network-pool, --registry.'
  put 644 "$WORK/agent.json" "$CONFIG"
}

check_firewall() {
  if [ ! -e "$CONFIG" ] || ! agent_program; then
    FACT='none'
    [ -z "$URL" ] && [ "$MODE" = install ] || WOULD='install that of the network pool'
    return 0
  fi
  "$PROVEN" host firewall --config "$CONFIG" >"$WORK/firewall.nft" 2>"$WORK/config.err" </dev/null || die "$FAILED" "$(cat "$WORK/config.err")" "Correct $CONFIG."
  FACT="for $(sed -n 's/.*input.*//; s/^\t\tip saddr \([0-9./]*\) counter.*/\1/p' "$WORK/firewall.nft" | tail -n 1)"
  if ! cmp -s "$WORK/firewall.nft" "$ETC/firewall.nft" || ! nft list table inet gpuaas_node_agent >/dev/null 2>&1 || ! systemctl is-enabled --quiet "$FIREWALL"; then
    WOULD='load it now and at each boot, before the engine'
  fi
}

do_firewall() {
  if [ ! -e "$WORK/firewall.nft" ]; then
    run systemctl start "$FIREWALL"
    return 0
  fi
  run nft --check --file "$WORK/firewall.nft"
  put 644 "$WORK/firewall.nft" "$ETC/firewall.nft"
  turn enable "$FIREWALL"
  run systemctl restart "$FIREWALL"
}

# --------------------------------------------------------------------------------------------------- the node and its life

# The beginning of a file of the agent, which may be anything if somebody has taken that over: not followed, not waited for, no more than this.
of_agent() { timeout 5 dd if="$STATE/$1" iflag=nofollow,nonblock bs=1M count=1 status=none 2>/dev/null | tr -d '\000'; }

node_of() { of_agent identity/node.json | sed -n "s/^ *\"$1\": \"\([][A-Za-z0-9.:/_-]*\)\",*\$/\1/p" | head -n 1; }

check_enrolment() {
  if [ -e "$STATE/identity/node.json" ]; then
    FACT="node $(node_of node_id) of $(node_of control_plane)"
    [ -z "$URL" ] || [ "$(node_of control_plane)" = "$URL" ] || die "$FAILED" "This host is a node of $(node_of control_plane)." "To make it one of $URL: $PROGRAM --uninstall --purge first."
  else
    FACT='no node yet'
    if [ -z "$TOKEN" ] && [ "$MODE" = install ]; then
      FACT='no node yet; --url and --token-file make it one'
    else
      WOULD="become a node of ${URL:-a control plane}"
    fi
  fi
}

do_enrolment() {
  if [ "$MODE" = dry-run ]; then
    run runuser -u "$AGENT_USER" -- "$AGENT" enroll --token-file - --url "$URL"
    return 0
  fi
  set -- "$AGENT" enroll --config "$CONFIG" --token-file - --url "$URL"
  if [ -n "$CA" ]; then
    chmod 644 "$CA"
    set -- "$@" --ca "$CA"
  fi
  if ! printf '%s' "$TOKEN" | runuser -u "$AGENT_USER" -- env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@" >"$WORK/enrol.out" 2>&1; then
    die "$FAILED" "The host could not be enrolled: $(cat "$WORK/enrol.out")" 'A join token is good for one host, once, within an hour: gpuaas nodes join-token ALLOCATION makes another.'
  fi
  ENROLLED=1
  forget_token
}

# Once the host is a node the token is worth nothing to it.
forget_token() {
  if [ "$MODE" = install ] && [ -n "$TOKEN_FILE" ] && [ "$TOKEN_FILE" != - ] && [ -e "$STATE/identity/node.json" ]; then
    rm -f -- "$TOKEN_FILE"
  fi
}

# Services that do not run as they should: off, not started, or from before their unit, a drop-in, their program or its configuration was written.
stale_services() {
  for unit in $SERVICES; do
    set -- "$UNITS/$unit" "$UNITS/$unit.d"
    [ "$unit" = "${unit%.service}" ] || set -- "$@" "$AGENT" "$CONFIG"
    changed=$(stat -L -c %Y "$@" 2>/dev/null | sort -n | tail -n 1)
    if ! systemctl is-enabled --quiet "$unit" || ! systemctl is-active --quiet "$unit"; then
      printf ' %s' "$unit"
    elif since=$(property ActiveEnterTimestamp "$unit") && [ "${changed:-0}" -gt "$(date -d "$since" +%s)" ]; then
      printf ' %s' "$unit"
    fi
  done
}

check_services() {
  if [ ! -e "$STATE/identity/node.json" ] && [ "$MODE" = install ]; then
    FACT='not started: the host is no node yet'
    return 0
  fi
  stale=$(stale_services)
  FACT="$([ -n "$stale" ] && echo 'not as they should be' || echo 'run')"
  WOULD=${stale:+start$stale}
}

do_services() {
  for unit in $SERVICES; do
    # shellcheck disable=SC2086
    case " $stale " in
      *" $unit "*)
        turn enable "$unit"
        run systemctl restart "$unit"
        ;;
    esac
  done
}

check_ready() {
  if [ ! -e "$STATE/identity/node.json" ] || ! agent_program; then
    FACT='no'
    [ "$MODE" = install ] || WOULD='wait until the agent is connected and the engine answers'
    return 0
  fi
  if "$PROVEN" host await-ready --config "$CONFIG" --wait 0 >/dev/null 2>"$WORK/ready.err" </dev/null; then
    FACT='connected, and the engine answers'
    [ ! -e "$DRAINED" ] || WOULD='take new work again, which an uninstall had ended'
  else
    FACT=$(tail -n 1 "$WORK/ready.err")
    WOULD='wait until the agent is connected and the engine answers'
  fi
}

do_ready() {
  run "$AGENT" host await-ready --config "$CONFIG" --wait 90
  # An uninstall has drained what it left, also one that did not finish.
  if [ -n "$ENROLLED" ] || [ -e "$DRAINED" ]; then
    run "$AGENT" drain --off --config "$CONFIG"
    run rm -f "$DRAINED"
  fi
}

# ---------------------------------------------------------------------------------------------------------------- modes

# One at a time; the lock goes with the process, however that ends.
take_lock() {
  has flock || return 0
  umask 077
  exec 9>>$LOCK
  umask 022
  # A program that a killed run had started may hold it a little longer.
  flock -w 10 9 || die "$BUSY" 'Another bootstrap is at work on this host.' 'Wait until it has ended.'
}

# Not in /tmp or /run: what is verified here is run here, and those may forbid it. What a killed run left goes first.
work_folder() {
  rm -rf /var/lib/gpuaas-bootstrap.*
  WORK=$(mktemp -d /var/lib/gpuaas-bootstrap.XXXXXX) || die "$FAILED" 'No folder can be made in /var/lib.' 'Is the disk full, or read-only? df -h /var/lib'
  # Others pass through to what they are shown; what may hold secrets of this host lies in a folder of its own.
  chmod 711 "$WORK"
  mkdir -m 700 "$WORK/own"
}

clean_up() {
  status=$?
  finish_json failed "It ended with status $status."
  [ -z "$WORK" ] || rm -rf "$WORK"
  exit "$status"
}

step() {
  FACT='' WOULD=''
  "check_$1"
  if [ -z "$WOULD" ]; then
    row ok "$1" "$FACT" ''
    return 0
  fi
  CHANGING=1
  row "$2" "$1" "$FACT" "$WOULD"
}

install_or_plan() {
  for STEP in $STEPS; do
    # The first one brings what the chain of trust is checked with.
    if [ "$STEP" = release ] && [ -n "$TOKEN" ]; then learn_trust; fi
    step "$STEP" "$1"
    if [ -z "$WOULD" ] || [ "$MODE" = check ]; then continue; fi
    "do_$STEP"
    [ "$MODE" = install ] || continue
    WAS=$WOULD FACT='' WOULD=''
    "check_$STEP"
    [ -z "$WOULD" ] || [ -e "$ENGINE_DUE" ] || die "$FAILED" "It should have been enough to $WAS, and there is still to $WOULD." "$LOG has what was done."
  done
}

summary() {
  forget_token
  say ''
  if [ ! -e "$STATE/identity/node.json" ]; then
    say "Installed. To make this host a node: $PROGRAM --url ORIGIN --token-file FILE"
    return 0
  fi
  say "This host is node $(node_of node_id) of $(node_of control_plane)."
  timeout 120 "$AGENT" doctor --config "$CONFIG" >"$WORK/doctor" 2>&1 </dev/null || true
  grep -E '^(fail|warn|FAIL|WARN|!|✗)|^ +(why|do):' "$WORK/doctor" || true
  tail -n 1 "$WORK/doctor"
  say "Next: node-agent is $AGENT; \`$AGENT status\` shows how it is, \`journalctl -u gpuaas-node-agent\` what it does."
}

uninstall() {
  if systemctl is-active --quiet gpuaas-node-agent.service; then
    # What ends with the next install, unless somebody had drained this host before.
    [ ! -d "$UPDATE" ] || of_agent drain.json | grep -q '"host":' || run touch "$DRAINED"
    if [ -z "$KEEP" ]; then
      say 'removing workloads; what they have written stays'
      "$AGENT" host remove-workloads --config "$CONFIG" </dev/null || die "$FAILED" 'Not all workloads could be removed, and this host takes no new ones.' "$AGENT status shows them. Run this again, or let them run on: --keep-workloads. To stay a node: $PROGRAM, or $AGENT drain --off."
    else
      run "$AGENT" drain --config "$CONFIG"
    fi
  elif [ -z "$KEEP" ]; then
    nothing_of_ours || die "$FAILED" "$TROUBLE" "$REMEDY, and run this again; or leave workloads and their firewall as they are: --keep-workloads."
  fi
  units=$(find "$UNITS" -maxdepth 1 -type f -name 'gpuaas-node-agent*' -exec basename {} \;)
  for unit in $units; do
    [ "$unit" = "$FIREWALL" ] && [ -n "$KEEP" ] && continue
    [ "$unit" = gpuaas-node-agent-gate.service ] && continue
    turn_off "$unit"
  done
  [ ! -e "$STATE/identity/node.json" ] || leave_control_plane
  [ ! -e "$UNITS/gpuaas-node-agent-gate.service" ] || turn_off gpuaas-node-agent-gate.service
  if [ -z "$KEEP" ]; then
    nft delete table inet gpuaas_node_agent 2>/dev/null || true
    rm -f "$ETC/firewall.nft" "$NFTABLES_DROP_IN"
    rmdir "${NFTABLES_DROP_IN%/*}" 2>/dev/null || true
  fi
  removed=''
  for unit in $units; do
    [ "$unit" = "$FIREWALL" ] && [ -n "$KEEP" ] && continue
    rm -rf "${UNITS:?}/$unit" "${UNITS:?}/$unit.d"
    removed=1
  done
  rm -f /etc/sysusers.d/gpuaas-node-agent.conf /etc/tmpfiles.d/gpuaas-node-agent.conf
  [ -z "$removed" ] || reload_after_uninstall
  rm -rf "$OPT"
  if [ -n "$PURGE" ]; then
    [ -n "$KEEP" ] || rm -rf "$ETC"
    rm -rf "$STATE" "$UPDATE" /var/lib/gpuaas-node-agent-gate /var/lib/gpuaas-node-agent-inputs
    # Containers that run on have files of these mounted.
    [ -n "$KEEP" ] || rm -rf /run/gpuaas-node-agent-gate /run/gpuaas-node-agent-update
    ! getent passwd "$AGENT_USER" >/dev/null || run userdel "$AGENT_USER"
  else
    say "kept: $ETC, $STATE and the key of the gate; --purge removes them"
  fi
  say "The agent is off this host. The engine stays with what was added to $DAEMON_JSON, and so do the homes of users."
}

turn_off() {
  run systemctl stop "$1"
  turn disable "$1"
}

leave_control_plane() {
  node=$(node_of node_id)
  echo "there is no $AGENT to do it with" >"$WORK/leave"
  if [ -x "$AGENT" ] && runuser -u "$AGENT_USER" -- env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin "$AGENT" host leave --config "$CONFIG" >"$WORK/leave" 2>&1 </dev/null; then
    say "node $node is revoked"
  else
    warn "The keys of node $node could not be revoked: $(head -n 1 "$WORK/leave")"
    tell "  what to do: gpuaas nodes revoke $node"
  fi
}

# Whether no workload is there, also none that has stopped: the engine would start it again. Nobody but the engine knows that.
nothing_of_ours() {
  [ -n "$(engine_program)" ] || return 0
  if ! ask_engine 'containers/json?all=1'; then
    TROUBLE='Neither agent nor engine answers, and workloads could come back with the engine.' REMEDY='systemctl start docker'
    return 1
  fi
  TROUBLE='The agent does not run, so nobody removes its workloads.' REMEDY='systemctl start gpuaas-node-agent'
  [ -x "$AGENT" ] || REMEDY="docker rm -f \$(docker ps -aq --filter label=gpuaas.instance)"
  ! grep -q '"gpuaas\.instance":' "$WORK/own/answer"
}

reload_after_uninstall() {
  if cards_at_stake; then
    warn 'systemd was not reloaded, because containers that run can lose their cards by that: systemctl daemon-reload when nothing runs.'
    return 0
  fi
  run systemctl daemon-reload
}

main() {
  defaults
  trap clean_up EXIT
  arguments "$@"
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  if [ "$MODE" = uninstall ]; then
    [ "$(id -u)" -eq 0 ] || die "$REFUSED" 'This has to run as root.' "sudo sh $PROGRAM --uninstall"
    take_lock
    work_folder
    uninstall
    return 0
  fi
  preflight
  take_lock
  read_token
  work_folder
  CHANGING=''
  case $MODE in
    install) install_or_plan change && summary ;;
    dry-run) install_or_plan would ;;
    check)
      install_or_plan would
      finish_json "$([ -n "$CHANGING" ] && echo would_change || echo as_it_should_be)"
      [ -z "$CHANGING" ] || exit "$CHANGES"
      ;;
  esac
}

{ main "$@"; exit; }
