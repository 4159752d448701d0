"""What may stand in `database_url`."""

import pytest
from sqlalchemy import text

from propusk.create import make_engine
from propusk.db.engine import database_url
from propusk.settings import Settings, SettingsError
from tests.backends import Backend

NAMES = {"sqlite": "sqlite:////tmp/a.db", "postgresql": "postgresql://u:zq7canary@h/a", "mariadb": "mysql://u@h/a"}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("option", ["zq7", "connect_timeout", "timeout", "plugin", "server_settings", "sql_mode"])
def test_an_option_that_has_no_effect_is_refused_by_its_name(name: str, option: str) -> None:
    with pytest.raises(SettingsError, match=f"^database_url: there is no option '{option}'") as refused:
        make_engine(f"{NAMES[name]}?{option}=zq7canary")
    assert "zq7canary" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://h/a?sslmode=zq7canary",
        "postgresql://h/a?sslmode=prefer&sslmode=zq7canary",
        "postgresql://h/a?port=zq7canary",
        "postgresql://h:65536/a",
        "mysql://h/a?ssl_check_hostname=zq7canary",
        "mysql://h/a?charset=utf8mb4&charset=zq7canary",
        "mysql:///a?host=h&host=zq7canary",
        "sqlite://zq7canary/a.db",
    ],
)
def test_a_value_that_cannot_be_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(SettingsError, match=r"^database_url: ") as refused:
        make_engine(url)
    assert "zq7canary" not in str(refused.value)


def test_a_value_that_cannot_be_is_refused_before_anything_is_made_of_it() -> None:
    settings = Settings.model_validate({"database_url": "postgresql://h/a?sslmode=zq7canary"})
    with pytest.raises(SettingsError, match=r"^database_url: sslmode is one of disable, "):
        database_url(settings)


OPTIONS = {
    "sqlite": [""],
    "postgresql": [
        "sslmode=prefer",
        "ssl=prefer",
        "host=127.0.0.1&port=5432",
        "host=127.0.0.1:5432&host=127.0.0.1:5432&target_session_attrs=any",
        "user=postgres&passfile=/nowhere&prepared_statement_cache_size=0",
        "pgbouncer=true",
    ],
    "mariadb": ["charset=utf8mb4", "host=127.0.0.1&program_name=propusk", "user=root&read_default_group=client"],
}


async def test_options_that_the_drivers_heed_are_let_through(backend: Backend) -> None:
    for options in OPTIONS[backend.name]:
        engine = make_engine(f"{backend.url}?{options}")
        async with engine.connect() as connection:
            assert (await connection.execute(text("SELECT 1"))).scalar_one() == 1
        await engine.dispose()
