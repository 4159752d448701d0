"""Keys at rest: made once, readable by us alone, and refused when they are not what they should be."""

import os
import threading
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from propusk.crypto.keyfiles import load_private_keys, load_secret_keys, prepend_key, read_keys, write_keys
from propusk.crypto.keyring import KeyFileError, generate_key, parse_keys
from propusk.settings import Algorithm, Settings
from tests.forgeries import unb64


def settings(data_dir: Path, **values: Any) -> Settings:
    return Settings(data_dir=data_dir, **values)


def write(path: Path, content: bytes, mode: int = 0o600) -> Path:
    path.write_bytes(content)
    path.chmod(mode)
    return path


def pem(key: Any, form: PrivateFormat = PrivateFormat.PKCS8, encryption: Any = None) -> bytes:
    made: bytes = key.private_bytes(Encoding.PEM, form, encryption or NoEncryption())
    return made


def test_t57_keys_are_made_once_and_for_us_alone(tmp_path: Path) -> None:
    data_dir = tmp_path / "deep" / "data"
    mask = os.umask(0)
    try:
        secret, private = load_secret_keys(settings(data_dir)), load_private_keys(settings(data_dir))
    finally:
        os.umask(mask)

    assert load_secret_keys(settings(data_dir)) == secret
    assert load_private_keys(settings(data_dir)) == private
    assert [key.algorithm for key in private] == [Algorithm.EDDSA]
    assert data_dir.stat().st_mode & 0o777 == 0o700
    assert {path.name: path.stat().st_mode & 0o777 for path in data_dir.iterdir()} == {
        "secret_key": 0o600,
        "signing_keys.pem": 0o600,
    }


def test_t57_processes_that_start_at_once_agree_on_the_secret_key(tmp_path: Path) -> None:
    for attempt in range(20):
        data_dir = tmp_path / str(attempt)
        data_dir.mkdir()
        barrier = threading.Barrier(4)
        found: list[Any] = []

        def start(data_dir: Path = data_dir, barrier: threading.Barrier = barrier, found: list[Any] = found) -> None:
            barrier.wait()
            found.append(load_secret_keys(settings(data_dir)))

        threads = [threading.Thread(target=start) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 4
        assert len(set(found)) == 1
        assert [path.name for path in data_dir.iterdir()] == ["secret_key"]


@pytest.mark.parametrize("content", [b"", b"\n", b"zq7canary-short", b"zq7canary" * 5 + b"\nshort"])
def test_t12_a_secret_key_file_without_a_long_key_stops_the_start(content: bytes, tmp_path: Path) -> None:
    write(tmp_path / "secret_key", content)
    with pytest.raises(KeyFileError) as refusal:
        load_secret_keys(settings(tmp_path))
    assert str(tmp_path / "secret_key") in str(refusal.value)
    assert "zq7canary" not in str(refusal.value)


def test_several_secret_keys_in_the_file_are_newest_first(tmp_path: Path) -> None:
    write(tmp_path / "secret_key", b"zq7canary-new-" + b"n" * 32 + b"\n" + b"zq7canary-old-" + b"o" * 32 + b"\n")
    keys = load_secret_keys(settings(tmp_path))
    assert [key.material[:13] for key in keys.keys] == [b"zq7canary-new", b"zq7canary-old"]


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o644, 0o666])
def test_t57_a_key_file_that_others_may_read_stops_the_start(mode: int, tmp_path: Path) -> None:
    write(tmp_path / "secret_key", b"zq7canary" * 5, mode)
    with pytest.raises(KeyFileError, match="chmod 600"):
        load_secret_keys(settings(tmp_path))

    path = write(tmp_path / "keys.pem", generate_key(Algorithm.EDDSA).pem, mode)
    with pytest.raises(KeyFileError, match="chmod 600"):
        load_private_keys(settings(tmp_path, signing_key_file=path))


def test_a_key_file_of_our_group_is_taken(tmp_path: Path) -> None:
    path = write(tmp_path / "keys.pem", generate_key(Algorithm.EDDSA).pem, 0o640)  # how Kubernetes mounts secrets
    assert len(load_private_keys(settings(tmp_path, signing_key_file=path))) == 1


