"""How the C stack is set."""

from __future__ import annotations

from baresip.config import Config

from config.sip import SipSettings

_NO_INTERFACE = "offhook-none"  # matches nothing: the stack starts without a socket


def stack_config(settings: SipSettings, max_calls: int) -> Config:
    first, last = settings.rtp_ports
    return Config(
        net_interface=_NO_INTERFACE,
        # The handler says how many are taken; half-open ones don't count there, and do here.
        max_concurrent_calls=2 * max_calls + 2,
        extra_config_text=(
            f"rtp_ports {first}-{last}\n"
            # Who listens is a machine, which doesn't mind when a packet comes. The stack's buffer costs
            # 15 to 50 ms, and loses 2 to 16% of speech at 40 to 80 ms of jitter, measured.
            "audio_jitter_buffer_type off\n"
            # As the system does, with its hosts file; services (SRV) are asked of DNS.
            "dns_getaddrinfo yes\n"
            # Accounts may have the same user.
            "sip_cuser_random yes\n"
            # Otherwise every answered call puts the others on hold.
            "call_hold_other_calls no\n"
            # Speech, at the pipeline's rate: mono at 20 kbit/s instead of stereo at 80 to 100.
            "opus_samplerate 16000\nopus_stereo no\nopus_sprop_stereo no\nopus_bitrate 32000\n"
            "opus_inbandfec yes\nopus_application voip\nopus_complexity 5\n"
        ),
    )
