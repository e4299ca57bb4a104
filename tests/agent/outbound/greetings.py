"""People and machines that answer the telephone, made of the voices that are here.

What the policy was tuned on and what it is held to are other voices, other sentences and other beeps.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray

from tests.peers import require_peer
from tests.sip_caller import ulaw_decode, ulaw_encode

RATE_HZ = 16_000
Samples = NDArray[np.int16]
Speak = Callable[[str], Samples]


@dataclass(frozen=True)
class Beep:
    hz: tuple[float, ...]
    seconds: float
    peak: int = 6000


@dataclass(frozen=True)
class Answer:
    """What is heard from the answer on. Times are seconds."""

    name: str
    machine: bool
    language: str
    pcm: bytes  # s16le mono at 16 kHz, as a telephone line leaves it
    greeting_ends: float
    beep_ends: float | None = None


def tone(beep: Beep) -> Samples:
    at = np.arange(round(beep.seconds * RATE_HZ)) / RATE_HZ
    wave = sum(np.sin(2 * np.pi * hz * at) for hz in beep.hz) / len(beep.hz)
    edge = np.minimum(1, np.minimum(at, at[::-1]) / 0.005)
    return np.asarray(beep.peak * wave * edge).astype(np.int16)


def over_the_line(samples: Samples, *, level: float = 1.0, noise: float = 12.0) -> Samples:
    """PCMU at 8 kHz with the line's noise, and back."""
    hiss = np.random.default_rng(7).normal(0, noise, len(samples))
    line = np.clip(samples * level + hiss, -32768, 32767).astype(np.int16)
    narrow = soxr.resample(line, RATE_HZ, 8000)
    return np.asarray(soxr.resample(ulaw_decode(ulaw_encode(narrow)), 8000, RATE_HZ))


def silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * RATE_HZ), np.int16)


def answer(
    name: str,
    said: Samples,
    *,
    machine: bool,
    language: str = "en",
    after_s: float = 0.6,
    beep: Beep | None = None,
    beep_after_s: float = 0.7,
    level: float = 1.0,
) -> Answer:
    """`said` begins `after_s` behind the answer, and the beep `beep_after_s` behind its end."""
    voiced = np.flatnonzero(np.abs(said.astype(np.int32)) > 300)
    said = said[voiced[0] : voiced[-1] + 1]
    parts = [silence(after_s), said]
    ends = after_s + len(said) / RATE_HZ
    beep_ends = None
    if beep:
        parts += [silence(beep_after_s), tone(beep)]
        beep_ends = ends + beep_after_s + beep.seconds
    parts.append(silence(8.0))
    pcm = over_the_line(np.concatenate(parts), level=level).tobytes()
    return Answer(name, machine, language, pcm, ends, beep_ends)


def flite(voice: str) -> Speak:
    def speak(text: str) -> Samples:
        wav = subprocess.run(
            [require_peer("flite"), "-voice", voice, "-t", text, "-o", "/dev/stdout"],
            capture_output=True,
            check=True,
        ).stdout
        raw = np.frombuffer(wav[44:], np.int16)
        return np.asarray(soxr.resample(raw, int.from_bytes(wav[24:28], "little"), RATE_HZ))

    return speak


def deeper(speak: Speak, factor: float) -> Speak:
    """Somebody else: slower and lower, or faster and higher."""

    def other(text: str) -> Samples:
        return np.asarray(soxr.resample(speak(text), RATE_HZ, RATE_HZ * factor))

    return other


def recorded(path: Path) -> Samples:
    """16 kHz, mono, 16 bit."""
    return np.frombuffer(path.read_bytes()[44:], np.int16)


