"""Offers as peers make them: in bodies of several parts, late, with addresses elsewhere, with other media."""

from __future__ import annotations

import re

import pytest

from tests.peers import Reception, sip_server
from tests.sip_caller import Caller, SipAnswer
from tests.transports.sip_calls import heard_both_ways, phone, soon
from transports.call import EndReason

ISUP = (
    "Content-Type: application/isup;version=itu-t92+\r\n"
    "Content-Disposition: signal;handling=optional\r\n\r\n\x01\x11"
)
LOCATION = (
    "Content-Type: application/pidf+xml\r\nContent-ID: <here@example.org>\r\n\r\n"
    '<?xml version="1.0"?><presence xmlns="urn:ietf:params:xml:ns:pidf"/>'
)


def parts(*bodies: str) -> str:
    return "".join(f"--b1\r\n{body}\r\n" for body in bodies) + "--b1--\r\n"


async def call(
    caller: Caller, body: str, headers: str = "", content_type: str = "application/sdp"
) -> SipAnswer:
    answer = await caller.ask("INVITE", body, headers, content_type=content_type)
    caller.ack(answer)
    return answer


@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
@pytest.mark.parametrize("sdp_first", [True, False])
async def test_an_offer_among_other_parts(sdp_first: bool, tcp: bool) -> None:
    reception = Reception()
    async with sip_server(reception) as server, phone(server, tcp=tcp) as caller:
        sdp = f"Content-Type: application/sdp\r\n\r\n{caller.sdp()}"
        body = parts(sdp, ISUP, LOCATION) if sdp_first else parts(ISUP, sdp, LOCATION)
        answer = await call(caller, body, content_type='multipart/mixed;boundary="b1"')
        assert answer.status == 200
        await heard_both_ways(caller, answer, reception)


async def test_an_offer_without_a_last_line_end() -> None:
    reception = Reception()
    async with sip_server(reception) as server, phone(server) as caller:
        answer = await call(caller, caller.sdp().rstrip())
        assert answer.status == 200
        await heard_both_ways(caller, answer, reception)


async def test_a_late_offer() -> None:
    reception = Reception()
    async with sip_server(reception) as server, phone(server) as caller:
        offer = await caller.ask("INVITE")
        assert offer.status == 200
        assert "m=audio" in offer.text
        caller.ack(offer, caller.sdp())
        await heard_both_ways(caller, offer, reception)


@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
async def test_a_late_offer_that_is_never_answered_ends_the_call(tcp: bool) -> None:
    reception = Reception()
    async with sip_server(reception) as server, phone(server, tcp=tcp) as caller:
        caller.ack(await caller.ask("INVITE"))
        await soon(caller.serve(), 3)
        assert caller.requests == ["BYE"]
        assert await soon(reception.ended.get()) is EndReason.TRANSPORT_FAILURE


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
async def test_media_on_another_network_than_the_signalling(host: str) -> None:
    reception = Reception()
    async with sip_server(reception, host=host) as server, phone(server) as caller:
        answer = await call(caller, caller.sdp(media="IN IP4 198.51.100.7"))
        assert answer.status == 200
        assert "c=IN IP4 127.0.0.1" in answer.text
        await soon(reception.connected.get())
        await caller.bye()


async def test_a_media_address_that_is_a_name_is_where_the_invite_came_from() -> None:
    reception = Reception()
    async with sip_server(reception) as server, phone(server) as caller:
        answer = await call(caller, caller.sdp(media="IN IP4 phone.example"))
        assert answer.status == 200
        await heard_both_ways(caller, answer, reception)


