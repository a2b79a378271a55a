# Runs as root in the new system: the virtual environment, the workspace, and nothing left over.
set -eu

python3 -m venv --system-site-packages /opt/venv
chgrp -R 0 /opt/venv
chmod -R a+rwX /opt/venv
find /opt/venv -type d -exec chmod g+s {} +

mkdir -p /workspace
chgrp 0 /workspace
chmod 2777 /workspace

# No program of the image may lend its owner's rights.
find / -xdev -type f -perm /6000 -exec chmod a-s {} +

find /usr/share/doc -type f ! -name copyright -delete
find /usr/share/doc -type d -empty -delete
rm -rf /usr/share/man/* /usr/share/info/* /usr/share/locale/* /usr/share/lintian/*
rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/*-old /var/log/* /tmp/* /debootstrap
