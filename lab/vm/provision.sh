# What gateway.sh and host.sh have in common; they read this file. Each step may be done again.

here=$(dirname "$(readlink -f "$0")")
checkout=$(readlink -f "$here/../..")
library=/usr/local/lib/citygate-lab
mkdir -p $library
export DEBIAN_FRONTEND=noninteractive

say() { echo "lab: $*"; }

fail() {
    say "$*" >&2
    exit 1
}

# Whether this is a machine that has started, not the file system of one that is being made.
is_running() { [ -d /run/systemd/system ]; }

# Nobody is there to be asked about a configuration file that these scripts or somebody have edited: it stays.
apt_install() { apt-get -q -y --no-install-recommends -o Dpkg::Options::=--force-confold install "$@"; }

# install PACKAGE...: of Debian, those that are not there yet.
install() {
    for package in "$@"; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || {
            apt-get -q update
            apt_install "$@"
            return
        }
    done
}

# The newest package of citygate for Debian 13 in build/, unless that very file has been installed; a version may have many.
install_citygate() {
    deb=$(ls -t "$checkout"/build/citygate_*~trixie_*.deb 2>/dev/null | head -n 1)
    [ -n "$deb" ] || fail "no package of citygate for Debian 13 in $checkout/build: make one with ./run deb trixie"
    sum=$(sha256sum <"$deb")
    [ "$(cat $library/installed 2>/dev/null)" != "$sum" ] || return 0
    say "$(basename "$deb")"
    apt-get -q update
    apt_install --allow-downgrades --reinstall "$deb"
    echo "$sum" >$library/installed
}

# set_up_network MACHINE: now and at each start.
set_up_network() {
    cp "$here/network.sh" $library/
    chmod 755 $library/network.sh
    cp "$here/citygate-lab@.service" /etc/systemd/system/
    systemctl -q enable "citygate-lab@$1.service"
    start "citygate-lab@$1.service"
}

# start UNIT...: with the files as they are now, on a machine that runs.
start() {
    is_running || return 0
    systemctl daemon-reload
    systemctl restart "$@"
}
