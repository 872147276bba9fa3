"""Syslog: both forms, on its port and elsewhere, over UDP and TCP."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.datapath.recognise.feeding import TCP, ask_both, four_ways_tcp

OLD = b"<34>Oct 11 22:14:15 gate su: failed for user"
NEW = b"<165>1 2003-10-11T22:14:15.003Z gate app - ID47 - hello"
NO_CLOCK = b"<0>1 - gate app - - - hello"


@pytest.mark.parametrize("data", [OLD, NEW, NO_CLOCK, b"<191>Jan  2 03:04:05 x y"])
def test_on_any_port(data: bytes) -> None:
    assert ask_both("syslog", data).protocol == "syslog"
    four_ways_tcp("syslog", data)
    four_ways_tcp("syslog", str(len(data)).encode() + b" " + data)
    for size in range(7):
        assert ask_both("syslog", data[:size]).answer == "no"


@pytest.mark.parametrize("data", [b"<13>link down", b"<189>29: *Mar  1 18:48:50.483 UTC: %SYS-5: x", b"<6>[123.4] x"])
def test_other_text_on_its_port(data: bytes) -> None:
    assert ask_both("syslog", data, server_port=514).answer == "yes"
    assert ask_both("syslog", data, client_port=514).answer == "yes"
    assert ask_both("syslog", data).answer == "no"


@pytest.mark.parametrize(
    "foreign",
    [
        b"<192>" + OLD[4:],
        b"<034>" + OLD[4:],
        b"<>" + OLD[4:],
        b"<1234>" + OLD[4:],
        b"<34" + OLD[4:],
        b"<?xml version='1.0'?>",
        b"<html>",
        b"<34>\x01\x02",
        b"1023 \0",
        b"512\0root\0",
        b"012 " + OLD,
        b"123456 " + OLD,
    ],
)
def test_others_are_not(foreign: bytes) -> None:
    assert ask_both("syslog", foreign, ip_proto=TCP, server_port=514).answer == "no"
    assert ask_both("syslog", foreign, server_port=514).answer == "no"


@pytest.mark.parametrize("data", [b"<165>1 2003/10-11T22", b"<165>Foo 11 22:14:15", b"<34>Oct 1x 22:14:15"])
def test_without_a_time_only_its_port_says_so(data: bytes) -> None:
    assert ask_both("syslog", data, ip_proto=TCP, server_port=514).answer == "yes"
    assert ask_both("syslog", data, ip_proto=TCP).answer == "no"


@given(st.binary(max_size=60))
def test_chance_is_safe(data: bytes) -> None:
    assert ask_both("syslog", data, server_port=514).answer == "no" or data.startswith(b"<")
    ask_both("syslog", b"<34>" + data, ip_proto=TCP)
