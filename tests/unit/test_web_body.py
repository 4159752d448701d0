"""Bodies as bytes: what is refused, and that the rest is what `json` and `urllib` say."""

import json
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from propusk.errors import AuthError, InvalidInput, MalformedJson, UnsupportedMediaType
from propusk.faults import MAX_ERRORS
from propusk.strict_json import MAX_DEPTH
from propusk.web.body import MAX_BODY, MAX_FORM_FIELDS, media_type, parse_form, parse_json
from tests.kit import least_cost

MALFORMED = {
    "nothing": b"",
    "blank": b" \n",
    "no JSON": b"email=ada@example.com",
    "half a document": b'{"password": "zq7canary',
    "two documents": b"{} {}",
    "single quotes": b"{'a': 1}",
    "a comment": b'{"a": 1} // b',
    "a comma too many": b'{"a": 1,}',
    "a byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "UTF-16 without its mark": '{"a": 1}'.encode("utf-16-le"),
    "UTF-32": '{"a": 1}'.encode("utf-32"),
    "Latin-1": '{"a": "é"}'.encode("latin-1"),
    "an overlong slash": b'{"a": "\xc0\xaf"}',
    "a raw surrogate": b'{"a": "\xed\xa0\x80"}',
    "a raw NUL": b'{"a": "\x00"}',
    "a raw line end in a string": b'{"a": "b\nc"}',
    "a name twice": b'{"password": "zq7canary", "password": "b"}',
    "a name twice, once escaped": b'{"email": 1, "\\u0065mail": 2}',
    "a name twice deep inside": b'{"a": [{"b": 1, "b": 2}]}',
    "NaN": b'{"a": NaN}',
    "Infinity": b"[Infinity]",
    "minus Infinity": b"[-Infinity]",
    "a float beyond doubles": b"[1e999]",
    "a negative float beyond doubles": b"[-1e999]",
    "5000 digits": b"[" + b"9" * 5000 + b"]",
    "400 digits": b"[" + b"9" * 400 + b"]",
    "60 000 digits": b"9" * 60_000,
    "100 000 brackets": b"[" * 100_000,
    "60 000 braces": b'{"a":' * 10_000,
    "one level too many": b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1),
    "an open string of brackets": b'"' + b"[" * 60_000,
    "quotes, all escaped": b'"' + b'\\"' * 32_000,
    "backslashes": b'"' + b"\\" * 60_001,
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED.keys())
def test_t48_what_is_no_strict_json_is_malformed_at_once(body: bytes) -> None:
    def parse() -> MalformedJson:
        with pytest.raises(MalformedJson) as refusal:
            parse_json(body)
        return refusal.value

    assert least_cost(parse) < 0.5
    refusal = parse()
    assert refusal.__context__ is None, "the parser's error holds the document, secrets included"
    assert "zq7canary" not in str(refusal)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (rb'{"name": "a\u0000b"}', "name"),
        (rb'{"name": "\ud800"}', "name"),
        (rb'{"name": "\udfff"}', "name"),
        (rb'{"name": "\udc00\ud800"}', "name"),
        (rb'{"profile": {"a": ["x", "\u0000"]}}', "profile.a.1"),
        (rb'{"profile": {"\u0000": 1}}', "profile"),
        (rb'{"\ud800": 1}', "body"),
        (rb'"\u0000"', "body"),
        (rb'{"\u043f\u043e\u043b\u0435": "\u0000"}', "?"),
    ],
)
def test_t48_nul_and_lone_surrogates_are_refused_by_field(body: bytes, field: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        parse_json(body)
    assert [(error.field, error.code) for error in refusal.value.errors] == [(field, "invalid_characters")]


def test_t48_an_answer_names_a_few_bad_strings_not_thousands() -> None:
    with pytest.raises(InvalidInput) as refusal:
        parse_json(b"[" + rb'"\u0000",' * 5000 + b"1]")
    assert len(refusal.value.errors) == MAX_ERRORS


def test_a_surrogate_pair_is_a_character() -> None:
    assert parse_json(rb'["\ud83d\ude00", "\\u0000"]') == ["😀", "\\u0000"]


def test_a_document_at_the_bound_of_depth_is_taken_brackets_in_strings_do_not_count() -> None:
    deepest = b"[" * MAX_DEPTH + b"]" * MAX_DEPTH
    assert parse_json(deepest) == json.loads(deepest)
    assert parse_json(rb'["[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"{{{{{{{{{"]')


def json_values() -> st.SearchStrategy[Any]:
    texts = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=8)
    leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts
    return st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(texts, inner), max_leaves=12)


