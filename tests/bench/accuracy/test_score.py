"""An answer against its label, and a service's figures."""

from __future__ import annotations

import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st

from bench.accuracy.corpus import Label
from bench.accuracy.score import ORDINARY, Answer, How, Wrong, given, judge, on_ordinary, percentile, scores, wrongs
from tests.bench.accuracy.samples import CATALOGUE, answer, flow, label, world

JUDGED = {
    "the label": (label("tls"), answer("tls"), How.NAME, "tls"),
    "a name in also": (label("tls", "tube"), answer("tube", carrier="tls"), How.ALSO, "tube"),
    "a site on its carrier": (label("tls"), answer("tube", carrier="tls"), How.CARRIER, "tube"),
    "a site on a carrier in also": (label("mdns", "dns"), answer("tube", carrier="dns"), How.CARRIER, "tube"),
    "a site on another carrier": (label("dns"), answer("tube", carrier="tls"), How.WRONG, "tube"),
    "a part of the service": (label("sip"), answer("sip-pstn", above="sip"), How.NAME, "sip-pstn"),
    "a part of a name in also": (label("rtp", "sip"), answer("sip-pstn", above="sip"), How.ALSO, "sip-pstn"),
    "the whole where a part is meant": (label("sip-pstn"), answer("sip"), How.WRONG, "sip"),
    "another": (label("tls"), answer("teams"), How.WRONG, "teams"),
    "no name": (label("tls"), answer(), How.MISSED, "-"),
    "two meanings, the second right": (label("tls"), answer("teams", "tls"), How.NAME, "tls"),
    "two meanings, none right": (label("dns"), answer("teams", "tls"), How.WRONG, "teams"),
}


@pytest.mark.parametrize(("wanted", "said", "how", "name"), JUDGED.values(), ids=JUDGED)
def test_judged(wanted: Label, said: Answer, how: How, name: str) -> None:
    assert judge(said, wanted) is how
    assert given(said, wanted) == name


def test_figures_of_a_service() -> None:
    found = scores(
        *world(
            (label("tls"), answer("tls", packets=3)),
            (label("tls"), answer("tls", packets=5)),
            (label("tls"), answer("tube", carrier="tls")),
            (label("tls"), answer("teams", packets=9)),
            (label("tls"), answer()),
            (label("dns"), answer("tls", packets=4)),
            (label("other"), answer("tls")),
            (label("unknown"), answer("tls")),
        ),
        CATALOGUE,
    )
    tls = found["tls"]
    assert (tls.category, len(tls.of_labels), tls.caught) == ("base", 5, 3)
    assert (len(tls.of_named), tls.wrong, tls.on_unknown) == (4, 2, 1)
    assert (tls.recall, tls.precision) == (3 / 5, 2 / 4)
    assert tls.below
    assert (tls.packets, tls.bytes) == ([3, 5, 4], [300, 500, 400])
    assert (found["teams"].wrong, found["teams"].recall, found["teams"].precision) == (1, None, 0)
    assert not found["teams"].below
    assert found["tube"].by_host
    assert not found["tls"].by_host
    assert {"other", "unknown"}.isdisjoint(found)


def test_a_label_is_no_site() -> None:
    found = scores(*world((label("teams"), answer("teams"))), CATALOGUE)
    assert not found["teams"].by_host


def test_a_part_is_counted_under_its_own_name_and_caught_for_the_whole() -> None:
    found = scores(*world((label("sip"), answer("sip-pstn", above="sip"))), CATALOGUE)
    assert (found["sip"].caught, len(found["sip"].of_named)) == (1, 0)
    assert (len(found["sip-pstn"].of_labels), found["sip-pstn"].precision) == (0, 1)


def test_a_flow_that_was_not_read_is_missed() -> None:
    labels, _ = world((label("tls"), answer("tls")))
    assert scores(labels, {}, CATALOGUE)["tls"].recall == 0
    assert list(wrongs(labels, {})) == [Wrong("one.pcap", "tls", "-")]


def test_a_label_unknown_to_the_catalogue_has_a_category() -> None:
    found = scores(*world((label("webex"), answer()), (label("irc"), answer())), CATALOGUE)
    assert (found["webex"].category, found["irc"].category) == ("voip", "")


@pytest.mark.parametrize(("flows", "wrong", "below"), [(4, 4, False), (20, 1, False), (19, 1, True), (5, 0, False)])
def test_the_mark_of_recall(flows: int, wrong: int, below: bool) -> None:
    answers = [answer()] * wrong + [answer("tls")] * (flows - wrong)
    found = scores(*world(*((label("tls"), one) for one in answers)), CATALOGUE)
    assert found["tls"].below is below


@pytest.mark.parametrize(("right", "below"), [(49, False), (48, True)])
def test_the_mark_of_precision(right: int, below: bool) -> None:
    pairs = [(label("tls"), answer("tls"))] * right + [(label("dns"), answer("tls"))]
    assert scores(*world(*pairs), CATALOGUE)["tls"].below is below


def test_what_was_not_right_by_file() -> None:
    labels, answers = world(
        (label("tls"), answer("teams")),
        (label("tls"), answer("tls")),
        (label("tls"), answer("teams")),
        (label("tls", file="two.pcap"), answer()),
        (label("unknown"), answer("teams")),
        (label("other"), answer()),
        (label("other"), answer("stun")),
    )
    assert wrongs(labels, answers) == {
        Wrong("one.pcap", "other", "stun"): [7],
        Wrong("one.pcap", "tls", "teams"): [1, 3],
        Wrong("two.pcap", "tls", "-"): [4],
    }


def test_the_worst_fault() -> None:
    wrong = [Wrong("a", one, name) for one in (*ORDINARY, "ssh") for name in ("stun", "tls", "tube", "-")]
    assert on_ordinary(wrong, CATALOGUE) == [Wrong("a", one, "stun") for one in ORDINARY]


@pytest.mark.parametrize(
    ("values", "part", "expected"),
    [([7], 0.5, 7), ([1, 2], 0.5, 1), ([3, 1, 2], 0.5, 2), (range(1, 101), 0.95, 95), (range(1, 21), 0.95, 19)],
)
def test_percentile(values: list[int], part: float, expected: int) -> None:
    assert percentile(list(values), part) == expected


@drawn(st.lists(st.integers(0, 99), min_size=1), st.floats(0.01, 1))
def test_a_percentile_is_one_of_the_values_and_enough_are_at_or_below(values: list[int], part: float) -> None:
    found = percentile(values, part)
    assert found in values
    assert sum(value <= found for value in values) >= part * len(values) - 1e-9


def test_flows_are_apart_by_file() -> None:
    assert flow(1) != flow(1, "two.pcap")
