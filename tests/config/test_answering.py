from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from config.answering import Personas, load_personas
from config.errors import ConfigError
from config.numbers import plain_number
from config.persona import FOLDER, Persona, PersonaTurn, load_persona
from config.settings import LineTestSettings, Settings, TtsSettings
from config.sources import load


def mine(path: Path, name: str, language: str) -> str:
    persona = load_persona("en").model_copy(update={"name": name, "language": language})
    path.write_text(persona.model_dump_json(exclude_none=True))  # JSON is YAML
    return str(path)


@pytest.mark.parametrize(
    ("called", "number"),
    [
        ("+33 1 23 45 67 89", "33123456789"),
        ("33123456789", "33123456789"),
        ("%2B33123456789", "33123456789"),
        ("+33123456789;npdi", "33123456789"),
        ("tel:+33-1-23-45-67-89", "33123456789"),
        ("sip:+33123456789@192.0.2.1;user=phone", "33123456789"),
        ("0600", "0600"),
        ("Front.Desk", "front.desk"),
        ("", ""),
        (" + ", ""),
    ],
)
def test_one_number_however_it_is_written(called: str, number: str) -> None:
    assert plain_number(called) == number


def test_one_persona_answers_everything() -> None:
    personas = load_personas(Settings())
    assert [one.name for one in personas.all] == ["Joe"]
    assert personas.answering("600") == (personas.default,)


def test_a_number_has_a_persona_of_its_own() -> None:
    personas = load_personas(Settings(numbers={"+33 1 23": "fr", "600": "fr"}))
    assert [one.name for one in personas.all] == ["Joe", "Claire"]
    for called in ("+33123", "33123", "%2B33123", "600"):
        assert [one.name for one in personas.answering(called)] == ["Claire"]
    for called in ("", "601", "agent"):
        assert [one.name for one in personas.answering(called)] == ["Joe"]


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        (Settings(languages=("fr", "en")), ["Claire", "Joe"]),
        (Settings(languages=("en", "fr"), persona="fr"), ["Claire", "Joe"]),
        (Settings(languages=("fr",), persona="en"), ["Joe", "Claire"]),
        (Settings(languages=("en", "fr"), numbers={"600": "fr"}), ["Joe", "Claire"]),
    ],
)
def test_the_first_language_greets_unless_a_persona_is_named(settings: Settings, names: list[str]) -> None:
    personas = load_personas(settings)
    assert [one.name for one in personas.answering("1")] == names
    assert [one.name for one in personas.all] == names


def test_a_persona_of_ones_own_takes_its_languages_place(tmp_path: Path) -> None:
    path = mine(tmp_path / "eve.yaml", "Eve", "en-GB")
    personas = load_personas(Settings(persona=path, languages=("en", "fr")))
    assert [one.name for one in personas.candidates] == ["Eve", "Claire"]


def test_a_voice_that_is_set_speaks_for_the_language_that_greets(tmp_path: Path) -> None:
    path = mine(tmp_path / "eve.yaml", "Eve", "en-GB")
    tree = Settings(languages=("en", "fr"), numbers={"600": path}, tts=TtsSettings(voice="mine.onnx"))
    voices = {one.name: one.voice for one in load_personas(tree).all}
    assert voices == {"Joe": ("mine.onnx",), "Eve": ("mine.onnx",), "Claire": load_persona("fr").voice}


def test_numbers_that_test_the_line() -> None:
    personas = load_personas(Settings())
    names = ("echo", "tone", "keys", "repeat", "latency", "quality")
    assert [personas.test(name) for name in names] == list(names)
    assert personas.test("sip:Echo@192.0.2.1") == "echo"
    assert [personas.test(called) for called in ("", "agent", "9196")] == [None] * 3

    more = LineTestSettings(numbers={"9196": "echo", "+1 555 0100": "tone", "*43": "echo"})
    personas = load_personas(Settings(numbers={"keys": "fr"}, test_numbers=more))
    assert [personas.test(called) for called in ("9196", "15550100", "*43")] == ["echo", "tone", "echo"]
    assert personas.test("echo") == "echo"
    assert personas.test("keys") is None  # a locksmith's

    off = load_personas(Settings(test_numbers=LineTestSettings(enabled=False, numbers={"9196": "echo"})))
    assert off.test("echo") is off.test("9196") is None


