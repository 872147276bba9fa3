"""A key and a certificate that is its own authority, for servers that speak TLS."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.clients.programs import program

HOST = "www.example.com"


@dataclass(frozen=True, slots=True)
class Certificate:
    certificate: Path
    key: Path

    def fingerprint(self) -> str:
        """SHA-256 of it, in hexadecimal with colons."""
        command = [program("openssl"), "x509", "-in", str(self.certificate), "-noout", "-fingerprint", "-sha256"]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)
        return done.stdout.strip().partition("=")[2]


def make(folder: Path, name: str = HOST) -> Certificate:
    """Valid for two days, for the host ``name``. Elliptic: made at once."""
    made = Certificate(folder / f"{name}.crt", folder / f"{name}.key")
    command = [program("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    command += ["-keyout", str(made.key), "-out", str(made.certificate), "-days", "2", "-subj", f"/CN={name}"]
    command += ["-addext", f"subjectAltName=DNS:{name}"]
    subprocess.run(command, capture_output=True, check=True, timeout=20)
    return made
