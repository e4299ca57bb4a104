from __future__ import annotations

import pytest
from pydantic import SecretStr

from config.settings import WebRtcSettings
from transports.webrtc.ice import ice_servers, own_ice_servers, turn_credentials


def test_nothing_is_asked_of_any_server_unless_it_was_set() -> None:
    assert ice_servers(WebRtcSettings(), now=0, user="u") == []


def test_turn_credentials_are_what_coturn_computes() -> None:
    # printf %s 1700003600:abc | openssl dgst -sha1 -hmac north -binary | base64
    username, password = turn_credentials("north", expires_at=1_700_003_600, user="abc")
    assert username == "1700003600:abc"
    assert password == "IMSPYGMI9e0aXDFcZousOwkA8N0="


def test_turn_servers_come_with_credentials_that_end() -> None:
    settings = WebRtcSettings(
        stun=("stun:stun.example:3478",),
        turn=("turn:turn.example:3478?transport=udp", "turns:turn.example:5349?transport=tcp"),
        turn_secret=SecretStr("north"),
        turn_ttl_s=600,
    )
    stun, turn = ice_servers(settings, now=1000.7, user="abc")
    assert stun == {"urls": ["stun:stun.example:3478"]}
    assert turn["urls"] == list(settings.turn)
    assert turn["username"] == "1600:abc"
    assert own_ice_servers([stun, turn])[1].credential == turn["credential"]


@pytest.mark.parametrize("secret", ["", "s", "long " * 50])
def test_any_secret_makes_a_credential(secret: str) -> None:
    assert len(turn_credentials(secret, expires_at=1, user="u")[1]) == 28
