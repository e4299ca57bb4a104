from __future__ import annotations

import socket

import pytest

from config.errors import ConfigError
from config.ports import require_free


@pytest.mark.parametrize(("kind", "type_"), [("tcp", socket.SOCK_STREAM), ("udp", socket.SOCK_DGRAM)])
def test_a_taken_port_names_its_key(kind: str, type_: socket.SocketKind) -> None:
    with socket.socket(socket.AF_INET, type_) as other:
        other.bind(("127.0.0.1", 0))
        if kind == "tcp":
            other.listen()
        port = other.getsockname()[1]

        with pytest.raises(ConfigError) as error:
            require_free("sip", "127.0.0.1", port, kind)  # type: ignore[arg-type]

    assert str(error.value) == (
        f"sip.port is {port}, but another program already uses {kind.upper()} port {port} on 127.0.0.1; "
        "stop it, or choose another with --sip-port."
    )
    require_free("sip", "127.0.0.1", port, kind)  # type: ignore[arg-type]


def test_localhost_is_where_it_will_be_listened_on() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"^http\.port is {port}, but another program already uses"):
            require_free("http", "localhost", port, "tcp")


def test_an_address_that_is_not_ours() -> None:
    with pytest.raises(
        ConfigError, match=r"^http\.host is 192\.0\.2\.1, which isn't an address of this machine\.$"
    ):
        require_free("http", "192.0.2.1", 18080, "tcp")
