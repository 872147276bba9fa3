#!/bin/sh
# Makes this Debian 13 machine the lab's gateway: citygate with the example policies, Prometheus and Grafana.
#
#   CITYGATE_GRAFANA   a .deb of Grafana, as a path or an address; without it Grafana is installed if apt knows it
set -eu
. "$(dirname "$(readlink -f "$0")")/provision.sh"

share=/usr/share/citygate

set_up_forwarding() {
    cat >/etc/sysctl.d/60-citygate-lab.conf <<'TEXT'
net.ipv4.ip_forward = 1
net.ipv6.conf.all.forwarding = 1
# Each refusal is to be seen: ICMP errors are not rate-limited in the lab.
net.ipv4.icmp_ratemask = 0
net.ipv6.icmp.ratelimit = 0
TEXT
    ! is_running || sysctl -q -p /etc/sysctl.d/60-citygate-lab.conf
}

# The example policies in place of the package's harmless one, once: what is edited later stays.
set_up_policies() {
    [ ! -e /etc/citygate/policies/regions/shenzhen.yaml ] || return 0
    rm -rf /etc/citygate/policies
    cp -r "$share/policies" /etc/citygate/policies
}

# Metrics and the status page for whoever asks this machine, not only itself: ports are forwarded to its first interface.
set_up_citygate() {
    sed -i 's/^metrics: [^#]*[^# ]/metrics: 0.0.0.0:9436/' /etc/citygate/citygate.yaml
    systemctl -q enable citygate.service
    start citygate.service
}

set_up_prometheus() {
    install prometheus
    # As the package has it, so that new rules come with a new package.
    echo "ARGS=\"--config.file=$share/monitoring/prometheus.yml\"" >/etc/default/prometheus
    systemctl -q enable prometheus.service
    start prometheus.service
}

# Debian has no Grafana.
install_grafana() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' grafana 2>/dev/null)" != installed ] || return 0
    given=${CITYGATE_GRAFANA:-}
    case $given in
    '')
        candidate=$(apt-cache policy grafana | sed -n 's/^  Candidate: //p')
        [ "${candidate:-(none)}" != '(none)' ] || return 1
        given=grafana
        ;;
    *://*)
        install ca-certificates curl
        curl -fsSL -o "$library/grafana.deb" "$given"
        given=$library/grafana.deb
        ;;
    *) given=$(readlink -f "$given") ;;
    esac
    apt_install "$given"
}

set_up_grafana() {
    if ! install_grafana; then
        say "no Grafana: apt knows none here. Add Grafana's own apt source" \
            "(https://grafana.com/docs/grafana/latest/setup-grafana/installation/debian/)," \
            "or name a .deb in CITYGATE_GRAFANA, and call gateway.sh again"
        return 0
    fi
    cp -r "$share"/monitoring/grafana/provisioning /etc/grafana/
    systemctl -q enable grafana-server.service
    start grafana-server.service
}

install iproute2 conntrack
set_up_forwarding
install_citygate
set_up_policies
set_up_citygate
set_up_network gateway
set_up_prometheus
set_up_grafana
say "the gateway is set up"
