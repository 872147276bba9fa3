#!/bin/sh
# The lab's hosts as network namespaces of this machine, which is the gateway: for a lab in one virtual machine.
#
# They are named and linked as `citygate lab up` would have them, and the gateway's own namespace is named too, so that
# `citygate lab play` and `citygate lab exec` work on this lab. Addresses and routes come from network.sh, as on machines.
set -eu
here=$(dirname "$(readlink -f "$0")")

mkdir -p /run/netns
[ -e /run/netns/cg-lab-gw ] || ip netns attach cg-lab-gw 1

while read -r machine number; do
    [ ! -e "/run/netns/cg-lab-$machine" ] || continue
    ip netns add "cg-lab-$machine"
    ip link add "$machine" address "02:00:00:00:$number:01" type veth \
        peer name eth0 address "02:00:00:00:$number:02" netns "cg-lab-$machine"
    ip netns exec "cg-lab-$machine" sh "$here/network.sh" "$machine"
done <<'TABLE'
shenzhen 00
shanghai 01
internet 04
TABLE
