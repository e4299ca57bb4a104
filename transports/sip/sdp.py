"""Session descriptions as peers write them, made what the stack takes. No I/O."""

from __future__ import annotations

import email
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, ip_address

Ip = IPv4Address | IPv6Address
_STATIC = {"0": "pcmu", "8": "pcma", "9": "g722"}  # RFC 3551 6
_RTPMAP = re.compile(r"a=rtpmap:(\d+) ([^/]+)/")
_REFUSED = "m=refused"  # what the stack sees in the place of an `m=audio` that it isn't to look at
_MOST_AUDIO, _MOST_MEDIA = 4, 32  # among which one is looked for that can be answered
_MOST_BOUNDARIES = 32  # of parts, which may be in one another
_MOST_PARAMETERS = 500  # of their headers, and of codecs
_LINE_BYTES = 2000  # RFC 5322 2.1.1 allows 1,000
_HIGHEST_PORT = 65_535
_RTPMAP_AS_SENT = re.compile(r"rtpmap: ?(\S+) ([^/\s]+) ?/ ?(\d+)(?: ?/ ?(\d+))?")
_CANDIDATE = re.compile(r"a=candidate:\S+ (\d+) (\S+) (\d+) (\S+) (\d+) typ ", re.IGNORECASE)


class NotAcceptable(Exception):
    """An offer that can't be answered: 488."""


class Direction(StrEnum):
    """What the peer does on its side, as its SDP says."""

    SENDRECV = "sendrecv"
    SENDONLY = "sendonly"
    RECVONLY = "recvonly"
    INACTIVE = "inactive"


@dataclass(frozen=True, slots=True)
class Candidate:
    """An ICE candidate over UDP."""

    component: int
    priority: int
    address: Ip
    port: int


def of_body(content_type: str, body: bytes) -> bytes | None:
    """The SDP in a request's body, which may be one of several parts; None if there is none."""
    kind = "".join(content_type.partition(";")[0].split()).lower()
    if kind == "application/sdp":
        return body or None
    if not kind.startswith("multipart/"):
        return None
    whole = b"Content-Type: " + content_type.encode(errors="surrogateescape") + b"\r\n\r\n" + body
    longest = max(map(len, whole.split(b"\n")))
    if (
        whole.count(b"\n--") > _MOST_BOUNDARIES
        or whole.count(b";") > _MOST_PARAMETERS
        or longest > _LINE_BYTES
    ):
        return None  # which would take long
    parts = email.message_from_bytes(whole)
    for part in parts.walk():
        if part.get_content_type() == "application/sdp":
            payload = part.get_payload(decode=True)
            return payload if isinstance(payload, bytes) else None
    return None


def plain(sdp: bytes) -> bytes:
    """The description in the words that the stack knows, and without what it would turn it down for."""
    lines = (" ".join(line.split()) for line in _lines(sdp))
    kept = (_plain(line[0], line[2:].strip()) for line in lines if line[1:2] == "=")
    return text_of([[line for line in kept if line]])


def _plain(kind: str, value: str) -> str:
    """A line; empty for one that isn't needed, or says nothing."""
    words = value.split()
    if kind == "v":
        return "v=0"
    if kind == "m":
        medium, port, profile, *formats = [*words, *("x", "0", "RTP/AVP")[len(words) :]]
        name = re.sub("[^a-z]", "", medium.lower()) or "x"
        return " ".join([f"m={name}", str(_port(port)), profile.upper(), *formats])
    if kind == "c":  # RFC 4566 5.7: what is behind a slash is for multicast
        if [word.upper() for word in words[:2]] not in (["IN", "IP4"], ["IN", "IP6"]) or len(words) < 3:
            return ""
        return f"c=IN {words[1].upper()} {words[2].partition('/')[0]}"
    if kind == "b":
        return f"b={value}" if re.fullmatch(r"[^:\s]+:[0-9]+", value) else ""
    return _plain_attribute(value) if kind == "a" else f"{kind}={value}"


def _plain_attribute(value: str) -> str:
    name = value.partition(":")[0].rstrip().lower()
    if name in set(Direction):
        return f"a={name}"
    if name == "rtpmap":
        found = _RTPMAP_AS_SENT.fullmatch(value)
        if not found:
            return ""
        # RFC 7587 7: two channels, always; some leave them out.
        channels = "2" if found[2].lower() == "opus" else found[4]
        return f"a=rtpmap:{found[1]} {found[2]}/{found[3]}" + (f"/{channels}" if channels else "")
    if name == "rtcp" and not re.fullmatch("rtcp: ?[0-9]+( .*)?", value):
        return ""
    if name == "fmtp":
        format, _, parameters = value.partition(":")[2].strip().partition(" ")
        return f"a=fmtp:{format} {parameters}" if parameters else ""
    return f"a={value}"


def choices(sdp: bytes) -> Iterator[bytes]:
    """The description with each of its audio media in turn, and the others refused in their places.

    Some offer the same sound twice, with and without encryption.
    """
    session, media = sections(sdp)
    audio = [one for one in media if one[0].startswith("m=audio ")]
    offered = [one for one in audio if port_of(one[0])] or audio[:1]
    if len(audio) < 2 or len(media) > _MOST_MEDIA:
        yield sdp
        return
    for chosen in offered[:_MOST_AUDIO]:
        kept = [one if one is chosen or one not in audio else _refused(one) for one in media]
        yield text_of([session, *kept])


def _refused(audio: list[str]) -> list[str]:
    profile = audio[0].split()[2:3] or ["RTP/AVP"]
    return [f"{_REFUSED} 0 {profile[0]} 0"]