async def test_an_ipv6_media_address_with_ipv4_candidates_as_linphone_offers_it() -> None:
    reception = Reception()
    async with sip_server(reception) as server, phone(server) as caller:
        port = caller.rtp.getsockname()[1]
        candidates = (
            "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789abcdef0123456789\r\n"
            f"a=candidate:1 1 UDP 2130706303 2001:db8::7 {port} typ host\r\n"
            f"a=candidate:1 2 UDP 2130706302 2001:db8::7 {port + 1} typ host\r\n"
            f"a=candidate:2 2 UDP 2130706430 127.0.0.1 {port + 1} typ host\r\n"
            f"a=candidate:2 1 UDP 2130706431 127.0.0.1 {port} typ host\r\n"
        )
        answer = await call(caller, caller.sdp(media="IN IP6 2001:db8::7", port=9) + candidates)
        assert answer.status == 200
        assert "c=IN IP4 127.0.0.1" in answer.text
        await heard_both_ways(caller, answer, reception)


async def test_an_ipv6_media_address_where_there_is_one_of_ours() -> None:
    reception = Reception()
    async with sip_server(reception, host="::") as server, phone(server) as caller:
        answer = await call(caller, caller.sdp(media="IN IP6 ::1"))
        assert answer.status == 200
        assert "c=IN IP6 ::1" in answer.text
        await soon(reception.connected.get())
        await caller.bye()


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
async def test_an_ipv6_media_address_that_is_out_of_reach_is_declined(host: str) -> None:
    reception = Reception()
    async with sip_server(reception, host=host) as server, phone(server) as caller:
        answer = await call(caller, caller.sdp(media="IN IP6 2001:db8::7"))
        assert answer.status == 488


@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
async def test_an_invite_of_many_kilobytes(tcp: bool) -> None:
    reception = Reception()
    async with sip_server(reception) as server, phone(server, tcp=tcp) as caller:
        answer = await call(caller, caller.sdp(), headers=f"X-Long: {'a' * 12_000}\r\n")
        assert answer.status == 200
        await heard_both_ways(caller, answer, reception)


async def test_media_beside_the_audio_is_declined_in_its_place() -> None:
    reception = Reception()
    async with sip_server(reception) as server, phone(server) as caller:
        head, _, audio = caller.sdp().partition("m=audio")
        body = (
            f"{head}m=video 4000 RTP/AVP 96\r\na=rtpmap:96 VP8/90000\r\nm=audio{audio}"
            "m=text 4002 RTP/AVP 98\r\na=rtpmap:98 t140/1000\r\nm=image 4004 udptl t38\r\n"
        )
        answer = await call(caller, body)
        assert answer.status == 200
        lines = [line for line in answer.text.splitlines() if line.startswith("m=")]
        assert [line.split()[0] for line in lines] == ["m=video", "m=audio", "m=text", "m=image"]
        assert [line.split()[1] == "0" for line in lines] == [True, False, True, True]
        await heard_both_ways(caller, answer, reception)


async def test_feedback_without_keys_as_linphone_offers_it() -> None:
    reception = Reception()
    async with sip_server(reception) as server, phone(server) as caller:
        caller.profile = "RTP/AVPF"
        answers = [await call(caller, caller.sdp() + "m=video 4000 RTP/AVPF 96\r\n")]
        answers.append(await call(caller, caller.sdp("sendonly")))
        caller.profile = "RTP/AVP"
        answers.append(await call(caller, caller.sdp()))
        assert [answer.status for answer in answers] == [200, 200, 200]
        audio = [re.findall(r"^m=audio \d+ (\S+)", answer.text, re.MULTILINE) for answer in answers]
        assert audio == [["RTP/AVPF"], ["RTP/AVPF"], ["RTP/AVP"]]
        await heard_both_ways(caller, answers[-1], reception)


async def test_an_answer_names_only_what_is_understood() -> None:
    reception = Reception()
    async with sip_server(reception) as server, phone(server) as caller:
        offered = caller.sdp(formats="18 97 0 8 13 98") + (
            "a=rtpmap:97 AMR-WB/16000\r\na=rtpmap:98 speex/8000\r\na=rtpmap:18 G729/8000\r\n"
        )
        answer = await call(caller, offered)
        assert answer.status == 200
        formats = answer.text.partition("m=audio ")[2].splitlines()[0].split()[2:]
        assert set(formats) <= {"0", "8", "101"}
        await heard_both_ways(caller, answer, reception)


