"""Who answers, over real SIP with the bundled models: by the number called, and by the language heard.

No French voice is bundled, so the English one reads what the French persona says.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.caller.script import Hangup, Play, Script, Step, Wait
from config.persona import load_persona
from tests.e2e.served import served, until
from tests.models.test_recordings import RECORDINGS

pytestmark = pytest.mark.models

GREETED: list[Step] = [
    Wait(until="speaking", for_ms=20, timeout_s=5),
    Wait(until="silent", for_ms=600, timeout_s=15),
]


def test_a_number_and_a_language_decide_who_answers(tmp_path: Path) -> None:
    french = load_persona("fr").model_copy(update={"voice": load_persona("en").voice})
    persona = tmp_path / "fr.yaml"
    persona.write_text(french.model_dump_json(exclude_none=True))  # JSON is YAML
    seen: list[dict[str, Any]] = []
    with served(
        tmp_path, OFFHOOK_LANGUAGES=f"en, {persona}", OFFHOOK_NUMBERS=f"+33 1 23={persona}"
    ) as server:

        def call(user: str, steps: list[Step]) -> subprocess.Popen[bytes]:
            script = Script(
                target=f"127.0.0.1:{server.sip}",
                user=user,
                steps=(*GREETED, *steps),
                wav=tmp_path / "call.wav",
            )
            (tmp_path / "script.json").write_text(script.model_dump_json())
            parts = [str(tmp_path / name) for name in ("script.json", "result.json")]
            return subprocess.Popen([sys.executable, "-m", "bench.caller", *parts])

        def turns(count: int) -> bool:
            seen.extend(server.get(f"/api/v1/sessions/{session['id']}") for session in server.sessions())
            return bool(seen) and len(seen[-1].get("transcript", ())) >= count

        calling = call("+33123", [Hangup()])
        assert until(lambda: turns(1), 20)
        assert calling.wait(30) == 0
        assert (seen[-1]["persona"], seen[-1]["language"]) == ("Claire", "fr")
        assert seen[-1]["transcript"][0]["text"] == french.greeting

        if not RECORDINGS.is_dir():
            pytest.skip("no recordings beside the project")
        seen.clear()
        steps: list[Step] = [
            Play(wav=RECORDINGS / "fr.wav"),
            Wait(until="reply", timeout_s=15),
            Wait(until="silent", for_ms=1200, timeout_s=40),
            Hangup(),
        ]
        calling = call("agent", steps)
        assert until(lambda: turns(3), 60)
        assert calling.wait(60) == 0
        assert (seen[0]["persona"], seen[0]["language"]) == ("Joe", "en")
        assert (seen[-1]["persona"], seen[-1]["language"]) == ("Claire", "fr")
        assert seen[-1]["transcript"][0]["text"] == load_persona("en").greeting
        assert "au bord de la mer" in seen[-1]["transcript"][1]["text"]
