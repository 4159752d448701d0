"""The login form, read without FastAPI's own reader."""

import httpx
import pytest

from propusk.errors import InvalidInput, MalformedJson
from propusk.web.login_form import parse_multipart

TYPE = "multipart/form-data; boundary=line"


def part(name: str, value: str, more: str = "") -> str:
    return f'--line\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n{value}\r\n'


def form(*parts: str) -> bytes:
    return ("".join(parts) + "--line--\r\n").encode()


def test_the_fields_of_a_form_are_read_whatever_is_in_them() -> None:
    fields = {"username": "ada@example.com", "password": "a\r\nb -- line ключ", "empty": ""}
    assert parse_multipart(TYPE, form(*(part(name, value) for name, value in fields.items()))) == fields


def test_the_form_of_another_program_is_read() -> None:
    request = httpx.Request("POST", "http://x", files={"username": (None, "ada"), "password": (None, "zq7canary")})
    assert parse_multipart(request.headers["content-type"], request.read()) == {
        "username": "ada",
        "password": "zq7canary",
    }


def test_names_are_found_in_quotes_or_without_and_in_any_case() -> None:
    plain = "--line\r\nCONTENT-DISPOSITION: form-data; name=username\r\nContent-Type: text/plain\r\n\r\nada\r\n"
    assert parse_multipart('multipart/form-data; boundary="line"', form(plain)) == {"username": "ada"}


def test_a_name_in_another_value_is_none() -> None:
    tricky = part("username", "ada", '; note="; name=password"') + part("file", "x", '; filename="; name=password"')
    assert parse_multipart(TYPE, form(tricky)) == {"username": "ada"}


def test_names_in_the_encodings_of_mails_are_none() -> None:
    """RFC 7578, section 4.2: what mails have for such names does not belong here."""
    odd = "--line\r\nContent-Disposition: form-data; name*=a;name*0*=b''c;name*1=d\r\n\r\nada\r\n"
    assert parse_multipart(TYPE, form(odd, part("file", "x", "; filename*=utf-8''a"))) == {}


def test_a_preamble_and_files_are_left_out() -> None:
    body = b"hello\r\n" + form(part("file", "MZ", '; filename="a.exe"'), part("username", "ada"))
    assert parse_multipart(TYPE, body) == {"username": "ada"}


def test_a_file_may_hold_anything() -> None:
    file = b'--line\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n\x00\xff\r\n'
    assert parse_multipart(TYPE, file + form(part("username", "ada"))) == {"username": "ada"}


@pytest.mark.parametrize("inside", ["--liner", "--line and more", "--line--and more", "--line --"])
def test_a_line_that_begins_like_a_boundary_is_none(inside: str) -> None:
    value = f"a\r\n{inside}\r\nb"
    assert parse_multipart(TYPE, form(part("password", value))) == {"password": value}


def test_a_boundary_may_have_spaces_after_it_and_what_follows_the_last_is_left_out() -> None:
    body = form(part("username", "ada").replace("--line", "--line \t")).replace(b"--line--", b"--line-- ")
    assert parse_multipart(TYPE, body + form(part("password", "b"))) == {"username": "ada"}


def test_a_field_twice_is_refused() -> None:
    with pytest.raises(MalformedJson):
        parse_multipart(TYPE, form(part("username", "ada"), part("username", "b")))


@pytest.mark.parametrize("parts", [part("username", "a\0b"), part("user\0name", "ada")])
def test_nul_is_refused(parts: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_multipart(TYPE, form(parts))
    assert refused.value.errors[0].code == "invalid_characters"


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", form(part("username", "ada"))),
        ('multipart/form-data; boundary=""', form(part("username", "ada"))),
        ("multipart/form-data; boundary=линия", form(part("username", "ada"))),
        (TYPE, b""),
        (TYPE, b"username=ada"),
        (TYPE, form(part("username", "ada")).removesuffix(b"--line--\r\n")),
        (TYPE, form(*[part("username", "ada")] * 60)),
        (TYPE, b'--line\r\nContent-Disposition: form-data; name="username"\r\n\r\n\xff\r\n--line--'),
        (TYPE, b"--line\r\n\xff\r\n\r\nada\r\n--line--"),
    ],
)
def test_what_is_no_form_is_refused(content_type: str, body: bytes) -> None:
    with pytest.raises(ValueError, match=r".*"):
        parse_multipart(content_type, body)