TUNED_BEEPS = (
    *(Beep((1000,), 0.4), Beep((1400,), 0.2), Beep((440,), 0.8), Beep((850, 1100), 0.5), Beep((2000,), 0.15)),
    *(
        Beep((950,), 0.3),
        Beep((1633,), 0.12, 3000),
        Beep((520,), 1.2),
        Beep((620, 920), 0.6),
        Beep((1850,), 0.25),
    ),
)
TUNED_MACHINES = (
    "Hi, you've reached Tom. I can't come to the phone right now. Please leave a message after the tone.",
    "The person you are calling is not available. At the tone, please record your message.",
    "Hello. This is the voicemail of Anna Schmidt. Leave your name and number and I will call you back.",
    "Thank you for calling the town library. We are currently closed. Our opening hours are Monday to "
    "Friday, nine to five. If you would like to renew a book, please leave your name, your card number "
    "and the title of the book after the beep, and one of our librarians will see to it as soon as we "
    "open again.",
    "Your call has been forwarded to an automatic voice message system. Five five five, one two three "
    "four is not available.",
    "Hey, it's Mike. Sorry I missed you, I'm probably driving. Leave me a message and I'll get back to you.",
    "We're sorry, no one is able to answer your call. Please leave your message after the signal.",
    "Hello, you have reached the office of doctor Miller. The office is closed until Monday morning. In "
    "an emergency please dial nine one one. Otherwise leave your name, your date of birth, and a short "
    "description of what you need, and the nurse will phone you back on the next working day. Thank "
    "you.",
    "The number you have dialed is not in service. Please check the number and dial again.",
    "Good day. Thank you for calling Brown and Sons, plumbers. All of our plumbers are out at the "
    "moment. Please leave us your number.",
    "This is Susan. You know what to do.",
)
TUNED_PEOPLE = (
    "Hello?",
    "Yes?",
    "Hello, Peter speaking.",
    "Acme, how can I help?",
    "Good morning, city dental care, this is Julia, how may I help you?",
    "Hello, who is this?",
    "Hello.",
    "Yeah, hello?",
    "Susan Miller.",
    "This is Mike, who's calling please?",
    "Brown and Sons, plumbers, what can I do for you?",
    "Hi there, thanks for calling the Blue Door restaurant, how may I help you today?",
    "Front desk.",
    "Good evening, Saint Mary's hospital, can I help you?",
)
TUNED_OTHERS = {
    "ff_siwis": (
        "Bonjour, vous êtes bien chez Marie. Laissez un message après le bip, je vous rappelle.",
        "Allô ?",
        "Cabinet dentaire, bonjour, puis-je vous aider ?",
    ),
    "ef_dora": (
        "Hola, ahora no puedo atender el teléfono. Deje su mensaje después de la señal.",
        "¿Dígame?",
        "Hotel Central, buenos días, ¿en qué puedo ayudarle?",
    ),
    "if_sara": (
        "Risponde la segreteria telefonica di Lucia. Lasciate un messaggio dopo il segnale acustico.",
        "Pronto?",
    ),
    "pm_alex": (
        "Você ligou para o Pedro. No momento não posso atender, deixe o seu recado após o sinal.",
        "Alô, quem fala?",
    ),
}

