#!/bin/sh
# Inside the tree of `./run vm`, after lab/vm/gateway.sh: the lab's hosts as namespaces, the tests as a unit to be started,
# and the package once more with a higher version, for the upgrade.
set -eu
vagrant=/vagrant
library=/usr/local/lib/citygate-lab

cp $vagrant/lab/vm/namespaces.sh $library/
cp $vagrant/lab/vm/citygate-lab-namespaces.service $vagrant/tests/vm/inside/citygate-vm*.service /etc/systemd/system/
systemctl enable citygate-lab-namespaces.service

next=$(mktemp -d)
dpkg-deb -R $vagrant/build/citygate_*.deb "$next"
sed -i 's/^Version: .*/&+next/' "$next/DEBIAN/control"
dpkg-deb -Zgzip -z1 -b "$next" $vagrant/build/next.deb
rm -r "$next"
