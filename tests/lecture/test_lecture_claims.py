"""The claims: how they are judged, that slips are found, that what is computed is right."""

import math

import pytest

from vizcnn.lecture.claim_tables import make_claims_table
from vizcnn.lecture.claims import (
    VERDICTS,
    check_claim,
    compare,
    count_verdicts,
    describe_miss,
    list_claims,
    parse_number,
)
from vizcnn.lecture.studio import SECTIONS


@pytest.mark.parametrize(
    ("claimed", "value", "verdict"),
    [
        ("34,944", 34_944, "holds"),
        ("34,944", 34_945, "does not hold"),
        ("~150K", 150_528, "holds when rounded"),
        ("~25K", 25_088, "holds when rounded"),
        ("~400K", 401_408, "holds when rounded"),
        ("24M", 15_237_608, "does not hold"),
        ("138M", 138_357_544, "holds when rounded"),
        ("122M", 123_633_664, "does not hold"),
        ("~40%", 37.6, "holds when rounded"),
        ("~30%", 28.66, "holds when rounded"),
        ("73M", 73_608_192, "holds when rounded"),  # rounded down
        ("74M", 73_608_192, "holds when rounded"),
        ("72M", 73_608_192, "does not hold"),
        ("4x", 3.148, "does not hold"),
        ("-4", -4, "holds"),
        ("28×28×480", "28×28×480", "holds"),
        ("28×28×480", "28×28×481", "does not hold"),
    ],
)
def test_verdicts(claimed, value, verdict):
    assert compare(claimed, value) == verdict


def test_k_of_parameters_may_be_1024():
    assert compare("112K", 112 * 1024) == "does not hold"
    assert compare("112K", 112 * 1024, kibi=True) == "holds"


def test_zeros_before_a_k_are_digits_but_for_some():
    assert compare("1000K", 1_400_000) == "does not hold"
    assert compare("1000K", 1000 * 1024, kibi=True) == "holds"
    assert compare("~30%", 28.66) == "holds when rounded"
    assert compare("30%", 28.66) == "does not hold"


def test_a_note_on_a_slip_stands_only_where_there_is_one():
    for claim in list_claims():
        if "gives another number" in claim.why or "give another number" in claim.why:
            assert claim.verdict == "does not hold", claim


def test_numbers_are_read_as_they_are_written():
    assert parse_number("2.7K") == pytest.approx((2700.0, 100.0))
    assert parse_number("12x") == (12.0, 1.0)
    assert parse_number("4096") == (4096.0, 0.0)
    assert parse_number("55×55×96") is None
    assert describe_miss("5M", 7_000_000) == "Off by 2,000,000 (28.6 %)."


def test_the_known_slips_are_found():
    slips = {(c.claimed, c.computed) for c in list_claims() if c.verdict == "does not hold"}
    assert ("356,816,512", "346,816,512") in slips
    assert ("864,196,224", "854,196,224") in slips
    assert ("24M", "15,237,608") in slips
    assert ("122M", "123,633,664") in slips
    assert ("5M", "6,998,552") in slips
    assert ("4", "5") in slips  # LeNet's layers
    assert any(claimed.startswith("[CONVx2-POOL]x3") for claimed, _ in slips)
    assert 28 * 28 * 256 * 3 * 3 * 192 == 346_816_512


def test_what_is_right_holds():
    right = {c.claimed for c in list_claims() if c.verdict == "holds"}
    assert {"34,944", "102,760,448", "271,351,808", "28×28×480", "25,690,112", "49", "27"} <= right


def test_vgg_weights_are_the_products_that_the_lecture_writes():
    told = {c.what: c.computed for c in list_claims() if c.section == "vgg"}
    assert told["table row conv3_2: weights"] == f"{math.prod((3, 3, 256, 256)):,}"
    assert told["table row fc6: weights"] == f"{7 * 7 * 512 * 4096:,}"
    assert told["table row pool3: numbers put out"] == f"{28 * 28 * 256:,}"


def test_every_claim_is_whole():
    claims = list_claims()
    assert sum(count_verdicts(claims).values()) == len(claims) > 200
    for claim in claims:
        assert claim.section in SECTIONS
        assert claim.verdict in VERDICTS
        assert claim.quote
        assert claim.what
        assert claim.claimed
        assert claim.how
        assert (claim.verdict == "cited") == (claim.computed == "")
        if claim.verdict == "does not hold":
            assert claim.why, claim
    assert len(make_claims_table(claims, "All").rows) == len(claims)


def check(claimed, note="", shown=""):
    row = {"section": "alexnet", "quote": "words", "what": "conv1", "source": "", "k": ""}
    call = "find_size(227, 11, 4)"
    return check_claim({**row, "claimed": claimed, "measure": call, "note": note, "shown": shown})


def test_a_claim_says_how_it_was_computed():
    claim = check("55", "A slip.")
    assert (claim.how, claim.computed) == ("find_size(227, 11, 4)", "55")
    assert (claim.verdict, claim.why) == ("holds", "")
    assert check("50", "A slip.").why == "Off by 5 (9.1 %). A slip."


@pytest.mark.parametrize(
    ("shown", "noted"),
    [("always", (True, True, True)), ("", (False, True, True)), ("slip", (False, False, True))],
)
def test_a_note_stands_where_the_file_says(shown, noted):
    claims = [check(claimed, "Noted.", shown) for claimed in ("55", "~50", "9")]
    assert tuple(claim.verdict for claim in claims) == VERDICTS[:3]
    assert tuple("Noted." in claim.why for claim in claims) == noted


def test_numbers_in_notes_are_computed():
    note = "{find_size(227, 11, 4) / 10:.1f} of {find_output('alexnet', 'conv1')}"
    assert check("55", note, "always").why == "5.5 of 55×55×96"
    for call in ("__import__('os')", "open('x')", "(1).real", "find_size.__class__"):
        with pytest.raises((KeyError, ValueError)):
            check("55", f"{{{call}}}", "always")
