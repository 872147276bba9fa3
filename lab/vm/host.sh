#!/bin/sh
# Makes this Debian 13 machine one of the lab's hosts: host.sh shenzhen|shanghai|internet
#
# A host filters nothing: the package is there for `citygate lab call` and `citygate lab answer`.
set -eu
. "$(dirname "$(readlink -f "$0")")/provision.sh"

machine=${1:?which machine? shenzhen, shanghai or internet}
systemctl -q mask citygate.service
install iproute2
install_citygate
set_up_network "$machine"
say "$machine is set up"
