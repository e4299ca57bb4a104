from __future__ import annotations

from pathlib import Path

import pytest

from config.errors import ConfigError
from config.keys import KEYS
from config.settings import Settings
from config.sources import Loaded, Origin, load


def write(text: str, name: str = "offhook.yaml") -> Path:
    path = Path(name)
    path.write_text(text, encoding="utf-8")
    return path


def refused(path: Path | None = None, **flags: object) -> str:
    with pytest.raises(ConfigError) as error:
        load(path, {key.replace("__", "."): value for key, value in flags.items()})
    return str(error.value)


def origin(loaded: Loaded, key: str) -> str:
    return str(loaded.origins[key])


def test_without_anything_the_defaults_hold() -> None:
    loaded = load(None, {})

    assert loaded.settings == Settings()
    assert loaded.file is None
    assert set(loaded.origins) == set(KEYS)
    assert set(loaded.origins.values()) == {Origin("default")}


def test_each_source_is_stronger_than_the_one_before(monkeypatch: pytest.MonkeyPatch) -> None:
    write("sip: {port: 5070, host: 127.0.0.1, rtp_timeout_s: 30}\nhttp: {port: 8090}")
    monkeypatch.setenv("OFFHOOK_SIP__PORT", "5071")
    monkeypatch.setenv("OFFHOOK_SIP__RTP_TIMEOUT_S", "31")

    loaded = load(None, {"sip.port": 5072, "http.port": None})

    assert (loaded.settings.sip.port, origin(loaded, "sip.port")) == (5072, "flag")
    assert loaded.settings.sip.rtp_timeout_s == 31
    assert origin(loaded, "sip.rtp_timeout_s") == "OFFHOOK_SIP__RTP_TIMEOUT_S"
    assert (loaded.settings.http.port, origin(loaded, "http.port")) == (8090, "offhook.yaml")
    assert origin(loaded, "sip.enabled") == "default"


def test_a_named_file_is_read_instead_of_the_usual_one() -> None:
    write("sip: {port: 5070}")

    loaded = load(write("call: {max_calls: 3}", "other.yaml"), {})

    assert (loaded.settings.sip.port, loaded.settings.call.max_calls) == (5060, 3)
    assert loaded.file == Path("other.yaml")


def test_yaml_keeps_text_as_it_was_written() -> None:
    path = write(
        "sip:\n  users: [0100, 22:30, no, 1_0]\nllm: {url: ~, model: 1.10}\nhttp:\nturn: {filler: null}"
    )

    settings = load(path, {}).settings

    assert settings.sip.users == ("0100", "22:30", "no", "1_0")
    assert (settings.llm.url, settings.llm.model, settings.turn.filler) == (None, "1.10", None)


