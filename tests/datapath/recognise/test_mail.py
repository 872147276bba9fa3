"""SMTP, IMAP and POP3 from either side, and each other's false friends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citygate.datapath.recognise.table import ask
from tests.datapath.recognise.feeding import FAMILIES, TCP, Earlier

BARE = b"220 gate.example.org ready\r\n"


def mail(data: bytes, *, port: int = 40001, from_client: bool = True, earlier: Earlier = ()) -> str:
    """The protocol named, or "more" or "no"."""
    how = {"ip_proto": TCP, "server_port": port, "from_client": from_client, "earlier": earlier}
    four, six = (ask("smtp", data, family=family, **how) for family in FAMILIES)  # type: ignore[arg-type]  # ask's keywords
    assert four == six
    assert four.answer != "yes" or four.why
    return four.protocol if four.answer == "yes" else four.answer


def is_mail(name: str, data: bytes, *, port: int = 40001, from_client: bool = True, earlier: Earlier = ()) -> None:
    """Byte by byte never NO, and at last ``name``, with anything after."""
    said = [mail(data[:n], port=port, from_client=from_client, earlier=earlier) for n in range(1, len(data) + 1)]
    assert set(said) <= {"more", name}
    assert said[-1] == name
    for junk in (b"\0", b"x" * 2000, b"\r\n"):
        assert mail(data + junk, port=port, from_client=from_client, earlier=earlier) == name


@pytest.mark.parametrize(
    "data",
    [
        b"220 gate.example.org ESMTP ready\r\n",
        b"220-gate.example.org\r\n220 Simple Smtp here\r\n",
        b"554 gate.example.org SMTP no service\r\n",
        BARE + b"250-gate.example.org\r\n250 SIZE\r\n",
    ],
)
def test_smtp_greetings(data: bytes) -> None:
    is_mail("smtp", data, from_client=False)


@pytest.mark.parametrize("data", [b"EHLO me\r\n", b"helo me\r\n", b"LHLO me\r\n", b"MAIL FROM:<a@b>", b"RCPT TO:<a@b>"])
def test_smtp_commands(data: bytes) -> None:
    is_mail("smtp", data)


@pytest.mark.parametrize("port", [25, 587, 2525])
def test_smtp_replies_on_its_ports(port: int) -> None:
    for reply in (BARE, b"220 ***********\r\n", b"250 ok\r\n", b"354 go on\r\n", b"550-no\r\n"):
        assert mail(reply, port=port, from_client=False) == "smtp"
    assert mail(b"150 x\r\n", port=port, from_client=False) == "no"


def test_smtp_reply_to_a_hello_that_was_seen() -> None:
    assert mail(b"250 ok\r\n", from_client=False, earlier=[(b"EHLO me\r\n", True)]) == "smtp"
    assert mail(b"250 ok\r\n", from_client=False) == "no"


@pytest.mark.parametrize(
    "data",
    [
        b"220 files.example.org FTP server\r\n",
        BARE + b"331 Password\r\n",
        b"220-" + b"x" * 1100,
        b"200 news ready\r\n",
        b"HTTP/1.1 200 OK\r\n",
        b"421 too many\r\n421 x\r\n",
    ],
)
def test_other_greetings_are_not_smtp(data: bytes) -> None:
    assert mail(data, from_client=False) == "no"


def test_a_bare_greeting_waits() -> None:
    assert mail(BARE, from_client=False) == "more"


@pytest.mark.parametrize("data", [b"* OK IMAP4rev1 ready\r\n", b"* ok\r\n", b"* PREAUTH in\r\n", b"* BYE no\r\n"])
def test_imap_greetings(data: bytes) -> None:
    is_mail("imap", data, from_client=False)


@pytest.mark.parametrize(
    "command",
    [b"CAPABILITY\r\n", b"login me word\r\n", b"AUTHENTICATE PLAIN\r\n", b"STARTTLS\r\n", b"ID (", b"SELECT x\r\n"],
)
def test_imap_commands(command: bytes) -> None:
    is_mail("imap", b"a001 " + command)
    is_mail("imap", b"tag " + command, port=143)
    is_mail("imap", b"tag " + command, earlier=[(b"* OK x\r\n", False)])
    assert mail(b"tag " + command) == "no"


@pytest.mark.parametrize(
    "data",
    [b"* x\r\n", b"*1\r\n$4\r\nPING\r\n", b"*", b"GET / HTTP/1.1\r\n", b"a1 DELETE x\r\n", b"a" * 40, b" LOGIN x"],
)
def test_others_are_not_imap(data: bytes) -> None:
    assert mail(data) == ("more" if data == b"*" else "no")


@pytest.mark.parametrize("data", [b"+OK POP3 ready\r\n", b"+OK Example pop server <1.2@gate.example.org>\r\n"])
def test_pop3_greetings(data: bytes) -> None:
    is_mail("pop3", data, from_client=False)
    assert mail(b"+OK\r\n", port=110, from_client=False) == "pop3"


@pytest.mark.parametrize("command", [b"USER me\r\n", b"CAPA\r\n", b"APOP me 0123\r\n", b"STLS\r\n", b"AUTH\r\n"])
def test_pop3_commands(command: bytes) -> None:
    is_mail("pop3", command, earlier=[(b"+OK ready\r\n", False)])
    is_mail("pop3", command, port=110)
    assert mail(command) == "no"
    assert mail(command, earlier=[(BARE, False)]) == "no"


def test_the_answer_of_redis_is_not_pop3() -> None:
    assert mail(b"+OK\r\n", from_client=False, earlier=[(b"*2\r\n$4\r\nAUTH", True)]) == "no"
    assert mail(b"+OK\r\n", from_client=False) == "no"
    assert mail(b"+PONG\r\n", port=110, from_client=False) == "no"


@pytest.mark.parametrize(
    ("port", "command", "name"),
    [(25, b"DATA\r\n", "smtp"), (110, b"UIDL\r\n", "pop3"), (143, b"7 UID FETCH 1 (FLAGS)\r\n", "imap")],
)
def test_joined_later_on_its_port(port: int, command: bytes, name: str) -> None:
    is_mail(name, command, port=port)
    assert mail(command) == "no"


@given(st.binary(max_size=80), st.sampled_from([25, 110, 143, 40001]), st.booleans())
def test_chance_is_safe(data: bytes, port: int, from_client: bool) -> None:
    mail(data, port=port, from_client=from_client)
    mail(b"220-" + data, port=port, from_client=from_client)
    mail(b"+OK <" + data, port=port, from_client=from_client)
