#!/bin/sh
# Runs a TypeScript file of this checkout with the Node that the lockfile pins, whatever Node the machine has:
#   sh bootstrap/dev/with-node.sh SCRIPT [ARGS…]
# Installs the dependencies first where node_modules is not what package-lock.json says. Safe to run twice at once.
set -eu

[ $# -gt 0 ] || { echo "usage: sh bootstrap/dev/with-node.sh SCRIPT [ARGS…]" >&2; exit 2; }
root=$(dirname -- "$(dirname -- "$(dirname -- "$(readlink -f -- "$0")")")")
stamp=$root/node_modules/.gpuaas-lock-sha256
wanted=$(sha256sum <"$root/package-lock.json")

installed() {
  [ -x "$root/node_modules/.bin/node" ] && [ -r "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]
}

matches() {
  node "$root/bootstrap/dev/dependencies-match.mjs" "$root"
}

# Not `npm ci`: it refuses a lockfile that leaves out packages of other platforms, as one does that was written where the
# registry has none of them. That exactly the lockfile was installed is checked here instead.
install() {
  if ! matches 2>/dev/null; then
    command -v npm >/dev/null || { echo "npm is missing: install Node.js 20 or newer with npm, then run this again." >&2; exit 2; }
    echo "… installing dependencies" >&2
    (cd "$root" && npm install --no-save --ignore-scripts --no-audit --no-fund --loglevel=error) >&2
    matches || { echo "npm installed something else than package-lock.json says." >&2; exit 1; }
    echo "✓ installing dependencies" >&2
  fi
  runs || install_libatomic
  echo "$wanted" >"$stamp"
}

runs() {
  "$root/node_modules/.bin/node" --version >/dev/null 2>&1
}

# The one library that the pinned Node needs and a minimal Debian has not.
install_libatomic() {
  echo "… installing libatomic1" >&2
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends libatomic1; } >&2
  runs || { "$root/node_modules/.bin/node" --version; exit 1; }
}

# The lock is on the lockfile itself. It ends with the subshell: the script below must not inherit it.
installed || (flock 9 && { installed || install; }) 9<"$root/package-lock.json"

PATH=$root/node_modules/.bin:$PATH
export PATH
exec "$root/node_modules/.bin/node" "$@"