@pytest.mark.parametrize("text", ["pcma, opus", '["pcma", "opus"]', "pcma,opus,"])
def test_lists_in_one_line(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(None, {"sip.codecs": text}).settings.sip.codecs == ("pcma", "opus")
    monkeypatch.setenv("OFFHOOK_SIP__CODECS", text)
    assert load(None, {}).settings.sip.codecs == ("pcma", "opus")


def test_variables_may_be_empty_null_and_in_small_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    write("llm: {url: http://localhost:1/v1, model: m}")
    monkeypatch.setenv("OFFHOOK_LLM__URL", "null")
    monkeypatch.setenv("OFFHOOK_LLM__MODEL", "")
    monkeypatch.setenv("offhook_sip__port", "5071")

    settings = load(None, {}).settings

    assert (settings.llm.url, settings.llm.model, settings.sip.port) == (None, "m", 5071)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("sip: {prot: 1}", "sip.prot in offhook.yaml is not a setting; did you mean sip.port?"),
        ("port: 1", "port in offhook.yaml is not a setting; did you mean sip.port?"),
        (
            "tts: {speed: 2}",
            "tts.speed in offhook.yaml is not a setting; tts has tts.url, tts.api_key, tts.timeout_s, "
            "tts.max_requests, tts.fallback, tts.model, tts.voice, tts.device and tts.threads.",
        ),
        (
            "sip: {port: 70000}",
            "sip.port in offhook.yaml is '70000'; it must be a whole number from 1 to 65535.",
        ),
        ("sip: {port: yes}", "sip.port in offhook.yaml is 'yes'; it must be a whole number from 1 to 65535."),
        ("sip: {port: }", "sip.port in offhook.yaml is null; it must be a whole number from 1 to 65535."),
        (
            "sip: {port: [1]}",
            "sip.port in offhook.yaml is a list of 1; it must be a whole number from 1 to 65535.",
        ),
        ("sip: 5060", "sip in offhook.yaml is '5060'; it must hold keys with values."),
        ("stt: {device: gpu}", "stt.device in offhook.yaml is 'gpu'; it must be one of auto, cpu or cuda."),
        (
            "llm: {temperature: hot}",
            "llm.temperature in offhook.yaml is 'hot'; it must be a number from 0 to 2.",
        ),
        ("sip: {enabled: maybe}", "sip.enabled in offhook.yaml is 'maybe'; it must be true or false."),
        (
            "sip: {codecs: [gsm]}",
            "sip.codecs in offhook.yaml is 'gsm'; "
            "it must be a list of at least 1, each one of opus, g722, pcmu or pcma.",
        ),
        (
            "sip: {allow: [10.0.0.0/33]}",
            "sip.allow in offhook.yaml is '10.0.0.0/33'; "
            "it must be a list, each a network such as 192.168.0.0/16 or an IP address.",
        ),
        (
            "sip: {rtp_ports: [10000]}",
            "sip.rtp_ports in offhook.yaml is a list of 1; "
            "it must be a list of 2, each a whole number from 1 to 65535.",
        ),
        (
            "llm: {url: localhost}",
            "llm.url in offhook.yaml is 'localhost'; it must be a URL that begins with http:// or https://.",
        ),
        (
            "llm: {max_tokens: 513, num_ctx: 1024}",
            "llm.max_tokens is 513; it must be at most half of llm.num_ctx, which is 1024: "
            "the other half is for what was said before.",
        ),
        (
            "turn: {sure_silence_ms: 900, unsure_silence_ms: 800}",
            "turn.sure_silence_ms is 900; it must be at most turn.unsure_silence_ms, which is 800.",
        ),
        (
            "turn: {min_silence_ms: 900}",
            "turn.min_silence_ms in offhook.yaml is not a setting; it is turn.sure_silence_ms now.",
        ),
        ("- sip", "The settings file offhook.yaml must hold keys with values, as in 'sip:', not a list."),
        (
            "sip: {port: 1}\nsip: {port: 2}",
            "The settings file offhook.yaml, line 2, column 1 isn't YAML: the key sip is given twice.",
        ),
        (
            "llm: {{name}: x}",
            "The settings file offhook.yaml, line 1, column 7 isn't YAML: a key must be text; "
            "what has braces must be quoted.",
        ),
    ],
)
def test_what_is_wrong_in_the_file_is_one_sentence(text: str, sentence: str) -> None:
    write(text)

    assert refused() == sentence


def test_broken_yaml_names_the_line() -> None:
    write("sip:\n  port: [1\nhttp:")

    assert refused().startswith("The settings file offhook.yaml, line 3, column 5 isn't YAML: ")


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    assert refused(Path("none.yaml")) == "The settings file none.yaml doesn't exist."
    assert refused(tmp_path) == f"The settings file {tmp_path} is a folder, not a file."
    Path("latin.yaml").write_bytes(b"persona: \xe9")
    assert refused(Path("latin.yaml")) == "The settings file latin.yaml isn't UTF-8 text."


def test_an_unknown_flag() -> None:
    assert refused(sip__prot=1) == "sip.prot, given as a flag, is not a setting; did you mean sip.port?"


@pytest.mark.parametrize(
    ("variable", "hint"),
    [
        ("OFFHOOK_SIP__PROT", "did you mean OFFHOOK_SIP__PORT?"),
        ("OFFHOOK_SIP_PORT", "did you mean OFFHOOK_SIP__PORT?"),
        ("OFFHOOK_COLOUR", "'offhook config show' lists what can be set."),
        ("OFFHOOK_TURN__MAX_SILENCE_MS", "it is OFFHOOK_TURN__HANGING_SILENCE_MS now."),
    ],
)
def test_an_unknown_variable(variable: str, hint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "1")

    assert refused() == f"The environment variable {variable} is not a setting; {hint}"


def test_a_bad_variable_is_named_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OFFHOOK_CALL__MAX_CALLS", "many")

    assert refused() == "OFFHOOK_CALL__MAX_CALLS is 'many'; it must be a whole number from 1 to 3200 or auto."


