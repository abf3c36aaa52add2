"""A damaged cache is named, and made whole again with all that its damage did not hit."""

from __future__ import annotations

import base64
import re
import sqlite3
import zlib
from contextlib import closing

import numpy as np
import pytest

from bistill.candidates.scores.cache import ScoreCache, folder_of, listing, rebuild
from bistill.errors import ArtifactError
from tests.candidates.scores.caches import (
    TEACHER,
    child,
    data_file,
    fill,
    flip,
    keys,
    logits,
    output_of,
    refusal_of_opening,
)

# data.mdb of bistill 0.1 with lmdb 3.0.0, compressed: pairs 0 to 7, then 8 to 11, then 99 for pair 0.
LMDB = (
    "c-rmST}V@59LMozn+_G(86qMva}k7CL}4W;(R`sSkg|wi8g2G+Q6>dN(1Zp;>Jajxybx!0la-_k(Ts4Oii|WO!Y(pjW?7L1T8W63"
    "M7qb81raR5`hG6X**U*+ZqBZL&;JoZ3Y$6ht0P{G_@2>!2ov9u`OnDfke}ZD@%c#qSvT)JtpET30002NrU_F2m%Uy8oBcm@-g`R!"
    "5&!@I004qc8}Q34gyK_FrB-n&HpQZt6`}Bj000000RMv7skc!KyL&!_l)p5Nze&|~UwfLAZ#1RtYP~Wh^Jfk9)(D5*t91{xKfEx}"
    "EQI-1Y}T|z<}LOy*P5mA4Z|fp%ZjbqwRg?EYF&puUFPoi!6!#^bJ`OplalvUWv|OO+Enj>m`5@{o8;Kpcz*A><jcMlnzxw+Wog}("
    "{uhO-WbT^!xb^w&y0Uu(70bK&6vyG$Q*C$5aR+5?vKHpw|J2yoHR#E7PG<M54trp6WrQ!5x$*RIw?|igqWMsz<*}jT=DVD2mREfq"
    "yDp&rCkUs(XZX4Tpc>>FK&`>7I1Q`=000000D{xM2d-AwE1F7A*-Y!}2diUhQU^9zCidHlWPT%~cziVOdTG<Kf%Yvs+ESv5kEkW~"
    "@JN}LZgh>bRCcCpPpCdQx+p6#@62s)XkqRinMYn)`MIc8L_|A!t4!XS_i@%C)wapB`G4>KAp!kAO868XO&<UN004jm$LL>Wk^B5L"
    "b8UZCXh8pG{to~E008(?7ViANBYk?wMbAQ?|LX(#f3#>-d`jy~*Qfsj00000=>LCz|9`Ci>*?m&`z*PiU*7-K{QnF02^gy"
)


def test_a_flipped_bit_of_a_value_is_an_error_and_costs_this_score() -> None:
    fill(500)
    with ScoreCache.open(TEACHER) as cache:
        (wanted,) = keys(cache, range(123, 124))
    flip(data_file().read_bytes().rindex(wanted) + 18, bit=3)
    with ScoreCache.open(TEACHER) as cache:
        with pytest.raises(ArtifactError, match=r"checksum(.|\n)*bistill scores rebuild") as caught:
            cache.get(keys(cache, range(500)))
        assert caught.value.where == str(data_file())
        assert not np.isnan(cache.get(keys(cache, range(100)))).any()
    assert rebuild(folder_of(TEACHER)) == (499, 1)
    with ScoreCache.open(TEACHER) as cache:
        found = cache.get(keys(cache, range(500)))
    assert np.flatnonzero(np.isnan(found)).tolist() == [123]
    np.testing.assert_array_equal(np.delete(found, 123), np.delete(logits(range(500)), 123))