async def test_a_codec_whose_name_is_no_text_is_passed_over() -> None:
    reception = Reception()
    async with sip_server(reception) as server, phone(server) as caller:
        offered = caller.sdp(formats="96 0") + "a=rtpmap:96 \xfc/8000\r\n"
        caller.cseq += 1
        request = caller.request("INVITE", offered, cseq=caller.cseq)
        caller.sip.sendto(request.encode("latin-1"), caller.server)
        answer = await caller.final_answer()
        caller.ack(answer)
        assert answer.status == 200
        await heard_both_ways(caller, answer, reception)


ODD = {
    "two ports": lambda sdp: re.sub(r"m=audio (\d+)", r"m=audio \1/2", sdp),
    "a multicast address's lifetime": lambda sdp: sdp.replace("127.0.0.1\r\nt", "127.0.0.1/127\r\nt"),
    "two spaces in c=": lambda sdp: sdp.replace("c=IN IP4 ", "c=IN IP4  "),
    "an empty c=": lambda sdp: re.sub("c=.*", "c=", sdp),
    "two spaces in m=": lambda sdp: sdp.replace("m=audio ", "m=audio  "),
    "tabs": lambda sdp: sdp.replace(" ", "\t"),
    "indented": lambda sdp: sdp.replace("\r\n", "\r\n "),
    "spaces behind lines": lambda sdp: sdp.replace("\r\n", " \r\n"),
    "bare line feeds": lambda sdp: sdp.replace("\r\n", "\n"),
    "only what is of use": lambda sdp: re.sub(r"(?m)^[vost]=.*\r\n", "", sdp),
    "another version": lambda sdp: sdp.replace("v=0", "v= 1"),
    "in capitals": lambda sdp: sdp.replace("m=audio", "m=AUDIO"),
    "in small letters": lambda sdp: sdp.replace("RTP/AVP", "rtp/avp").replace("IN IP4", "in ip4"),
    "a codec without a clock": lambda sdp: sdp + "a=rtpmap:13 CN\r\na=rtpmap:0\r\n",
    "parameters of nothing": lambda sdp: sdp + "a=fmtp:101\r\na=fmtp:\r\n",
    "bandwidth in fractions": lambda sdp: sdp.replace("t=", "b=AS:64.5\r\nb=\r\nt="),
    "attributes without a value": lambda sdp: sdp + "a=rtcp\r\na=ptime\r\n",
    "lines that are none": lambda sdp: sdp + "junk\r\n=\r\nx\r\n",
    "media of no words": lambda sdp: sdp + "m=video\r\nm=\r\nm=x-1 5 TCP/MSRP *\r\n",
}


@pytest.mark.parametrize("oddly", ODD)
async def test_an_offer_that_is_oddly_written(oddly: str) -> None:
    reception = Reception()
    async with sip_server(reception) as server, phone(server) as caller:
        answer = await call(caller, ODD[oddly](caller.sdp()))
        assert answer.status == 200
        await heard_both_ways(caller, answer, reception)


@pytest.mark.parametrize("name", ["opus/48000", "OPUS/48000/1", "opus/48000/2"])
async def test_opus_always_has_two_channels(name: str) -> None:
    reception = Reception()
    async with sip_server(reception) as server, phone(server) as caller:
        answer = await call(caller, caller.sdp(formats="96 101") + f"a=rtpmap:96 {name}\r\n")
        assert answer.status == 200
        assert "a=rtpmap:96 opus/48000/2" in answer.text
        await heard_both_ways(caller, answer, reception)


async def test_an_offer_without_anything_understood_is_declined() -> None:
    async with sip_server(Reception()) as server, phone(server) as caller:
        answer = await call(caller, caller.sdp(formats="18"))
        assert answer.status == 488
