"""What is sealed opens with its key, in its place, unchanged; the key's file is its owner's alone."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from push_service.crypto.jws import base64url
from push_service.crypto.sealing import SealBroken, Sealer, key_from_file, key_from_text

KEY = bytes(range(32))
PLACE = "devices.totp_secret:dev_1"
sealer = Sealer(KEY)


@given(st.text())
def test_any_text_comes_back(text: str) -> None:
    assert Sealer(KEY).open(sealer.seal(text, PLACE), PLACE) == text


@pytest.mark.parametrize("place", ["devices.totp_secret:dev_2", "devices.push_token:dev_1", "", PLACE + " "])
def test_it_opens_nowhere_else(place: str) -> None:
    with pytest.raises(SealBroken):
        sealer.open(sealer.seal("secret", PLACE), place)


def test_it_opens_with_no_other_key() -> None:
    with pytest.raises(SealBroken):
        Sealer(bytes(32)).open(sealer.seal("secret", PLACE), PLACE)


def test_every_single_change_breaks_it() -> None:
    sealed = sealer.seal("secret", PLACE)
    for n in range(len(sealed)):
        for flipped in (1, 0x80):
            changed = bytearray(sealed)
            changed[n] ^= flipped
            with pytest.raises(SealBroken):
                sealer.open(bytes(changed), PLACE)


def test_a_part_of_it_opens_as_little_as_more_of_it() -> None:
    sealed = sealer.seal("secret", PLACE)
    for length in range(len(sealed)):
        with pytest.raises(SealBroken):
            sealer.open(sealed[:length], PLACE)
    with pytest.raises(SealBroken):
        sealer.open(sealed + b"\0", PLACE)


def test_the_same_text_is_sealed_differently_each_time() -> None:
    assert len({sealer.seal("secret", PLACE) for _ in range(100)}) == 100


def test_a_keyed_hash_depends_on_key_and_data_and_nothing_else() -> None:
    assert sealer.mac(b"body") == Sealer(KEY).mac(b"body")
    assert len({sealer.mac(b"body"), sealer.mac(b"Body"), sealer.mac(b""), Sealer(bytes(32)).mac(b"body")}) == 4


@pytest.mark.parametrize("length", [0, 16, 31, 33, 64])
def test_a_key_has_32_bytes(length: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Sealer(bytes(length))
    if length:
        with pytest.raises(ValueError, match="32 bytes"):
            key_from_text(base64url(bytes(length)))


@pytest.mark.parametrize("text", ["", "not a key!", "é" * 43, "A" * 42 + "B"])
def test_a_key_is_base64url(text: str) -> None:
    with pytest.raises(ValueError, match="key"):
        key_from_text(text)


def test_a_key_may_be_written_with_padding_and_a_newline() -> None:
    assert key_from_text(base64url(KEY) + "=\n") == KEY


def test_the_file_is_made_at_first_use_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "key"
    before = os.umask(0)
    try:
        made = key_from_file(path)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600
    assert key_from_file(path) == made
    assert list(tmp_path.iterdir()) == [path]
    assert key_from_file(tmp_path / "another") != made


@pytest.mark.security("S-68")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o620, 0o601])
def test_a_file_that_others_may_read_or_write_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key"
    key_from_file(path)
    path.chmod(mode)
    with pytest.raises(ValueError, match="0600"):
        key_from_file(path)


@pytest.mark.security("S-68")
@pytest.mark.parametrize(("mode", "fits"), [(0o440, True), (0o660, False), (0o444, False)])
def test_a_credential_of_systemd_may_show_a_right_to_read_for_its_group(tmp_path: Path, mode: int, fits: bool) -> None:  # noqa: FBT001
    path = tmp_path / "key"
    made = key_from_file(path)
    path.chmod(mode)
    if fits:
        assert key_from_file(path, group_may_read=True) == made
    else:
        with pytest.raises(ValueError, match="0600"):
            key_from_file(path, group_may_read=True)


def test_all_who_start_at_once_get_the_same_key(tmp_path: Path) -> None:
    """Each either makes the file or finds it whole."""
    for round_ in range(20):
        path = tmp_path / f"key{round_}"
        found: list[bytes] = []
        start = threading.Barrier(8)

        def read(path: Path = path, found: list[bytes] = found, start: threading.Barrier = start) -> None:
            start.wait()
            found.append(key_from_file(path))

        threads = [threading.Thread(target=read) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 8
        assert len(set(found)) == 1
    assert len(list(tmp_path.iterdir())) == 20
