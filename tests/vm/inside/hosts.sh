#!/bin/sh
# Inside a layer over the tree of `./run vm`, before the gateway is made of it: lab/vm/host.sh for each of the hosts, one
# after the other, which makes the second and third a repetition too; and whether it leaves what it should.
set -eu

fail() {
    echo "hosts.sh: $*" >&2
    exit 1
}

# state UNIT WORD: whether the unit is that: enabled, masked.
state() {
    found=$(systemctl is-enabled "$1" || true) # status 1 for one that is masked
    [ "$found" = "$2" ] || fail "$1 is ${found:-unknown}, not $2"
}

for host in shenzhen shanghai internet; do
    sh /vagrant/lab/vm/host.sh $host
    state citygate-lab@$host.service enabled
    state citygate.service masked
done
status=$(dpkg-query -W -f '${db:Status-Status}' citygate)
[ "$status" = installed ] || fail "the package citygate is $status"
[ -x /usr/local/lib/citygate-lab/network.sh ] || fail "network.sh, which the unit starts, is missing"
ip -V >/dev/null || fail "ip is missing"
citygate lab call --help >/dev/null && citygate lab answer --help >/dev/null || fail "citygate does not run"
echo "hosts.sh: the hosts are as they should be"