def test_a_number_of_calls_from_a_variable_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OFFHOOK_CALL__MAX_CALLS", "7")

    assert load(None, {}).settings.call.wanted == 7


def test_variables_of_the_tests_and_of_the_command_line_are_no_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OFFHOOK_CONFIG", "x.yaml")
    monkeypatch.setenv("OFFHOOK_REQUIRE_PEERS", "1")

    assert load(None, {}).settings == Settings()


def test_a_missing_certificate() -> None:
    write("", "key.pem")

    assert (
        refused(http__tls_cert="cert.pem", http__tls_key="key.pem")
        == "http.tls_cert, given as a flag, is 'cert.pem'; there is no such file."
    )
    assert refused(sip__tls_ca="ca.pem") == "sip.tls_ca, given as a flag, is 'ca.pem'; there is no such file."


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        (
            "tts.voice",
            "./me.onnx",
            "the .onnx file of a Piper voice, or a voice's name, such as en_US-joe-medium or ff_siwis",
        ),
        (
            "tts.voice",
            "me.onnx",
            "the .onnx file of a Piper voice, or a voice's name, such as en_US-joe-medium or ff_siwis",
        ),
        (
            "stt.model",
            "~/no/whisper",
            "the folder of a CTranslate2 Whisper model, or a model's name, such as base or small",
        ),
    ],
)
def test_a_model_that_isnt_where_its_path_says(key: str, value: str, allowed: str) -> None:
    assert refused(None, **{key: value}) == (
        f"{key}, given as a flag, is '{value}', which isn't there; it must be {allowed}."
    )


def test_models_by_name_are_looked_for_later(tmp_path: Path) -> None:
    (tmp_path / "me.onnx").touch()
    flags = {"tts.voice": str(tmp_path / "me.onnx"), "stt.model": "owner/name"}

    assert load(None, flags).settings.stt.model == "owner/name"


