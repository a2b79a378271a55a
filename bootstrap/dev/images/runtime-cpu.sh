# Runs as root in a container of the base image, with apt's way to its mirror in /mnt: JupyterLab from Debian, started
# by the Python of the virtual environment, so that notebooks see what is installed there.
set -eu
export DEBIAN_FRONTEND=noninteractive APT_CONFIG=/mnt/apt.conf HOME=/root

# The package asks for all that its web part was built with (800 MB of JavaScript) although it carries the built part.
# So its Python dependencies are installed, and of itself the files.
# Of the locale data, English is enough: the interface has no other language.
cat >/etc/dpkg/dpkg.cfg.d/locales <<'CONFIG'
path-exclude=/usr/share/python-babel-localedata/locale-data/*
path-include=/usr/share/python-babel-localedata/locale-data/root.dat
path-include=/usr/share/python-babel-localedata/locale-data/en*.dat
CONFIG

apt-get update -q
depends=$(apt-cache show --no-all-versions jupyterlab | sed -n 's/^Depends: //p' | tr ',' '\n' |
  sed -e '/|/d' -e 's/(.*//' -e 's/:any//' -e 's/ //g' | grep '^python3')
# shellcheck disable=SC2086
apt-get install -y -q --no-install-recommends $depends
cd /tmp
apt-get download -q -o APT::Sandbox::User=root jupyterlab
dpkg-deb --extract jupyterlab_*.deb /
python3 -m compileall -q /usr/lib/python3/dist-packages/jupyterlab
find /usr/share/jupyter /usr/lib/python3/dist-packages/jupyterlab -name '*.js.map' -delete
rm -rf /usr/share/nodejs /usr/lib/python3/dist-packages/jupyterlab/galata
rm -rf /usr/bin/jlpm /usr/bin/jupyter-labextension /usr/bin/jupyter-labhub

# The program first on PATH and the kernel both run in the virtual environment.
cat >/opt/venv/bin/jupyter-lab <<'PROGRAM'
#!/opt/venv/bin/python
import sys

from jupyterlab.labapp import main

sys.exit(main())
PROGRAM
chmod 0777 /opt/venv/bin/jupyter-lab
/opt/venv/bin/python -m ipykernel install --prefix=/opt/venv --name=python3 --display-name='Python 3'

# There is nothing here to build web extensions with, so the page shall not offer to.
mkdir -p /etc/jupyter/labconfig
echo '{"buildAvailable": false, "buildCheck": false}' >/etc/jupyter/labconfig/page_config.json
chgrp -R 0 /opt/venv
chmod -R a+rwX /opt/venv

find / -xdev -type f -perm /6000 -exec chmod a-s {} +
apt-get clean
rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/*-old /var/log/* /tmp/* /root/.[!.]*