def test_what_cant_be_is_said(tmp_path: Path) -> None:
    path = mine(tmp_path / "eve.yaml", "Eve", "en-GB")
    for settings, sentence in (
        (Settings(languages=("en", "dd")), "languages can't be used: There is no persona 'dd'; "),
        (Settings(numbers={"600": "ed"}), "numbers.600 can't be used: There is no persona 'ed'; "),
        (Settings(persona="frr"), "There is no persona 'frr'; did you mean fr?"),
        (Settings(numbers={" + ": "en"}), "numbers has ' + '; it must be a number or the user part"),
        (
            Settings(numbers={"+60": "en", "60": "fr"}),
            "numbers has 60 twice, as it is called with or without",
        ),
        (
            Settings(test_numbers=LineTestSettings(numbers={"+60": "echo", "60": "tone"})),
            "test_numbers.numbers has 60 twice, as it is called",
        ),
        (
            Settings(numbers={"60": "en"}, test_numbers=LineTestSettings(numbers={"+60": "echo"})),
            "test_numbers.numbers has +60, which numbers has, too; give it once.",
        ),
        (Settings(languages=("en", path)), f"languages has en and {path}, which both speak 'en'; each must"),
        (Settings(languages=("fr", "fr")), "languages has fr and fr, which both speak 'fr'; each must"),
    ):
        with pytest.raises(ConfigError) as error:
            load_personas(settings)
        assert str(error.value).startswith(sentence)


