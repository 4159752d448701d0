"""Settings that an example's answers could not keep stop it at the start, with a sentence."""

import pytest

from propusk import SettingsError
from tests.examples.conftest import StartExample

DATABASES = ("sqlite",)


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("cookie_app", "private_registration"),
        ("jwt_task", "private_registration"),
        ("session_service", "private_registration"),
        ("user_management", "private_registration"),
        ("user_management", "require_verified_email"),
    ],
)
async def test_what_an_example_cannot_keep_stops_it(start_example: StartExample, name: str, setting: str) -> None:
    with pytest.raises(SettingsError, match=f"^{setting}: this app works with False only"):
        await start_example(name, **{f"PROPUSK_{setting.upper()}": "true"})
