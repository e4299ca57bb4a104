"""Carriers whose calls come as media streams."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator

from config.section import BaseUrl, Section


class CarrierCredentials(Section):
    account: str = Field("", description="The account's id at the carrier.")
    secret: SecretStr | None = Field(
        None, description="Checks the carrier's signatures, hangs up by its API."
    )


class CarrierSettings(Section):
    enabled: tuple[Literal["twilio", "telnyx", "plivo", "exotel", "vonage", "genesys"], ...] = Field(
        (), description="Carriers that may open media streams."
    )
    public_url: BaseUrl | None = Field(
        None, description="https://... under which carriers reach this server."
    )
    twilio: CarrierCredentials = CarrierCredentials()
    telnyx: CarrierCredentials = CarrierCredentials()
    plivo: CarrierCredentials = CarrierCredentials()
    exotel: CarrierCredentials = CarrierCredentials()
    vonage: CarrierCredentials = CarrierCredentials()
    genesys: CarrierCredentials = CarrierCredentials()

    @model_validator(mode="after")
    def _verifiable(self) -> Self:
        if self.enabled and self.public_url is None:
            raise ValueError(
                "carriers.enabled names carriers, so carriers.public_url must be set: "
                "the https:// address under which they reach this server."
            )
        for name in self.enabled:
            credentials: CarrierCredentials = getattr(self, name)
            # Telnyx signs with a key pair: the public key is enough to check it.
            if name == "telnyx" and not credentials.account:
                raise ValueError("carriers.telnyx.account must be set: the public key of its webhooks.")
            if name in ("exotel", "genesys") and not credentials.account:
                raise ValueError(f"carriers.{name}.account must be set, to check who opens a stream.")
            if name != "telnyx" and credentials.secret is None:
                raise ValueError(
                    f"carriers.{name}.secret must be set, to check the carrier's signature: "
                    f"set OFFHOOK_CARRIERS__{name.upper()}__SECRET."
                )
        return self
