"""Keys at rest: from where the settings say, or made in `data_dir` on first use, readable by us alone."""

import os
import secrets
from pathlib import Path

from propusk.crypto.keyring import KeyFileError, PrivateKey, generate_key, parse_keys
from propusk.crypto.secrets import SecretKeys
from propusk.settings import Algorithm, Settings

SECRET_KEY_FILE = "secret_key"
SIGNING_KEY_FILE = "signing_keys.pem"


def load_secret_keys(settings: Settings) -> SecretKeys:
    """The secret keys of the settings, else those of `data_dir`, made there if there are none.

    Raises:
        KeyFileError: the file cannot be read, is open to others, or holds no key of 32 characters or more.
    """
    if settings.secret_key:
        return SecretKeys.of([key.get_secret_value() for key in settings.secret_key])
    path = settings.data_dir / SECRET_KEY_FILE
    if not path.exists():
        _create_whole(path, secrets.token_urlsafe(48).encode())
    keys = _read_private_file(path).decode("ascii", "replace").split()
    if not keys or any(len(key) < 32 for key in keys):
        raise KeyFileError(f"{path}: each key needs at least 32 characters")
    return SecretKeys.of(keys)


def signing_key_path(settings: Settings) -> Path:
    """The file with the private keys."""
    return settings.signing_key_file or settings.data_dir / SIGNING_KEY_FILE


def load_private_keys(settings: Settings) -> tuple[PrivateKey, ...]:
    """The private keys at the start, newest first. In `data_dir` one for the chosen algorithm is made if there is none.

    Raises:
        KeyFileError: the file cannot be read, or has no key for the chosen algorithm.
    """
    path = signing_key_path(settings)
    if settings.token_algorithm is Algorithm.HS256 or settings.signing_key_file:
        return reload_private_keys(settings)
    keys = read_keys(path) if path.exists() else ()
    if any(key.algorithm is settings.token_algorithm for key in keys):
        return keys
    return prepend_key(path, generate_key(settings.token_algorithm), keys)


def reload_private_keys(settings: Settings) -> tuple[PrivateKey, ...]:
    """The private keys, newest first, for a process that has had some: none is made in the place of one that is lost.

    Raises:
        KeyFileError: the file cannot be read, or has no key for the chosen algorithm.
    """
    if settings.token_algorithm is Algorithm.HS256:
        return ()
    keys = read_keys(path := signing_key_path(settings))
    if not any(key.algorithm is settings.token_algorithm for key in keys):
        raise KeyFileError(f"{path}: has no key for token_algorithm {settings.token_algorithm}")
    return keys


def read_keys(path: Path) -> tuple[PrivateKey, ...]:
    """The private keys of a file.

    Raises:
        KeyFileError
    """
    pem = _read_private_file(path)
    try:
        return parse_keys(pem)
    except KeyFileError as error:
        raise KeyFileError(f"{path}: {error}") from error


def _read_private_file(path: Path) -> bytes:
    try:
        mode = path.stat().st_mode
        content = path.read_bytes()
    except OSError as error:
        raise KeyFileError(f"{path}: cannot be read ({error.strerror})") from error
    if mode & 0o007:
        raise KeyFileError(f"{path}: others may read or change it; chmod 600 it")
    return content


def prepend_key(path: Path, key: PrivateKey, keys: tuple[PrivateKey, ...]) -> tuple[PrivateKey, ...]:
    """Write a new key before the older ones, at once or not at all; returns them all."""
    return write_keys(path, (key, *keys))


def write_keys(path: Path, keys: tuple[PrivateKey, ...]) -> tuple[PrivateKey, ...]:
    """Replace the keys of a file, at once or not at all. Its mode and owner stay: root may do this for the service.

    Raises:
        OSError: it cannot be written, or not with the owner that it has.
    """
    partial = path.with_name(path.name + ".new")
    partial.unlink(missing_ok=True)
    _create(partial, b"".join(key.pem for key in keys))
    try:
        if path.exists():
            _take_owner(partial, path.stat())
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise
    return keys


def _take_owner(path: Path, like: os.stat_result) -> None:
    made = path.stat()
    if (made.st_uid, made.st_gid) != (like.st_uid, like.st_gid):
        os.chown(path, like.st_uid, like.st_gid)
    path.chmod(like.st_mode & 0o770)


def _create_whole(path: Path, content: bytes) -> None:
    """A new file that is never seen half-written; if another process makes it at this moment, theirs stays."""
    partial = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    _create(partial, content)
    try:
        os.link(partial, path)
    except FileExistsError:
        pass
    except OSError:  # a file system without hard links
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _create(path: Path, content: bytes) -> None:
    """A new file, 0600 from its first moment, on the disk when this returns."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