@pytest.mark.parametrize("numbers", ["600=fr, +33 1=en", '{"600": "fr", "+33 1": "en"}'])
def test_numbers_come_from_every_source(
    numbers: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = {"600": "fr", "+33 1": "en"}
    assert load(None, {"numbers": numbers}).settings.numbers == wanted
    file = tmp_path / "offhook.yaml"
    file.write_text("numbers: {600: fr, +33 1: en}\nlanguages: [en, fr]")
    assert load(file, {}).settings.numbers == wanted
    assert load(file, {}).settings.languages == ("en", "fr")
    monkeypatch.setenv("OFFHOOK_NUMBERS", numbers)
    monkeypatch.setenv("OFFHOOK_LANGUAGES", "fr, en")
    loaded = load(None, {}).settings
    assert (loaded.numbers, loaded.languages) == (wanted, ("fr", "en"))


def test_numbers_that_are_none_are_refused() -> None:
    with pytest.raises(ConfigError) as error:
        load(None, {"numbers": "600"})
    assert str(error.value) == (
        "numbers, given as a flag, is '600'; it must be a mapping of at most 1000, each text to text."
    )
    many = {str(number): "en" for number in range(1001)}
    with pytest.raises(ConfigError, match="is a mapping; it must be a mapping of at most 1000"):
        load(None, {"numbers": many})
    with pytest.raises(ConfigError, match="it must be a list of at most 16, each text"):
        load(None, {"languages": ["en"] * 17})


def test_a_persona_alone() -> None:
    persona = load_persona("en")
    personas = Personas((persona,))
    assert personas.default is persona
    assert personas.all == (persona,)


def test_a_persona_whose_waits_contradict_the_settings_is_refused(tmp_path: Path) -> None:
    persona = load_persona("en").model_copy(update={"turn": PersonaTurn(sure_silence_ms=1500)})
    path = tmp_path / "slow.yaml"
    path.write_text(persona.model_dump_json(exclude_none=True))

    with pytest.raises(ConfigError) as refused:
        load_personas(Settings(persona=str(path)))

    assert str(refused.value) == (
        "With the persona Joe, turn.sure_silence_ms is 1500; "
        "it must be at most turn.unsure_silence_ms, which is 1270."
    )


def test_whom_a_persona_may_call_is_listed(tmp_path: Path) -> None:
    def personas(persona: str, **to: str) -> Personas:
        path = tmp_path / "mine.yaml"
        english = (FOLDER / "en.yaml").read_text()
        path.write_text(f"{english}\ntools: [transfer_call]\n{persona}")
        return load_personas(Settings.model_validate({"persona": str(path), "transfer": {"to": to}}))

    both = {"reception": "sip:200@192.0.2.10", "kitchen": "sip:201@192.0.2.10"}
    assert personas("", **both).default.transfer_to == ("reception", "kitchen")
    assert personas("transfer_to: [kitchen]", **both).default.transfer_to == ("kitchen",)
    with pytest.raises(ConfigError, match=r"transfer\.to must be set"):
        personas("")
    with pytest.raises(ConfigError, match=r"has 'boss', which transfer\.to lacks"):
        personas("transfer_to: [boss]", **both)


def test_a_flow_hands_over_where_there_is_somebody_and_takes_messages_where_not(tmp_path: Path) -> None:
    def receptionist(hand_over: str, **to: str) -> Persona:
        path = tmp_path / "mine.yaml"
        written = (FOLDER / "receptionist.yaml").read_text()
        ours = "hand_over: {tool: transfer_call, otherwise: take_message}"
        assert ours in written
        path.write_text(written.replace(ours, f"hand_over: {hand_over}"))
        settings = {"persona": str(path), "transfer": {"to": to}}
        return load_personas(Settings.model_validate(settings)).default

    def handed_over(persona: Persona) -> tuple[str, str | None]:
        assert persona.flow is not None
        assert persona.flow.hand_over is not None
        return persona.flow.hand_over.tool, persona.flow.hand_over.to

    desk = {"front desk": "sip:200@192.0.2.10"}
    transfers = "{tool: transfer_call, to: front desk, otherwise: take_message}"
    assert handed_over(receptionist(transfers, **desk)) == ("transfer_call", "front desk")
    alone = receptionist(transfers)
    assert handed_over(alone) == ("take_message", None)
    assert "transfer_call" not in alone.tools
    with pytest.raises(ConfigError, match=r"transfer\.to must be set"):
        receptionist("{tool: transfer_call}")
    with pytest.raises(ConfigError, match=r"hand_over\.to of the persona .* is 'boss', to whom it may not"):
        receptionist("{tool: transfer_call, to: boss}", **desk)
    with pytest.raises(ConfigError, match="which only transfer_call can have"):
        receptionist("{tool: take_message, to: front desk}", **desk)


@pytest.mark.parametrize(
    "uri", ["200", "sip:200", "tel:+331", "sip:a@b>\r\nX: y", "sip:a b@c", "sip:a@b?Replaces=1"]
)
def test_who_is_transferred_to_has_a_sip_address(uri: str) -> None:
    with pytest.raises(ValidationError, match="a SIP address such as"):
        Settings.model_validate({"transfer": {"to": {"reception": uri}}})


def test_a_secret_that_is_keyed_in_has_to_go_somewhere(tmp_path: Path) -> None:
    def load_with(persona: str, **webhook: str) -> Personas:
        path = tmp_path / "mine.yaml"
        path.write_text(f"{(FOLDER / 'en.yaml').read_text()}\ntools: [ask_for_keys]\n{persona}")
        return load_personas(Settings.model_validate({"persona": str(path), "webhook": webhook}))

    pin = "keypad: [{name: pin, prompt: Your PIN please., secret: true}]"
    assert load_with(pin, url="https://example.org/keys").default.keypad[0].complete("1#")
    with pytest.raises(ConfigError, match=r"webhook\.url must be set"):
        load_with(pin)
    with pytest.raises(ConfigError, match="must have a keypad"):
        load_with("")
    with pytest.raises(ConfigError, match="min_keys 9, which is more than max_keys, 3"):
        load_with("keypad: [{name: pin, prompt: Your PIN please., min_keys: 9, max_keys: 3}]")


def test_who_takes_over_is_listed() -> None:
    with pytest.raises(ValidationError, match=r"must be a name that transfer\.to has"):
        Settings.model_validate({"transfer": {"on_failure": "reception"}})
    with pytest.raises(ValidationError, match=r"transfer\.warm has reception"):
        Settings.model_validate({"transfer": {"warm": ["reception"]}})