class TestSecrets:
    def test_from_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OFFHOOK_HTTP__API_KEY", "hush-hush-hush-hush")

        loaded = load(None, {})

        assert loaded.settings.http.api_key is not None
        assert loaded.settings.http.api_key.get_secret_value() == "hush-hush-hush-hush"
        assert "hush-hush-hush-hush" not in repr(loaded)

    @pytest.mark.parametrize("source", ["file", "environment", "flag"])
    def test_from_a_file_of_its_own(self, source: str, monkeypatch: pytest.MonkeyPatch) -> None:
        write("hush-hush-hush-hush\n", "key")
        if source == "file":
            write("http: {api_key_file: key}")
        if source == "environment":
            monkeypatch.setenv("OFFHOOK_HTTP__API_KEY_FILE", "key")

        loaded = load(None, {"http.api_key_file": "key" if source == "flag" else None})

        assert loaded.settings.http.api_key is not None
        assert loaded.settings.http.api_key.get_secret_value() == "hush-hush-hush-hush"
        assert loaded.origins["http.api_key"].kind == source

    def test_not_in_the_settings_file(self) -> None:
        write("http: {api_key: hush-hush-hush-hush}")

        assert refused() == (
            "http.api_key in offhook.yaml is a secret, which may not stand there; "
            "set OFFHOOK_HTTP__API_KEY, or name a file that holds it with http.api_key_file."
        )

    def test_not_as_a_flag(self) -> None:
        assert "hush-hush-hush-hush" not in refused(llm__api_key="hush-hush-hush-hush")

    def test_a_file_that_is_missing_or_empty(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OFFHOOK_LLM__API_KEY_FILE", "key")
        assert refused() == "The llm.api_key file key doesn't exist."
        write("\n", "key")
        assert refused() == "The llm.api_key file key is empty; it must hold the secret."

    def test_given_twice(self, monkeypatch: pytest.MonkeyPatch) -> None:
        write("b", "key")
        monkeypatch.setenv("OFFHOOK_HTTP__API_KEY", "a" * 16)
        monkeypatch.setenv("OFFHOOK_HTTP__API_KEY_FILE", "key")

        assert refused() == "OFFHOOK_HTTP__API_KEY_FILE and OFFHOOK_HTTP__API_KEY set the same; give one."

    def test_the_stronger_source_wins(self, monkeypatch: pytest.MonkeyPatch) -> None:
        write("b", "key")
        write("http: {api_key_file: key}")
        monkeypatch.setenv("OFFHOOK_HTTP__API_KEY", "a" * 16)

        key = load(None, {}).settings.http.api_key

        assert key is not None
        assert key.get_secret_value() == "a" * 16


class TestListsOfMappings:
    FALLBACK = "llm: {fallbacks: [{url: 'http://a', model: m, %s}]}"

    def test_with_a_secret_from_a_file(self) -> None:
        write("hush\n", "key")
        write(self.FALLBACK % "api_key_file: key")
        (fallback,) = load(None, {}).settings.llm.fallbacks
        assert (fallback.url, fallback.model) == ("http://a", "m")
        assert fallback.api_key is not None
        assert fallback.api_key.get_secret_value() == "hush"
        assert "hush" not in repr(fallback)

    def test_a_secret_stands_in_no_file_of_settings(self) -> None:
        write(self.FALLBACK % "api_key: hush")
        said = refused()
        assert "may not stand there" in said
        assert "hush" not in said

    def test_in_one_line(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OFFHOOK_LLM__FALLBACKS", "[{url: 'http://a', model: m, api_key: hush}]")
        assert load(None, {}).settings.llm.fallbacks[0].model == "m"

    def test_digits_without_quotes_are_text_in_one_line_as_in_a_file(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OFFHOOK_SIP__ACCOUNTS", "{desk: {server: a.example, user: 0100, secret: 0200}}")
        monkeypatch.setenv("OFFHOOK_ROUTES", '[{"called": "0100", "max_duration_s": 60, "persona": "no"}]')

        settings = load(None, {}).settings

        desk = settings.sip.accounts["desk"]
        assert (desk.user, desk.secret and desk.secret.get_secret_value()) == ("0100", "0200")
        assert settings.routes[0].called == ("0100",)
        assert (settings.routes[0].persona, settings.routes[0].max_duration_s) == ("no", 60)

    @pytest.mark.parametrize("secret", ["password: 48151623", "secret: [48151623]"])
    def test_a_secret_that_is_refused_is_not_shown(
        self, secret: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OFFHOOK_SIP__ACCOUNTS", f"{{office: {{server: a.example, user: b, {secret}}}}}")
        said = refused()
        key = secret.partition(":")[0]
        assert said.startswith(
            f"OFFHOOK_SIP__ACCOUNTS can't be used, because of office.{key}; it must be a mapping"
        )
        assert "48151623" not in said

    def test_a_secret_among_others_is_not_shown(self) -> None:
        write("tools: {mcp: {shop: {command: [shop], env: {PIN: [hush], my-key: hush}}}}")
        said = refused()
        assert said.startswith("tools.mcp in offhook.yaml can't be used, because of shop.env.PIN; it must be")
        assert "hush" not in said

    @pytest.mark.parametrize("section", ["auth", "registrar"])
    def test_a_password_without_its_key_is_not_shown(self, section: str) -> None:
        write(f"sip: {{{section}: {{users: {{alice: hunter22}}}}}}")
        said = refused()
        assert said.startswith(
            f"sip.{section}.users in offhook.yaml can't be used, because of alice; it must be a mapping"
        )
        assert "hunter22" not in said

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            ("sip: {accounts: {desk: {user: 7}}}", "sip.accounts in offhook.yaml lacks desk.server; it must"),
            (
                "sip: {accounts: {desk: {server: a.example, user: 7, transport: ip}}}",
                "sip.accounts in offhook.yaml has 'ip' for desk.transport; it must be one of udp, tcp or",
            ),
            (
                "routes: [{persona: en}, {caled: 600, persona: en}]",
                "routes in offhook.yaml can't be used, because of 1.caled; it must be a list",
            ),
            (
                "tools: {hosts: [a], http: {look: {description: b, url: 'http://a/{c}'}}}",
                "tools.http in offhook.yaml can't be used, because of look; it must be a mapping in which",
            ),
            (
                "sip: {accounts: {desk: {server: a.example, user: 7, hunter22}}}",
                "sip.accounts in offhook.yaml can't be used; it must be a mapping",
            ),
        ],
    )
    def test_what_is_wrong_within_is_named(self, text: str, problem: str) -> None:
        write(text)
        assert refused().startswith(problem)

    def test_text_is_refused_with_what_it_must_be(self) -> None:
        assert refused(llm__fallbacks="http://a").endswith(
            "it must be a list of at most 8, each a mapping with url, model, api_key_file, input_price and "
            "output_price."
        )
