from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel, SecretStr, ValidationError

from config.settings import CallSettings, HttpSettings, Settings, WebRtcSettings
from config.sip import SipSettings
from config.turn import TurnSettings


def test_the_defaults_are_a_server_that_works() -> None:
    settings = Settings()

    assert settings.sip.host == "0.0.0.0"
    assert settings.http.loopback
    assert settings.cache_dir == Path.home() / ".cache/offhook"


def test_the_tree_is_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().sip.port = 5070  # type: ignore[misc]


def test_every_key_says_what_it_is() -> None:
    def silent(model: type[BaseModel], prefix: str = "") -> list[str]:
        found = []
        for name, field in model.model_fields.items():
            if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
                found += silent(field.annotation, f"{prefix}{name}.")
            elif not field.description:
                found.append(prefix + name)
        return found

    assert silent(Settings) == []


def test_a_network_may_be_named_by_any_of_its_addresses() -> None:
    assert SipSettings(allow=("192.168.1.7/24", "10.0.0.1")).allow == ("192.168.1.0/24", "10.0.0.1/32")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_loopback_needs_no_key(host: str) -> None:
    assert HttpSettings(host=host).loopback


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.2", "::"])
def test_other_addresses_need_a_key(host: str) -> None:
    with pytest.raises(ValidationError, match=r"http\.api_key must be set"):
        HttpSettings(host=host)
    assert not HttpSettings.model_validate({"host": host, "api_key": "k" * 16}).loopback
    assert not HttpSettings(host=host, enabled=False).loopback


def test_a_short_key_says_how_to_make_a_long_one() -> None:
    with pytest.raises(ValidationError, match=r"at least 16 characters long, .* openssl rand") as refused:
        HttpSettings.model_validate({"api_key": "fifteen-letters"})
    assert refused.value.error_count() == 1
    HttpSettings.model_validate({"api_key": "sixteen-letters!"})


def test_carriers_and_proxies_need_a_key() -> None:
    carriers = {"enabled": ["twilio"], "public_url": "https://phone.example", "twilio": {"secret": "s"}}
    with pytest.raises(ValidationError, match=r"carriers\.enabled .* http\.api_key must be set"):
        Settings.model_validate({"carriers": carriers})
    Settings.model_validate({"carriers": carriers, "http": {"api_key": "k" * 16}})
    with pytest.raises(ValidationError, match=r"http\.trusted_proxies .* http\.api_key must be set"):
        HttpSettings(trusted_proxies=("127.0.0.1",))


@pytest.mark.parametrize(
    "stun",
    [
        "stun.example.org:3478",
        "stun:[2001:db8::1]:3478",
        "stun:stun.example.org?transport=udp",
        "stun:a b",
        "turn:turn.example.org",
    ],
)
def test_a_stun_server_is_named_as_browsers_take_it(stun: str) -> None:
    with pytest.raises(ValidationError, match="as stun:stun"):
        WebRtcSettings(stun=(stun,))


@pytest.mark.parametrize("turn", ["turn.example.org", "turn:a.example?transport=tls", "stun:a.example"])
def test_a_turn_server_is_named_as_browsers_take_it(turn: str) -> None:
    with pytest.raises(ValidationError, match="as turn:turn"):
        WebRtcSettings(turn=(turn,), turn_secret=SecretStr("north"))


def test_stun_and_turn_servers_stand_for_themselves() -> None:
    stun = ("stun:192.0.2.1", "stun:stun.example.org:3478")
    turn = ("turn:turn.example.org", "turns:turn.example.org:5349?transport=tcp")
    settings = WebRtcSettings(stun=stun, turn=turn, turn_secret=SecretStr("north"))
    assert (settings.stun, settings.turn) == (stun, turn)


def test_a_turn_server_needs_its_secret() -> None:
    with pytest.raises(ValidationError, match=r"webrtc\.turn is set without webrtc\.turn_secret"):
        WebRtcSettings(turn=("turn:turn.example.org",))


def test_a_certificate_comes_with_its_key() -> None:
    with pytest.raises(ValidationError, match=r"http\.tls_cert is set without http\.tls_key"):
        HttpSettings(tls_cert=Path("cert.pem"))
    with pytest.raises(ValidationError, match=r"http\.tls_key is set without http\.tls_cert"):
        HttpSettings(tls_key=Path("key.pem"))
    with pytest.raises(ValidationError, match=r"sip\.tls_cert is set without sip\.tls_key"):
        SipSettings(tls_cert=Path("cert.pem"))


