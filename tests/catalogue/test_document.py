"""docs/services.md against the code: what it shows is a file of services, and the bounds it states hold."""

from __future__ import annotations

import re
from pathlib import Path

from citygate.catalogue import builtin, with_local
from citygate.catalogue.arrange import BUCKET, PLACES, PORTS
from citygate.catalogue.schema import ServiceKeys
from citygate.catalogue.signature import PIECES, PORT_BITS, REACH, STRENGTH, SignatureKeys
from tests.conftest import ROOT

TEXT = (ROOT / "docs" / "services.md").read_text()
FLAT = " ".join(TEXT.split())


def test_what_it_shows_is_a_file_of_services(tmp_path: Path) -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    (tmp_path / "services.yaml").write_text(block)
    found = with_local(builtin(), tmp_path / "services.yaml")
    assert found.families["acme-voice"] == {"acme-voice", "acme-voice-pstn"}
    assert [name for _, name in found.signatures][:2] == ["acme-voice-pstn", "acme-voice"]


def test_every_key_is_explained() -> None:
    for keys in (ServiceKeys, SignatureKeys):
        for name, field in keys.model_fields.items():
            assert f"`{field.alias or name}`" in TEXT, name


def test_the_bounds_stated() -> None:
    for sentence in (
        f"a list of up to {PIECES} ",
        f"first, or last, {REACH} bytes",
        f"one payload in 2^{STRENGTH}",
        f"at least {STRENGTH} bits",
        f"at most {PORTS} ports: {STRENGTH - PORT_BITS} bits for one port",
        f"at most {PLACES} places",
        f"at most {BUCKET} signatures",
        f"at most {(2 + PLACES) * BUCKET} signatures, a TCP stream with {(1 + PLACES) * BUCKET}",
    ):
        assert sentence in FLAT, sentence
