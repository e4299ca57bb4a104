import pytest

from config.redaction import without_credentials


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://gpu-box:8000/v1", "http://gpu-box:8000/v1"),
        ("llm.url names https://me:pass@gpu-box/v1.", "llm.url names https://gpu-box/v1."),
        ("https://token@gpu-box and http://a:b@c", "https://gpu-box and http://c"),
        ("'http://me:p@ss@gpu-box'", "'http://gpu-box'"),
        ("http://gpu-box/v1?to=me@example.org", "http://gpu-box/v1?to=me@example.org"),
        ("sip:agent@127.0.0.1", "sip:agent@127.0.0.1"),
    ],
)
def test_urls_lose_their_credentials(text: str, shown: str) -> None:
    assert without_credentials(text) == shown
