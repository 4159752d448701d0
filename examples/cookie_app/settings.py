"""The names that this app has always had in its `.env`. What `PROPUSK_*` says wins over them."""

from typing import Any

from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import URL

from propusk import Settings, SettingsError, must_have

OWN_NAMES = {
    "secret_key": "JWT_SECRET_KEY",
    "token_algorithm": "JWT_ALGORITHM",
    "access_token_ttl": "ACCESS_TOKEN_EXPIRE_MINUTES",
    "database_url": "DB_…",
}


class Env(BaseSettings):
    model_config = SettingsConfigDict(env_file=".env", env_ignore_empty=True, extra="ignore")

    db_host: str = "127.0.0.1"
    db_port: int = 5432
    db_user: str = "postgres"
    db_pass: str | None = None
    db_name: str = "cookie_app"
    jwt_secret_key: str | None = None
    jwt_algorithm: str = "HS256"
    access_token_expire_minutes: int = 60


def load_settings() -> Settings:
    env = Env()
    values: dict[str, Any] = {
        "token_algorithm": env.jwt_algorithm,
        "access_token_ttl": f"{env.access_token_expire_minutes}m",
    }
    if env.jwt_secret_key is not None:
        values["secret_key"] = [env.jwt_secret_key]
    if any(name.startswith("db_") for name in env.model_fields_set):
        url = URL.create("postgresql", env.db_user, env.db_pass, env.db_host, env.db_port, env.db_name)
        values["database_url"] = url.render_as_string(hide_password=False)
    try:
        settings = Settings.from_env(values, token_encryption=True)
    except SettingsError as error:
        text = str(error)
        for name, own in OWN_NAMES.items():
            text = text.replace(name, f"{own} or PROPUSK_{name.upper()}")
        raise SettingsError(text) from None
    return must_have(settings, private_registration=False)  # a registration answers with the new user's id