def test_sip_listens_with_tls_where_it_is_told_to_or_has_a_certificate() -> None:
    assert not SipSettings(tls_port=5060).over_tls
    assert SipSettings(tls_cert=Path("cert.pem"), tls_key=Path("key.pem")).over_tls
    with pytest.raises(ValidationError, match=r"sip\.tls_port is 5060, as sip\.port is; they must differ"):
        SipSettings(tls=True, tls_port=5060)


def test_silences_are_ordered() -> None:
    with pytest.raises(ValidationError, match=r"at most turn\.unsure_silence_ms, which is 400"):
        TurnSettings(sure_silence_ms=500, unsure_silence_ms=400)
    with pytest.raises(ValidationError, match=r"at most turn\.hanging_silence_ms, which is 900"):
        TurnSettings(hanging_silence_ms=900)


@pytest.mark.parametrize("ports", [(20000, 10000), (80, 10000), (10000, 10000)])
def test_rtp_ports_are_a_range(ports: tuple[int, int]) -> None:
    with pytest.raises(ValidationError, match="the first and the last port of a range"):
        SipSettings(rtp_ports=ports)


def test_every_call_has_two_rtp_ports() -> None:
    with pytest.raises(ValidationError, match="needs at least 40"):
        Settings(sip=SipSettings(rtp_ports=(10000, 10038)), call=CallSettings(max_calls=20))
    Settings(sip=SipSettings(rtp_ports=(10000, 10001)), call=CallSettings(max_calls=1))


def test_as_many_calls_as_the_machine_bears_are_no_more_than_there_are_ports_for() -> None:
    assert Settings().most_calls == 50
    assert Settings(sip=SipSettings(rtp_ports=(10000, 10038))).most_calls == 19
    assert Settings(sip=SipSettings(enabled=False, rtp_ports=(10000, 10038))).most_calls == 50
    assert Settings(call=CallSettings(max_calls=60)).most_calls == 60
    with pytest.raises(ValidationError):
        CallSettings.model_validate({"max_calls": "many"})


def test_ports_are_apart() -> None:
    with pytest.raises(ValidationError, match=r"sip\.port is 12000; it must be outside"):
        Settings(sip=SipSettings(port=12000))
    with pytest.raises(ValidationError, match="they must differ"):
        Settings(http=HttpSettings(port=5060))
    Settings(http=HttpSettings(port=5060), sip=SipSettings(enabled=False))


def test_each_process_has_ports_of_its_own() -> None:
    sip = SipSettings(rtp_ports=(10_001, 20_000), processes=3)
    first, second, third = (sip.of_process(number).rtp_ports for number in range(3))
    assert (first, second, third) == ((10_001, 13_332), (13_333, 16_664), (16_665, 19_996))


def test_more_calls_take_more_processes() -> None:
    with pytest.raises(ValidationError, match=r"call\.max_calls is 300; it must be at most 200"):
        Settings(call=CallSettings(max_calls=300))
    Settings(call=CallSettings(max_calls=300), sip=SipSettings(processes=2))


def test_each_process_needs_ports_for_as_many_calls_as_it_may_have() -> None:
    with pytest.raises(ValidationError, match=r"has 1000 ports; .* needs at least 1200, two a call in each"):
        Settings(call=CallSettings(max_calls=300), sip=SipSettings(processes=3, rtp_ports=(10_000, 10_999)))


@pytest.mark.parametrize(
    ("lacking", "why"),
    [
        ("records", r"records\.url must name"),
        ("http", r"set cluster\.url and http\.api_key"),
        ("cluster", r"cluster\.key must have at least 16"),
    ],
)
def test_a_node_needs_what_nodes_share(lacking: str, why: str) -> None:
    whole = {
        "records": {"url": "postgresql://host/db"},
        "http": {"api_key": "k" * 16},
        "cluster": {"enabled": True, "url": "http://10.0.0.7:8080", "key": "k" * 16},
    }
    Settings.model_validate(whole)
    short = {"enabled": True, "url": "http://10.0.0.7:8080", "key": "short"} if lacking == "cluster" else {}
    with pytest.raises(ValidationError, match=why):
        Settings.model_validate({**whole, lacking: short})