@given(json_values(), st.booleans())
def test_every_sane_document_is_read_as_json_reads_it(value: Any, ascii_only: bool) -> None:
    assert parse_json(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@given(st.binary() | st.text(st.sampled_from('{}[]":,\\u0d8 \n1e-N')).map(str.encode))
@example(b'{"a":1}\x00')
def test_t48_whatever_the_bytes_the_answer_is_a_value_or_a_refusal(body: bytes) -> None:
    try:
        parse_json(body)
    except AuthError as refusal:
        assert isinstance(refusal, MalformedJson | InvalidInput)
    else:
        assert json.loads(body) == parse_json(body)


@pytest.mark.parametrize(
    ("header", "kind"),
    [
        (b"application/json", "application/json"),
        (b"Application/JSON", "application/json"),
        (b"application/json;charset=utf-8", "application/json"),
        (b'application/json ; Charset="UTF-8"', "application/json"),
        (b"application/json;", "application/json"),
        (b"application/json; version=1", "application/json"),
        (b"application/problem+json", "application/problem+json"),
        (b"multipart/form-data; boundary=x", "multipart/form-data"),
    ],
)
def test_a_media_type_is_read_without_its_parameters(header: bytes, kind: str) -> None:
    assert media_type([header]) == kind


@pytest.mark.parametrize(
    "headers",
    [
        [b"application/json; charset=utf-16"],
        [b"application/json; charset=iso-8859-1"],
        [b"application/json; charset=utf-8; charset=utf-16"],
        [b"application/json, text/plain"],
        [b"application/json", b"application/json"],
        [b"application/json", b"text/plain"],
        [b""],
        [b"json"],
        [b"application/"],
        [b"application/json charset=utf-8"],
        [b"application/json\x00"],
        [b"\xd0\xb0pplication/json"],
    ],
)
def test_t30_a_media_type_that_can_be_read_in_two_ways_is_refused(headers: list[bytes]) -> None:
    with pytest.raises(UnsupportedMediaType):
        media_type(headers)


@pytest.mark.parametrize("filler", [b" ", b"; ", b" ;", b";\t \t", b'; a="', b"; a=b"])
def test_t49_a_long_media_type_costs_no_time(filler: bytes) -> None:
    def read() -> None:
        with pytest.raises(UnsupportedMediaType):
            media_type([b"application/json" + filler * 8000 + b"\x00"])

    assert least_cost(read) < 0.5


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (b"", {}),
        (b"username=ada&password=zq7canary", {"username": "ada", "password": "zq7canary"}),
        (b"a=1;b=2", {"a": "1;b=2"}),
        (b"a+b=c+d%2B", {"a b": "c d+"}),
        (b"a=%D0%B6&b=\xd0\xb6", {"a": "ж", "b": "ж"}),
        (b"a&b=&&c==", {"a": "", "b": "", "c": "="}),
        (b"a=%250", {"a": "%0"}),
        (b"%5B%5D=[", {"[]": "["}),
    ],
)
def test_a_form_is_read(body: bytes, fields: dict[str, str]) -> None:
    assert parse_form(body) == fields


@pytest.mark.parametrize(
    "body",
    [
        b"a=%zz",
        b"a=%",
        b"a=%2",
        b"%=1",
        b"a=%0\n",
        b"a=%ff",
        b"a=\xff",
        b"a=%ed%a0%80",
        b"a=%c0%af",
        b"password=zq7canary&password=b",
        b"a=1&%61=2",
        b"a=1&a",
        b"&" * 50,
        b"a&" * 32_000,
        b"&".join(b"f%d=" % n for n in range(51)),
    ],
)
def test_t49_a_form_that_is_broken_ambiguous_or_crowded_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedJson) as refusal:
        parse_form(body)
    assert refusal.value.__context__ is None
    assert "zq7canary" not in str(refusal.value)


@pytest.mark.parametrize(("body", "field"), [(b"username=a%00", "username"), (b"a%00=1", "body"), (b"a=\x00", "a")])
def test_t48_nul_in_a_form_is_refused_by_field(body: bytes, field: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        parse_form(body)
    assert [(error.field, error.code) for error in refusal.value.errors] == [(field, "invalid_characters")]


def test_a_form_of_fifty_fields_is_taken() -> None:
    assert len(parse_form(b"&".join(b"f%d=" % n for n in range(50)))) == 50


@given(
    st.dictionaries(
        st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"])),
        st.text("aж +&=%;"),
        max_size=MAX_FORM_FIELDS,
    )
)
def test_a_form_comes_back_as_it_was_encoded(fields: dict[str, str]) -> None:
    assert parse_form(urlencode(fields).encode()) == fields


@given(st.binary(max_size=MAX_BODY))
def test_t49_whatever_the_form_the_answer_is_fields_or_a_refusal(body: bytes) -> None:
    try:
        fields = parse_form(body)
    except AuthError as refusal:
        assert isinstance(refusal, MalformedJson | InvalidInput)
    else:
        assert not any("\x00" in text for pair in fields.items() for text in pair)