HELD_BEEPS = (
    *(
        Beep((800,), 0.5),
        Beep((1209,), 0.13),
        Beep((425,), 1.0, 2500),
        Beep((1700,), 0.2),
        Beep((2100,), 0.35),
    ),
    *(Beep((480, 620), 0.4), Beep((1336, 1477), 0.3, 4000), Beep((1050,), 2.0)),
)
HELD_MACHINES = (
    "Hello, this is David's phone. I'm out walking the dog. Say who you are and what you want, and talk "
    "to you soon. Bye.",
    "Hi! You have reached the Johnson family. We are out having fun. Leave us a message!",
    "You have reached the customer service of Northern Electric. All our agents are busy with other "
    "callers. Please stay on the line, and your call will be answered in the order in which it came in.",
    "The mobile customer that you are calling has switched off their phone. Please try again later.",
    "This is the automatic answering service of the Green Valley golf club. Our clubhouse opens at "
    "eight tomorrow. To book a tee time, say your name, your membership number, and how many of you "
    "would like to play. We will confirm it in the morning by text. If you have lost something on the "
    "course, ring us after ten. We look forward to seeing you.",
    "Hi, Emma here. I can't talk just now, so please text me instead, or leave your number.",
    "Welcome to the voice mailbox of extension two four seven. Please speak after the beep.",
    "Sorry, I'm away until the end of the month. For anything that can't wait, please write to my "
    "colleague Robert.",
)
HELD_PEOPLE = (
    "Hello, hello?",
    "Yep.",
    "Johnson residence.",
    "Robert here.",
    "Emma Clark, hello.",
    "Northern Electric, service desk, what's the problem?",
    "Green Valley golf club, David speaking, how can I help you?",
    "Good afternoon, you're speaking with Laura from the town hall, what can I do for you?",
    "Hello? I can't hear you.",
    "Hi, yes, who am I talking to?",
)
HELD_OTHERS = {
    "em_alex": ("Ha llamado a la familia García. No estamos disponibles, deje su mensaje.", "¿Sí, hola?"),
    "im_nicola": (
        "In questo momento non posso rispondere, la richiamerò appena possibile.",
        "Pronto, chi parla?",
    ),
    "pf_dora": ("Esta é a caixa postal de Ana. Grave a sua mensagem após o bip.", "Alô?"),
}
# Of real people (../shared/speech): who says so little and then waits, and who goes on and on.
PEOPLE_BRIEF = (
    *("are-you-there", "short-today", "short-two_people", "short-book_a_room", "brooklyn"),
    *("short-half_an_hour", "short-230pm", "short-mountain_view", "whatstheweatherlike"),
)
PEOPLE_ON_AND_ON = ("reader-katie", "reader-steve", "statement", "quilter", "LanguageDetection_enUS")


def made(
    speakers: dict[str, Speak],
    machines: tuple[str, ...],
    people: tuple[str, ...],
    others: Mapping[str, tuple[str, ...]],
    beeps: tuple[Beep, ...],
) -> Iterator[Answer]:
    """Each sentence by each English speaker in turn, and those of other languages by theirs.

    The last of the `others` are people, the first of each a machine.
    """
    english = [name for name in speakers if name not in others]
    turn = 0

    def next_beep() -> Beep:
        return beeps[turn % len(beeps)]

    for text in machines:
        for name in (english[turn % len(english)], english[(turn + 1) % len(english)]):
            yield answer(
                f"{name}: {text[:40]}",
                speakers[name](text),
                machine=True,
                after_s=0.3 + 0.2 * (turn % 5),
                beep=next_beep() if turn % 4 else None,
                beep_after_s=0.3 + 0.4 * (turn % 4),
                level=(1.0, 0.4, 0.15)[turn % 3],
            )
            turn += 1
    for text in people:
        for name in (english[turn % len(english)], english[(turn + 1) % len(english)]):
            yield answer(
                f"{name}: {text[:40]}",
                speakers[name](text),
                machine=False,
                after_s=0.2 + 0.25 * (turn % 5),
                level=(1.0, 0.4, 0.15)[turn % 3],
            )
            turn += 1
    languages = {"f": "fr", "e": "es", "i": "it", "p": "pt"}
    for name, texts in others.items():
        for index, text in enumerate(texts):
            yield answer(
                f"{name}: {text[:40]}",
                speakers[name](text),
                machine=index == 0,
                language=languages[name[0]],
                beep=next_beep() if index == 0 else None,
            )
            turn += 1


def of_people(folder: Path, beeps: tuple[Beep, ...]) -> Iterator[Answer]:
    for name in PEOPLE_BRIEF:
        yield answer(name, recorded(folder / f"{name}.wav"), machine=False)
    for index, name in enumerate(PEOPLE_ON_AND_ON):
        said = recorded(folder / f"{name}.wav")[: 20 * RATE_HZ]
        yield answer(name, said, machine=True, beep=beeps[index % len(beeps)], beep_after_s=1.0)