def with_refused(sdp: bytes) -> bytes:
    """What the stack says to one of `choices`, as the peer is to see it."""
    return sdp.replace(f"{_REFUSED} ".encode(), b"m=audio ")


def in_profile_of(offer: bytes, answer: bytes) -> bytes:
    """The answer with the profile that was offered, whatever it says; the stack takes no other."""
    profiles = [one[0].split()[2] for one in (audio_of(sections(offer)[1]),) if one and port_of(one[0])]
    session, media = sections(answer)
    if (audio := audio_of(media)) and profiles:
        audio[0] = re.sub(r"^(m=audio \d+) \S+", rf"\1 {profiles[0]}", audio[0])
    return text_of([session, *media])


def direction(sdp: bytes) -> Direction:
    """The direction of the (first) audio, with what RFC 2543 and a port of 0 say in other ways."""
    session, media = sections(sdp)
    audio = audio_of(media)
    if audio is None or port_of(audio[0]) == 0 or address_of([*session, *audio]) in ("0.0.0.0", "::"):
        return Direction.INACTIVE
    for line in (*reversed(audio), *reversed(session)):
        if line.startswith("a=") and line[2:] in set(Direction):
            return Direction(line[2:])
    return Direction.SENDRECV


def audio_port(sdp: bytes) -> int | None:
    """Of the (first) audio; 0 is no audio, None no medium of that kind."""
    audio = audio_of(sections(sdp)[1])
    return port_of(audio[0]) if audio else None


def codecs(sdp: bytes) -> set[str]:
    """The names of what the (first) audio offers, in lower case."""
    audio = audio_of(sections(sdp)[1]) or [""]
    formats = set(audio[0].split()[3:])
    names = {one: _STATIC[one] for one in formats if one in _STATIC}
    for line in audio:
        if (found := _RTPMAP.match(line)) and found[1] in formats:
            names[found[1]] = found[2].lower()
    return set(names.values())


def mended(sdp: bytes, *, source: Ip, reaches: Callable[[Ip], bool]) -> bytes:
    """The description with whole lines, and with a media address that can be sent to.

    `source` is where it came from; `reaches` says whether an address of ours of the other family reaches
    the media. Where it has an address of another family than the signalling, an ICE candidate of that
    family takes its place, or else ours is left to be chosen. Raises NotAcceptable if there is neither.
    """
    session, media = sections(sdp)
    audio = audio_of(media)
    if audio is None:
        return text_of([session, *media])
    address = _ip(address_of([*session, *audio]))
    if address is None:
        # A name, which the stack can't read.
        session = [line for line in session if not line.startswith("c=")]
        _move(audio, source, port_of(audio[0]))
    elif address.version != source.version and port_of(audio[0]):
        if candidate := _best_candidate(audio, source):
            _move(audio, candidate.address, candidate.port)
        elif reaches(address):
            return text_of([session, *media])
        else:
            raise NotAcceptable
    # The stack then announces the address that the INVITE came to, and not one that it guesses from this.
    hidden = [[re.sub(r"^c=IN ", "c= IN ", line) for line in section] for section in (session, *media)]
    return text_of(hidden)


def audio_of(media: list[list[str]]) -> list[str] | None:
    return next((one for one in media if one[0].startswith("m=audio ")), None)


def _move(audio: list[str], address: Ip, port: int) -> None:
    """Have the audio sent to `address`."""
    audio[:] = [line for line in audio if not line.startswith(("c=", "a=rtcp:"))]
    audio[0] = re.sub(r"^(m=audio )\S+", rf"\g<1>{port}", audio[0])
    audio.insert(1, f"c=IN IP{address.version} {address}")


def _best_candidate(audio: list[str], source: Ip) -> Candidate | None:
    """For RTP, of the source's family: its own address before all, else what the peer itself prefers."""
    candidates = [
        candidate
        for line in audio
        if (candidate := _candidate(line))
        and candidate.component == 1
        and candidate.address.version == source.version
    ]
    return max(candidates, key=lambda one: (one.address == source, one.priority), default=None)


def _candidate(line: str) -> Candidate | None:
    found = _CANDIDATE.match(line)
    if not found or found[2].upper() != "UDP":
        return None
    address = _ip(found[4])
    if address is None:
        return None
    return Candidate(int(found[1]), int(found[3]), address, int(found[5]))


def _lines(sdp: bytes) -> list[str]:
    lines = re.split(r"[\r\n]+", sdp.decode(errors="surrogateescape"))
    return [line.rstrip() for line in lines if line.strip()]


def sections(sdp: bytes) -> tuple[list[str], list[list[str]]]:
    """The session's lines, and those of each medium."""
    found: list[list[str]] = [[]]
    for line in _lines(sdp):
        if line.startswith("m="):
            found.append([])
        found[-1].append(line)
    return found[0], found[1:]


def text_of(parts: list[list[str]]) -> bytes:
    return "".join(f"{line}\r\n" for lines in parts for line in lines).encode(errors="surrogateescape")


def port_of(media: str) -> int:
    return _port(media.split()[1]) if len(media.split()) > 1 else 0


def _port(text: str) -> int:
    """The first of several; 0 for none that there is."""
    port = text.partition("/")[0]
    return int(port) if re.fullmatch("[0-9]{1,5}", port) and int(port) <= _HIGHEST_PORT else 0


def address_of(lines: list[str]) -> str:
    """Of the last `c=`."""
    found = [line.split()[-1].partition("/")[0] for line in lines if line.startswith("c=IN ")]
    return found[-1] if found else ""


def _ip(text: str) -> Ip | None:
    try:
        return ip_address(text)
    except ValueError:
        return None
