"""Tells what Whisper says to noise from what a caller said."""

from __future__ import annotations

from models.repetition import plain

# Real callers say some of these too, so they are dropped only when the model itself doubts that there was
# speech.
_HALLUCINATIONS = frozenset({
    "and", "bye", "e", "et", "gracias", "hmm", "i", "merci", "merci d avoir regarde cette video", "music",
    "oh", "okay", "so", "sous titrage", "sous titres realises par la communaute d amara org", "subscribe",
    "thank you", "thank you for watching", "thank you very much", "thanks", "thanks for watching", "the",
    "uh", "und", "untertitel", "vielen dank", "y", "you",
})  # fmt: skip


def is_noise(text: str, avg_logprob: float, no_speech_prob: float) -> bool:
    """Whether Whisper wrote this down though nobody spoke."""
    words = plain(text)
    if not words:
        return True
    # Scraps of an echo or of hold music score from -0.53 to -0.74 as "Thank you"; who says it, above -0.35.
    if words in _HALLUCINATIONS and no_speech_prob > 0.2 and avg_logprob < -0.45:
        return True
    # Coughs that no word fits score below -2.6; the worst of 480 words, four voices in noise, -2.0.
    if avg_logprob < -2.4:
        return True
    # A digit by itself is hard to hear, and nothing that noise is taken for.
    doubtful = -2.0 if words.isdigit() else -1.2
    return no_speech_prob > 0.6 and avg_logprob < doubtful
