#!/bin/sh
# Addresses and routes of one machine of the lab: network.sh gateway|shenzhen|shanghai|internet
#
#   shenzhen  10.10.0.5  fd00:10::5  ──┐
#             10.10.3.7  fd00:10:0:37::7   (a household with an exception)
#   shanghai  10.20.0.5  fd00:20::5  ──┴── gateway ── internet  198.51.100.10–17  2001:db8:100::10–17
#
# Each machine has a link of its own to the gateway, which has the address .1 there and routes the machine's whole
# prefix to it, as in the lab of namespaces (citygate/lab/topology.py has the same addresses). Links are told by their
# hardware addresses, since their names are the hypervisor's affair. To be called at each start of a machine, at any
# time again, and in a network namespace that stands for a machine.
set -eu

fail() {
    echo "network.sh: $*" >&2
    exit 1
}

# link NUMBER END: what follows is about the interface with this hardware address. One not found yet is waited for.
link() {
    mac=02:00:00:00:$1:$2
    for _ in $(seq 50); do
        interface=$(ip -o link | sed -n "s|^[0-9]*: \([^:@]*\)[:@].* link/ether $mac .*|\1|p")
        [ -z "$interface" ] || break
        sleep 0.2
    done
    [ -n "$interface" ] || fail "no interface with the hardware address $mac"
    ip link set "$interface" up
}

# own ADDRESS/LENGTH...: nobody else in the lab has them, so nobody is asked before they are used (nodad).
own() {
    for address in "$@"; do
        case $address in
        *:*) ip address replace "$address" dev "$interface" nodad ;;
        *) ip address replace "$address" dev "$interface" ;;
        esac
    done
}

# route GATEWAY PREFIX...
route() {
    gateway=$1
    shift
    for prefix in "$@"; do
        ip route replace "$prefix" via "$gateway" dev "$interface"
    done
}

ip link set lo up
case ${1:-} in
gateway)
    link 00 01
    own 10.10.0.1/27 fd00:10::1/123
    route 10.10.0.5 10.10.0.0/16
    route fd00:10::5 fd00:10::/48
    link 01 01
    own 10.20.0.1/27 fd00:20::1/123
    route 10.20.0.5 10.20.0.0/16
    route fd00:20::5 fd00:20::/48
    link 04 01
    own 198.51.100.1/27 2001:db8:100::1/123
    route 198.51.100.10 198.51.100.0/24 203.0.113.0/24
    route 2001:db8:100::10 2001:db8:100::/48
    ;;
shenzhen)
    link 00 02
    own 10.10.0.5/27 fd00:10::5/123 10.10.3.7/32 fd00:10:0:37::7/128
    route 10.10.0.1 10.20.0.0/16 198.51.100.0/24 203.0.113.0/24
    route fd00:10::1 fd00:20::/48 2001:db8:100::/48
    ;;
shanghai)
    link 01 02
    own 10.20.0.5/27 fd00:20::5/123
    route 10.20.0.1 10.10.0.0/16 198.51.100.0/24 203.0.113.0/24
    route fd00:20::1 fd00:10::/48 2001:db8:100::/48
    ;;
internet)
    link 04 02
    own 198.51.100.10/27 2001:db8:100::10/123
    for number in 11 12 13 14 15 16 17; do
        own "198.51.100.$number/32" "2001:db8:100::$number/128"
    done
    route 198.51.100.1 10.10.0.0/16 10.20.0.0/16
    route 2001:db8:100::1 fd00:10::/48 fd00:20::/48
    ;;
*) fail "which machine? gateway, shenzhen, shanghai or internet" ;;
esac
