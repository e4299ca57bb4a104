"""Who may log in here: callers from anywhere, and the telephones of an office."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr

from config.section import Section

_NAME = re.compile(r"[a-z0-9]+([._-][a-z0-9]+)*")


def _user(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(
            "a mapping by users of lower-case letters, digits, and single dots, dashes or underscores"
        )
    return name


LoginName = Annotated[str, AfterValidator(_user)]


class LoginSettings(Section):
    secret: SecretStr = Field(description="The password.")


class AuthSettings(Section):
    users: dict[LoginName, LoginSettings] = Field(
        {},
        max_length=1000,
        description="Who may call from anywhere, by password. Without any, sip.allow lists all who may.",
    )
    algorithms: tuple[Literal["md5", "sha-256"], ...] = Field(
        ("md5",),
        min_length=1,
        description="How passwords may be proved, the best first. Of sha-256, md5 many telephones understand "
        "neither.",
    )
    realm: str = Field("offhook", pattern=r'^[^"\\\s]+$', description="What telephones show of this server.")


class RegistrarSettings(Section):
    users: dict[LoginName, LoginSettings] = Field(
        {}, max_length=1000, description="Telephones that may log in, to be called by their user's name."
    )
    min_expires_s: int = Field(60, ge=10, le=3600, description="Shortest time for which one may.")
    max_expires_s: int = Field(3600, ge=60, le=86400, description="Longest time.")
    max_bindings: int = Field(5, ge=1, le=50, description="Telephones of one user at once.")
