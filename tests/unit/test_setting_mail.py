"""`mail_url` and `mail_from`: what they say, and what is refused without showing the password."""

from typing import Any

import pytest
from pydantic import ValidationError

from propusk.cli.settings_list import shown_value
from propusk.setting_mail import MailServer, Sender, ascii_address, parse_mail_url, parse_sender
from propusk.settings import Settings, describe_faults

build: Any = Settings
PASSWORD = "zq7canary p@ss:w/rd#?"


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("smtp://mail.example.com", MailServer("mail.example.com", 587, "starttls")),
        ("smtp://mail.example.com/", MailServer("mail.example.com", 587, "starttls")),
        ("smtp://mail.example.com?security=starttls", MailServer("mail.example.com", 587, "starttls")),
        ("smtp://mail.example.com?security=tls", MailServer("mail.example.com", 465, "tls")),
        ("smtp://mail.example.com?security=none", MailServer("mail.example.com", 25, "none")),
        ("smtp://mail.example.com:2525?security=tls", MailServer("mail.example.com", 2525, "tls")),
        ("smtp://127.0.0.1:1025?security=none", MailServer("127.0.0.1", 1025, "none")),
        ("smtp://[::1]:1025", MailServer("::1", 1025, "starttls")),
        ("smtp://почта.example", MailServer("xn--80a1acny.example", 587, "starttls")),
        (
            "smtp://me%40example.com:zq7canary%20p%40ss%3Aw%2Frd%23%3F@mail.example.com:587",
            MailServer("mail.example.com", 587, "starttls", "me@example.com", PASSWORD),
        ),
    ],
)
def test_a_mail_url_names_a_server(url: str, server: MailServer) -> None:
    parsed = parse_mail_url(url)

    assert parsed == server
    assert "zq7canary" not in repr(parsed)
    assert "zq7canary" not in parsed.masked()
    if server.username is None:
        assert parse_mail_url(parsed.masked()) == server


@pytest.mark.parametrize(
    "url",
    [
        "",
        "mail.example.com",
        "smtps://me:zq7canary@mail.example.com",
        "http://me:zq7canary@mail.example.com",
        "smtp://",
        "smtp://me:zq7canary@",
        "smtp://me@mail.example.com",
        "smtp://:zq7canary@mail.example.com",
        "smtp://me:@mail.example.com",
        "smtp://me:zq7canary@mail.example.com:0",
        "smtp://me:zq7canary@mail.example.com:65536",
        "smtp://me:zq7canary@mail.example.com:smtp",
        "smtp://me:zq7canary#x@mail.example.com",
        "smtp://me:zq7canary/x@mail.example.com",
        "smtp://me:zq7canary?x@mail.example.com",
        "smtp://me:zq7canary[x@mail.example.com",
        "smtp://me:zq7canary%FF@mail.example.com",
        "smtp://me:zq7canary%0D%0AQUIT@mail.example.com",
        "smtp://me:zq7canary%00@mail.example.com",
        "smtp://me:zq7canary℀@mail.example.com",
        "smtp://me:zq7canary@mail.example.com/inbox",
        "smtp://me:zq7canary@mail.example.com#x",
        "smtp://me:zq7canary@mail example.com",
        "smtp://me:zq7canary@-mail.example.com",
        "smtp://me:zq7canary@mail.example.com?security=ssl",
        "smtp://me:zq7canary@mail.example.com?security=",
        "smtp://me:zq7canary@mail.example.com?security=none&security=tls",
        "smtp://me:zq7canary@mail.example.com?verify=no",
        "smtp://me:zq7canary@mail.example.com?security=tls&verify=no",
        "smtp://me:zq7canary@mail.example.com?" + "&".join(["security=tls"] * 20),
    ],
)
def test_what_is_no_mail_url_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(ValidationError) as refused:
        build(mail_url=url, mail_from="no-reply@example.com")

    assert describe_faults(refused.value).startswith("mail_url: ")
    assert "zq7canary" not in str(refused.value) + describe_faults(refused.value)


@pytest.mark.parametrize(
    ("text", "sender"),
    [
        ("no-reply@example.com", Sender("", "no-reply@example.com")),
        (" <no-reply@example.com> ", Sender("", "no-reply@example.com")),
        ("Example <no-reply@example.com>", Sender("Example", "no-reply@example.com")),
        ('"Example, Inc." <no-reply@example.com>', Sender("Example, Inc.", "no-reply@example.com")),
        ("Пропуск <no-reply@почта.example>", Sender("Пропуск", "no-reply@xn--80a1acny.example")),
        ("root@localhost", Sender("", "root@localhost")),
    ],
)
def test_a_sender_is_an_address_with_or_without_a_name(text: str, sender: Sender) -> None:
    assert parse_sender(text) == sender
    assert build(mail_from=text).mail_from == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Example",
        "Example <>",
        "a@example.com, b@example.com",
        "a@example.com b@example.com",
        "<a@example.com> <b@example.com>",
        "A <a@example.com>, B <b@example.com>",
        "A <<a@example.com>>",
        "A\r\nBcc: eve@example.com <a@example.com>",
        "a@example.com\nBcc: eve@example.com",
        "a@example.com\x00",
        '"a b"@example.com',
        "ä@example.com",
        "=?utf-8?q?a=2Cb?=@example.com",
        "a@",
        "a@exa mple.com",
        "x" * 500 + "@example.com",
    ],
)
def test_what_is_not_one_sender_is_refused(text: str) -> None:
    with pytest.raises(ValidationError) as refused:
        build(mail_from=text)
    assert describe_faults(refused.value).startswith("mail_from: ")


def test_a_mail_server_needs_a_sender() -> None:
    with pytest.raises(ValidationError, match="mail_from is needed"):
        build(mail_url="smtp://mail.example.com")


def test_an_address_is_written_for_an_envelope() -> None:
    assert ascii_address("Ada.B+c@Пример.EXAMPLE") == "Ada.B+c@xn--e1afmkfd.example"


def test_the_mail_server_is_shown_without_its_password() -> None:
    made = build(mail_url="smtp://me%40x:zq7canary@mail.example.com", mail_from="no-reply@example.com")

    assert shown_value(made, "mail_url") == "smtp://me%40x:********@mail.example.com:587?security=starttls"
    assert shown_value(build(), "mail_url") == "none"
    assert "zq7canary" not in repr(made) + str(made.mail_server)
