"""Decodes an uploaded recording, as a process of its own.

What strangers send goes through FFmpeg only here, under limits: whatever a file makes a decoder do, it does
to a process that holds nothing, may write no file, and is thrown away. The recording comes on stdin; on
stdout go one line of JSON, then s16le mono PCM at 16 kHz. It is run by its path, and imports nothing of ours.

    decoder.py LONGEST_S CPU_S MEMORY_BYTES
"""

from __future__ import annotations

import io
import json
import os
import resource
import sys

SAMPLE_RATE_HZ = 16_000
LEAST_RATE_HZ, MOST_RATE_HZ = 4_000, 192_000
MOST_CHANNELS = 8
# A frame of any codec that people send is shorter: 65,535 samples is FLAC's longest block.
MOST_FRAME_SAMPLES = 1 << 17
BAD_IN_A_ROW = 500  # packets; what is left then is no sound
_UNKNOWN_SIZE = 0xFFFFFF00  # and more: what programs write that don't know it yet
_MISSING_S = 1.0  # headers are rounded

FORMATS = "WAV, FLAC, Ogg, WebM, MP4 (m4a), MP3, AAC, AIFF, CAF or AMR"
# By the first bytes, and never guessed by FFmpeg, whose probing also finds playlists that name other files.
_MAGIC = {
    b"OggS": "ogg",
    b"fLaC": "flac",
    b"\x1a\x45\xdf\xa3": "matroska",
    b"ID3": "mp3",
    b"caff": "caf",
    b"#!AMR": "amr",
}


class Unusable(Exception):
    """The recording can't be used; the message says why."""

    unknown = False


class Unknown(Unusable):
    """It isn't a recording, or none of the formats that are taken."""

    unknown = True


def container(body: bytes) -> str | None:
    """FFmpeg's name of the format, told by the first bytes."""
    if body[:4] == b"RIFF" and body[8:12] == b"WAVE":
        return "wav"
    if body[:4] == b"FORM" and body[8:12] in (b"AIFF", b"AIFC"):
        return "aiff"
    if body[4:8] == b"ftyp":
        return "mp4"
    if body[:1] == b"\xff" and len(body) > 1:
        if body[1] & 0xF6 == 0xF0:  # ADTS: the layer is 0
            return "aac"
        if body[1] & 0xE0 == 0xE0 and body[1] & 0x06:
            return "mp3"
    return next((name for magic, name in _MAGIC.items() if body.startswith(magic)), None)


def decode(body: bytes, longest_s: float) -> tuple[bytes, str | None]:
    """s16le mono PCM at 16 kHz, and what is missing of it, if anything. Raises Unusable."""
    import av
    import av.error

    if not body:
        raise Unusable("The body is empty: send the recording as the body.")
    kind = container(body)
    if kind is None:
        raise Unknown(f"Send {FORMATS}.")
    pcm, bad, in_a_row, broken = bytearray(), 0, 0, False
    seconds = 0.0
    resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE_HZ)
    try:
        with av.open(io.BytesIO(body), mode="r", format=kind) as recording:
            if not recording.streams.audio:
                raise Unusable("There is no sound in this recording.")
            stream = recording.streams.audio[0]
            stream.codec_context.thread_type = "NONE"
            _check(stream.codec_context.sample_rate, stream.codec_context.channels, 0)
            declared = _declared_s(recording, stream)
            packets = recording.demux(stream)
            while True:
                try:
                    packet = next(packets)
                except StopIteration:
                    break
                except (av.error.FFmpegError, ValueError):
                    broken = True
                    break
                try:
                    frames = packet.decode()
                    in_a_row = 0
                except (av.error.FFmpegError, ValueError):
                    bad, in_a_row = bad + 1, in_a_row + 1
                    if in_a_row > BAD_IN_A_ROW:
                        broken = True
                        break
                    continue
                for frame in frames:
                    _check(frame.sample_rate, frame.layout.nb_channels, frame.samples)
                    seconds += frame.samples / frame.sample_rate
                    if seconds > longest_s:
                        raise Unusable(f"The recording is longer than {longest_s:.0f} s (text.max_audio_s).")
                    for resampled in resampler.resample(frame):
                        pcm += bytes(resampled.planes[0])[: resampled.samples * 2]
            for resampled in resampler.resample(None) if pcm else ():
                pcm += bytes(resampled.planes[0])[: resampled.samples * 2]
    except (av.error.FFmpegError, ValueError) as error:
        if not pcm:
            raise Unusable("The recording can't be decoded. Is the file whole?") from error
        broken = True
    if not pcm:
        raise Unusable(
            "The recording can't be decoded. Is the file whole?"
            if bad or broken
            else "There is no sound in this recording."
        )
    if kind == "wav" and (size := int.from_bytes(body[4:8], "little") + 8) < _UNKNOWN_SIZE:
        declared = seconds * max(1.0, size / len(body))  # FFmpeg goes by what is there
    return bytes(pcm), _missing(seconds, declared, bad, broken)


def _check(rate_hz: int, channels: int, samples: int) -> None:
    """Raises Unusable for what would cost more than speech is worth, before anything is made of it."""
    if not LEAST_RATE_HZ <= rate_hz <= MOST_RATE_HZ:
        raise Unusable(
            f"The recording has {rate_hz} samples a second; {LEAST_RATE_HZ} to {MOST_RATE_HZ} are taken."
        )
    if not 1 <= channels <= MOST_CHANNELS:
        raise Unusable(f"The recording has {channels} channels; 1 to {MOST_CHANNELS} are taken.")
    if samples > MOST_FRAME_SAMPLES:
        raise Unusable(f"The recording has frames of {samples} samples, which no codec for speech has.")


def _declared_s(recording, stream) -> float:  # type: ignore[no-untyped-def]
    """How long it says that it is; 0 where it doesn't."""
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return recording.duration / 1_000_000 if recording.duration is not None else 0.0


def _missing(seconds: float, declared: float, bad: int, broken: bool) -> str | None:
    missing = []
    if bad:
        missing.append(f"{bad} damaged {'part was' if bad == 1 else 'parts were'} left out.")
    if declared - seconds > _MISSING_S and declared < 86_400:
        missing.append(f"Only {seconds:.1f} s of {declared:.1f} s could be read.")
    elif broken:
        missing.append(f"Nothing could be read behind {seconds:.1f} s.")
    return " ".join(missing) or None


def main() -> None:
    """Under limits from the first byte on."""
    longest_s, cpu_s, memory_bytes = (int(argument) for argument in sys.argv[1:])
    for limit, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_CPU, cpu_s),
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_FSIZE, 0),
    ):
        resource.setrlimit(limit, (value, value))
    os.nice(10)  # calls come first
    out = sys.stdout.buffer
    try:
        import av.error
        import av.logging

        av.logging.set_level(None)
        pcm, missing = decode(sys.stdin.buffer.read(), longest_s)
        out.write(json.dumps({"missing": missing}).encode() + b"\n" + pcm)
    except MemoryError:
        why = "Decoding this recording takes more memory than it may."
        out.write(json.dumps({"error": why, "unknown": False}).encode() + b"\n")
    except Unusable as error:
        out.write(json.dumps({"error": str(error), "unknown": error.unknown}).encode() + b"\n")
    out.flush()


if __name__ == "__main__":
    main()
