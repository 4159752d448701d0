"""A request's id comes from outside only if it can do no harm in headers and logs."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from propusk.web.request_id import request_id


def request(*values: bytes) -> dict[str, Any]:
    return {"type": "http", "headers": [(b"x-request-id", value) for value in values]}


@pytest.mark.parametrize("sent", [b"01234567", b"a.b-c_d.EFG", b"x" * 64])
def test_a_short_plain_id_is_kept(sent: bytes) -> None:
    assert request_id(request(sent), lambda: "new") == sent.decode()


@pytest.mark.parametrize(
    "sent",
    [
        [],
        [b""],
        [b"1234567"],
        [b"x" * 65],
        [b"01234567", b"01234567"],
        [b"01234567\n"],
        [b"01234567\r\nSet-Cookie: a=b"],
        [b"01234567 "],
        [b"0123\x1b[31m4567"],
        [b"0123/4567"],
        [b"01234567,01234568"],
        ["01234567ж".encode()],
        [b"0123456\xb2"],
    ],
)
def test_t50_any_other_id_is_replaced(sent: list[bytes]) -> None:
    assert request_id(request(*sent), lambda: "new") == "new"


def test_t50_a_header_with_underscores_is_another_header() -> None:
    assert request_id({"headers": [(b"x_request_id", b"01234567")]}, lambda: "new") == "new"


@given(st.binary(max_size=80))
def test_t50_whatever_the_bytes_an_id_splits_no_header_and_no_line(sent: bytes) -> None:
    found = request_id(request(sent), lambda: "new")
    assert found.isascii()
    assert found.isprintable()
    assert " " not in found