def test_t57_a_key_file_that_is_not_there_or_a_folder_stops_the_start(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.pem", tmp_path):
        with pytest.raises(KeyFileError) as refusal:
            load_private_keys(settings(tmp_path, signing_key_file=path))
        assert str(path) in str(refusal.value)


ED25519, P256 = ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP256R1())
BAD_PEM = {
    "empty": b"",
    "text": b"zq7canary, not a key",
    "half a key": pem(ED25519)[:60],
    "a broken key": pem(ED25519).replace(b"MC4", b"MC5"),
    "an encrypted key": pem(ED25519, encryption=BestAvailableEncryption(b"zq7canary")),
    "a public key": ED25519.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    "a SEC 1 key": pem(P256, PrivateFormat.TraditionalOpenSSL),
    "an OpenSSH key": pem(ED25519, PrivateFormat.OpenSSH),
    "P-384": pem(ec.generate_private_key(ec.SECP384R1())),
    "secp256k1": pem(ec.generate_private_key(ec.SECP256K1())),
    "Ed448": pem(ed448.Ed448PrivateKey.generate()),
    "RSA of 1024 bits": pem(rsa.generate_private_key(65537, 1024)),
    "DSA": pem(dsa.generate_private_key(1024)),
    "a good key and a SEC 1 key": pem(ED25519) + pem(P256, PrivateFormat.TraditionalOpenSSL),
    "a SEC 1 key and a good key": pem(P256, PrivateFormat.TraditionalOpenSSL) + pem(ED25519),
    "a good key and a bad one": pem(ED25519) + pem(ed448.Ed448PrivateKey.generate()),
    "a good key and half of one": pem(ED25519) + pem(P256)[:80],
}


@pytest.mark.parametrize("content", BAD_PEM.values(), ids=BAD_PEM)
def test_t57_what_is_no_key_of_ours_stops_the_start(content: bytes, tmp_path: Path) -> None:
    path = write(tmp_path / "keys.pem", content)
    with pytest.raises(KeyFileError) as refusal:
        load_private_keys(settings(tmp_path, signing_key_file=path))
    said = str(refusal.value)
    assert said.startswith(f"{path}: ")
    assert not any(line in said for line in content.decode().splitlines() if line and line[0] != "-")


def test_keys_with_comments_and_windows_line_ends_are_taken() -> None:
    content = b"# the newest\r\n" + pem(ED25519).replace(b"\n", b"\r\n") + b"# the one before\r\n" + pem(P256)
    assert [key.algorithm for key in parse_keys(content)] == [Algorithm.EDDSA, Algorithm.ES256]


def test_t57_a_file_without_a_key_of_the_chosen_algorithm_stops_the_start(tmp_path: Path) -> None:
    path = write(tmp_path / "keys.pem", pem(ED25519))
    with pytest.raises(KeyFileError, match="ES256"):
        load_private_keys(settings(tmp_path, signing_key_file=path, token_algorithm="ES256"))
    assert path.read_bytes() == pem(ED25519)


def test_the_generated_file_gets_a_key_when_the_algorithm_changes(tmp_path: Path) -> None:
    old = load_private_keys(settings(tmp_path))
    new = load_private_keys(settings(tmp_path, token_algorithm="ES256"))
    assert [key.algorithm for key in new] == [Algorithm.ES256, Algorithm.EDDSA]
    assert load_private_keys(settings(tmp_path)) == new
    assert new[1:] == old
    assert load_private_keys(settings(tmp_path, token_algorithm="HS256")) == ()


def test_a_key_file_is_replaced_whole_and_stays_private(tmp_path: Path) -> None:
    path = write(tmp_path / "keys.pem", pem(ED25519))
    write(tmp_path / "keys.pem.new", b"left behind by a killed run", 0o644)
    first = read_keys(path)
    key = generate_key(Algorithm.EDDSA)
    assert prepend_key(path, key, first) == read_keys(path) == (key, *first)
    assert path.stat().st_mode & 0o777 == 0o600
    write_keys(path, (key,))
    assert read_keys(path) == (key,)
    assert [entry.name for entry in tmp_path.iterdir()] == ["keys.pem"]


def test_a_replaced_key_file_keeps_its_mode_and_owner(tmp_path: Path) -> None:
    path = write(tmp_path / "keys.pem", pem(ED25519), 0o640)
    if os.geteuid() == 0:
        os.chown(path, 4711, 4712)
    before = path.stat()
    write_keys(path, (generate_key(Algorithm.EDDSA),))
    after = path.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert after.st_ino != before.st_ino


def test_an_rsa_key_has_3072_bits_and_a_given_one_at_least_2048(tmp_path: Path) -> None:
    assert len(unb64(generate_key(Algorithm.RS256).public_jwk["n"])) * 8 == 3072
    path = write(tmp_path / "keys.pem", pem(rsa.generate_private_key(65537, 2048)))
    assert read_keys(path)[0].algorithm is Algorithm.RS256
    with pytest.raises(ValueError, match="secret_key"):
        generate_key(Algorithm.HS256)


def test_keys_do_not_print_themselves(tmp_path: Path) -> None:
    secret, private = load_secret_keys(settings(tmp_path)), load_private_keys(settings(tmp_path))
    shown = repr(secret) + repr(private)
    assert secret.newest.material.decode() not in shown
    assert private[0].pem.decode().splitlines()[1] not in shown
    assert str(private[0].jwk.as_dict(private=True)["d"]) not in shown
