"""citygate@.service: one daemon a network namespace, beside the machine's own."""

from __future__ import annotations

import json

from tests.e2e.tools import region
from tests.service.service import UNIT, Service

INSTANCE = "citygate@blue.service"
POLICY = region("match: {service: skypeout}, action: reject")
CONFIG = {
    "policies": "blue",
    "state": "/var/lib/citygate/blue",
    "control": {"socket": "/run/citygate/blue/control.sock"},
}


def tables(service: Service) -> str:
    """The tables of the instance's namespace."""
    return service.run("nsenter", "--net=/run/netns/blue", "nft", "list", "tables").stdout


def test_an_instance_has_its_own_table_files_and_socket(service: Service) -> None:
    service.start({"shenzhen": POLICY})
    machine, etc = service.machine, service.machine.path("/etc/citygate")
    assert service.run("systemctl", "start", INSTANCE, check=False).returncode == 1
    assert "Failed to open network namespace path /run/netns/blue: No such file" in machine.journal(INSTANCE)
    service.run("sh", "-c", "mkdir -p /run/netns && touch /run/netns/blue && unshare --net=/run/netns/blue true")
    (etc / "blue/regions").mkdir(parents=True)
    (etc / "blue/regions/beijing.yaml").write_text(region(name="beijing"))
    (etc / "blue.yaml").write_text(json.dumps(CONFIG))
    service.run("systemctl", "start", INSTANCE)
    assert "table inet citygate" in tables(service)
    assert service.run("citygate", "reload", "--config", "/etc/citygate/blue.yaml").returncode == 0
    assert machine.path("/var/lib/citygate/blue/register.jsonl").read_text() != ""

    before, own = machine.property(INSTANCE, "StatusText"), service.table()
    (etc / "blue/regions/shanghai.yaml").write_text(region(name="shanghai"))
    service.run("systemctl", "reload", INSTANCE)
    assert "regions: 2" in machine.property(INSTANCE, "StatusText") != before
    assert "regions: 1" in machine.property(UNIT, "StatusText")

    # The machine's own comes and goes beside it.
    service.run("systemctl", "stop", UNIT)
    assert service.table() == ""
    assert "table inet citygate" in tables(service)
    service.run("systemctl", "reload", INSTANCE)
    service.run("systemctl", "start", UNIT)
    assert service.table() not in ("", own)

    service.run("systemctl", "restart", INSTANCE)
    assert "adopted table" in machine.journal(INSTANCE)
    service.run("systemctl", "stop", INSTANCE)
    assert "citygate" not in tables(service)
    assert service.table() != ""
