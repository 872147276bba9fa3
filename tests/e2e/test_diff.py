"""`citygate diff --live`: a running gateway's own flows, by its policy and by an edit that nobody has made yet."""

from __future__ import annotations

import io
import json
from pathlib import Path

from citygate.lab.topology import Lab, party
from citygate.review.diff import DIFFERENT, SAME, Options, diff
from tests.e2e.conftest import StartGateway
from tests.e2e.pairs import Udp
from tests.e2e.test_flows import NOISE, both_families
from tests.e2e.tools import region
from tests.policy.directory import write


@both_families
def test_the_flows_that_an_edit_would_change(gateway: StartGateway, lab: Lab, family: int, tmp_path: Path) -> None:
    running = gateway({"shenzhen": region()})
    old = running.directory / "policies"
    refusing = write(tmp_path / "new", {"shenzhen.yaml": region("match: {service: unknown}, action: drop")})
    with Udp(lab, "shenzhen", "internet", family) as flow:
        for noise in NOISE:
            flow.up(noise)
        out = io.StringIO()
        assert diff(old, refusing, Options(live=running.control), as_json=True, out=out) == DIFFERENT
        (change,) = json.loads(out.getvalue())["changes"]
        assert change["subscriber"] == party("shenzhen").address(family)
        assert (change["before"]["service"], change["destination_port"]) == ("unknown", 9000)
        assert (change["before"]["action"], change["after"]["action"]) == ("allow", "drop")
        assert diff(old, old, Options(live=running.control), out=out) == SAME