@pytest.mark.parametrize("left", [1, 100, 4096, 8191, 50_000])
def test_a_cut_file_is_named_and_what_is_left_is_kept(left: int) -> None:
    fill()
    data_file().write_bytes(data_file().read_bytes()[:left])
    assert "bistill scores rebuild" in refusal_of_opening().todo
    (entry,) = listing()
    assert entry.identity == TEACHER and entry.bytes == left and entry.pairs == 0 and entry.damage
    kept, dropped = rebuild(folder_of(TEACHER))
    assert dropped == 0 and (kept > 1000 if left == 50_000 else (kept > 0) == (left == 8191))
    with ScoreCache.open(TEACHER) as cache:
        assert len(cache) == kept
        found = cache.get(keys(cache, range(3000)))
        assert np.isnan(found).sum() == 3000 - kept
        assert (np.isnan(found) | (found == logits(range(3000)))).all()


@pytest.mark.parametrize("content", [b"no database", b"\0" * 20_000, b"PK\x03\x04" * 5000])
def test_a_file_that_is_no_database_is_named(content: bytes) -> None:
    fill(7)
    data_file().write_bytes(content)
    refusal_of_opening()
    assert rebuild(folder_of(TEACHER)) == (0, 0)
    with ScoreCache.open(TEACHER) as cache:
        assert len(cache) == 0


def test_a_database_of_something_else_is_named() -> None:
    fill(7)
    data_file().unlink()
    with closing(sqlite3.connect(data_file())) as other:
        other.execute("CREATE TABLE score (pair BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID")
    assert refusal_of_opening().what == "this is not a file of teacher scores"


def test_a_page_that_is_destroyed_costs_the_scores_on_it() -> None:
    fill(3000)
    content = data_file().read_bytes()
    assert len(content) > 20 * 4096
    data_file().write_bytes(content[: 8 * 4096] + b"\xff" * 4096 + content[9 * 4096 :])
    assert re.fullmatch(r"SQLite finds damage \(.+\)", refusal_of_opening().what)
    kept, _ = rebuild(folder_of(TEACHER))
    assert 2800 < kept < 3000
    with ScoreCache.open(TEACHER) as cache:
        found = cache.get(keys(cache, range(3000)))
    assert np.isnan(found).sum() == 3000 - kept
    assert (np.isnan(found) | (found == logits(range(3000)))).all()


@pytest.mark.slow
def test_flips_anywhere_never_give_a_wrong_score_and_never_end_the_process() -> None:
    fill(3000, batches=10)
    code = (
        "import random\n"
        "random.seed(1)\n"
        "intact = data_file().read_bytes()\n"
        "for attempt in range(24):\n"
        "    data_file().write_bytes(intact)\n"
        # Half of them in what SQLite follows: the header, the table's definition, heads of pages with their offsets.
        "    place = random.randrange(len(intact))\n"
        "    flip(place if attempt % 2 else place // 4096 * 4096 + place % 220, random.randrange(8))\n"
        "    try:\n"
        "        with ScoreCache.open(TEACHER) as cache:\n"
        "            cache.put(keys(cache, range(0, 3000, 7)), logits(range(0, 3000, 7)))\n"
        "            found = cache.get(keys(cache, range(3000)))\n"
        "    except ArtifactError:\n"
        "        kept, dropped = rebuild(folder_of(TEACHER))\n"
        "        assert kept >= 2999, (kept, dropped)\n"
        "        with ScoreCache.open(TEACHER) as cache:\n"
        "            found = cache.get(keys(cache, range(3000)))\n"
        "    wrong = ~np.isnan(found) & (found != logits(range(3000)))\n"
        "    assert not wrong.any()\n"
    )
    output_of(child(code))


def test_rebuilding_an_intact_cache_keeps_the_newest_values() -> None:
    fill(3000, batches=30)
    with ScoreCache.open(TEACHER) as cache:
        cache.put(keys(cache, range(10)), np.arange(10) + 100)
    assert rebuild(folder_of(TEACHER)) == (3000, 0)
    with ScoreCache.open(TEACHER) as cache:
        assert cache.get(keys(cache, range(10))).tolist() == list(range(100, 110))
        np.testing.assert_array_equal(cache.get(keys(cache, range(10, 3000))), logits(range(10, 3000)))


