# Runs as root in a container of a bare host, with apt's way to its mirror in /mnt: what a bootstrap would install.
set -eu
export DEBIAN_FRONTEND=noninteractive APT_CONFIG=/mnt/apt.conf HOME=/root

apt-get update -q
# Debian 12 has the client in the package of the engine.
client=$(apt-cache search --names-only '^docker-cli$' | cut -d' ' -f1)
# shellcheck disable=SC2086
apt-get install -y -q --no-install-recommends docker.io libatomic1 $client
apt-get clean
rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/log/* /tmp/*
mkdir -p /var/lib/apt/lists/partial