def test_of_a_damaged_file_a_pair_with_two_values_is_dropped() -> None:
    fill(500)
    old = data_file().read_bytes()
    with ScoreCache.open(TEACHER) as cache:
        cache.put(keys(cache, range(10)), np.arange(10) + 100)
    data_file().write_bytes(data_file().read_bytes() + old)  # as pages that are no longer in use
    flip(16)  # and nobody can tell any more which value is the newer
    assert rebuild(folder_of(TEACHER)) == (490, 10)
    with ScoreCache.open(TEACHER) as cache:
        assert np.isnan(cache.get(keys(cache, range(10)))).all()
        np.testing.assert_array_equal(cache.get(keys(cache, range(10, 500))), logits(range(10, 500)))


def test_a_cache_of_lmdb_is_refused_and_carried_over() -> None:
    fill(1)
    data_file().unlink()
    old = folder_of(TEACHER) / "data.mdb"
    old.write_bytes(zlib.decompress(base64.b85decode(LMDB)))
    (folder_of(TEACHER) / "lock.mdb").touch()
    for read_only in (False, True):
        with pytest.raises(
            ArtifactError, match=r"in lmdb by an earlier release(.|\n)*scores rebuild --cache"
        ) as caught:
            ScoreCache.open(TEACHER, read_only=read_only)
        assert caught.value.where == str(old)
    (entry,) = listing()
    assert entry.bytes == 28_672 and entry.pairs == 0 and "lmdb" in entry.damage
    assert rebuild(folder_of(TEACHER)) == (11, 1)  # the first score was replaced by 99, and pages keep what they held
    assert sorted(file.name for file in folder_of(TEACHER).iterdir()) == ["identity.json", "scores.sqlite"]
    with ScoreCache.open(TEACHER) as cache:
        found = cache.get(keys(cache, range(12)))
    assert np.isnan(found[0])
    np.testing.assert_array_equal(found[1:], logits(range(1, 12)))


def test_a_disk_without_room_for_the_copy_leaves_the_old_file() -> None:
    fill(3000)
    code = (
        "import resource\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))\n"
        "try:\n"
        "    rebuild(folder_of(TEACHER))\n"
        "except ArtifactError as error:\n"
        "    print(error)\n"
    )
    assert "the scores cannot be copied" in output_of(child(code))
    with ScoreCache.open(TEACHER) as cache:
        np.testing.assert_array_equal(cache.get(keys(cache, range(3000))), logits(range(3000)))
    assert [folder.name for folder in folder_of(TEACHER).parent.iterdir()] == [folder_of(TEACHER).name]


def test_what_is_in_use_is_not_rebuilt() -> None:
    fill(7)
    with ScoreCache.open(TEACHER), pytest.raises(ArtifactError, match="in use"):
        rebuild(folder_of(TEACHER))
    holder = child("cache = ScoreCache.open(TEACHER)\nprint('open', flush=True)\nimport sys; sys.stdin.read()")
    assert holder.stdout is not None and holder.stdout.readline() == "open\n"
    with pytest.raises(ArtifactError, match="in use"):
        rebuild(folder_of(TEACHER))
    holder.kill()
    holder.communicate()
    assert rebuild(folder_of(TEACHER)) == (7, 0)


def test_the_listing_shows_every_cache() -> None:
    fill(21)
    other = {"model": "other"}
    ScoreCache.open(other).close()
    by_model = {entry.identity["model"]: entry for entry in listing()}
    assert (by_model["teacher"].pairs, by_model["other"].pairs) == (21, 0)
    assert by_model["teacher"].bytes == data_file().stat().st_size
    assert {entry.damage for entry in listing()} == {""}
