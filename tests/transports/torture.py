"""SIP messages that stacks choke on: one for each case that RFC 4475 lists, and as many more as are wanted.

Ours, after the RFC's descriptions and under its names, each addressed to the server under test.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable
from dataclasses import dataclass

SDP = (
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    "m=audio 49217 RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\na=ptime:20\r\n"
)
CRLF = "\r\n"


@dataclass(frozen=True)
class Peers:
    host: str
    port: int
    sender: str  # host:port

    @property
    def uri(self) -> str:
        return f"sip:agent@{self.host}:{self.port}"


def compose(
    peers: Peers,
    name: str,
    method: str = "INVITE",
    *,
    line: str = "",
    more: str = "",
    body: str = SDP,
    **headers: str | None,
) -> bytes:
    """A request; `headers` replace those of that name (`_` for `-`), or leave them out where None."""
    values: dict[str, str | None] = {
        "Via": f"SIP/2.0/UDP {peers.sender};rport;branch=z9hG4bK{name}",
        "Max-Forwards": "70",
        "From": f"<sip:caller@{peers.sender}>;tag={name}",
        "To": f"<{peers.uri}>",
        "Call-ID": f"{name}@127.0.0.1",
        "CSeq": f"1 {method}",
        "Contact": f"<sip:caller@{peers.sender}>",
        "Content-Type": "application/sdp" if body else None,
        "Content-Length": str(len(body.encode("latin-1"))),
    }
    values |= {key.replace("_", "-"): value for key, value in headers.items()}
    head = "".join(f"{key}: {value}{CRLF}" for key, value in values.items() if value is not None)
    return f"{line or f'{method} {peers.uri} SIP/2.0'}{CRLF}{more}{head}{CRLF}{body}".encode("latin-1")


def answer(peers: Peers, name: str, line: str, **headers: str) -> bytes:
    return compose(peers, name, "INVITE", line=line, body="", **headers)


def torture(peers: Peers) -> dict[str, bytes]:
    """The RFC's 49 cases, by its names."""

    of = functools.partial(compose, peers)

    uri, sender = peers.uri, peers.sender
    embedded = of("inner", "REGISTER", body="").decode("latin-1")
    long_name = "very" * 60 + "long"
    multipart = (
        "--b\r\nContent-Type: text/plain\r\n\r\nHello\r\n"
        "--b\r\nContent-Type: application/octet-stream\r\n\r\n"
        + "".join(map(chr, range(256)))
        + "\r\n--b--\r\n"
    )
    folded = (
        f"INVITE {uri};unknownparam SIP/2.0\r\nTO :\r\n <{uri}> ;   tag    =\r\n  1918181833n\r\n"
        f'from   : "J \\\\\\""       <sip:caller@{sender}>\r\n  ;\r\n  tag = 98asjd8\r\n'
        "MaX-fOrWaRdS: 0068\r\n"
        f"Call-ID: wsinv@127.0.0.1\r\nContent-Length   : {len(SDP)}\r\ncseq: 0009\r\n  INVITE\r\n"
        f"Via  : SIP  /   2.0\r\n /UDP\r\n    {sender};branch=390skdjuw\r\ns :\r\n"
        "NewFangledHeader:   newfangled value\r\n continued newfangled value\r\n"
        "UnknownHeaderWithUnusualValue: ;;,,;;,;\r\nContent-Type: application/sdp\r\n"
        "v:  SIP  / 2.0  / TCP     192.0.2.2   ;\r\n  branch  =   z9hG4bK9ikj8  ,\r\n"
        f" SIP  /    2.0   / UDP  {sender}\r\n"
        f'm:"Quoted string \\"\\"" <sip:caller@{sender}> ; newparam =\r\n'
        f"      newvalue ;\r\n  secondparam ; q = 0.33\r\n\r\n{SDP}"
    )
    cases = {
        # valid, section 3.1.1
        "wsinv": folded.encode(),
        "intmeth": of(
            "intmeth",
            "!interesting-Method0123456789_*+`.%indeed'~",
            To='"BEL:\\\x07 NUL:\\\x00 DEL:\\\x7f" '
            "<sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*@127.0.0.1>",
            body="",
            more="extensionHeader-!.%*+_`'~: \xef\xbb\xbf\xe5\xa4\xa7\r\n",
        ),
        "esc01": of("esc01", line=f"INVITE sip:sips%3Auser%40example.com@{peers.host}:{peers.port} SIP/2.0"),
        "escnull": of(
            "escnull",
            "REGISTER",
            To="<sip:null-%00-null@127.0.0.1>",
            Contact="<sip:%00@127.0.0.1>, <sip:%00%00@127.0.0.1>",
            body="",
        ),
        "esc02": of("esc02", "RE%47IST%45R", body="", Contact=f"<sip:caller@{sender}> ;%67r=1"),
        "lwsdisp": of("lwsdisp", "OPTIONS", From=f"caller<sip:caller@{sender}>;tag=lwsdisp", body=""),
        "longreq": of(
            "longreq",
            To=f'"I have a user name of extreme proportion" '
            f"<sip:{long_name}@{peers.host}:{peers.port};unknownparam1={long_name}>",
            From=f"<sip:{long_name}@{sender}>;tag={long_name * 3};unknownheaderparamname{long_name}=unknown",
            Call_ID=f"longreq.{long_name * 2}",
            more="".join(f"v: SIP/2.0/TCP sip{n}.example.com\r\n" for n in range(33))
            + f"Unknown-{long_name}: {long_name}\r\n",
        ),
        "dblreq": of("dblreq", "REGISTER", body="") + of("dblreq2"),
        "semiuri": of(
            "semiuri", "OPTIONS", line=f"OPTIONS sip:user;par=u%40example.net@{peers.host} SIP/2.0", body=""
        ),
        "transports": of(
            "transports",
            "OPTIONS",
            more="".join(
                f"Via: SIP/2.0/{t} t.example.com;branch=z9hG4bK{t}\r\n"
                for t in ("SCTP", "TLS", "UNKNOWN", "TCP")
            ),
            body="",
        ),
        "mpart01": of("mpart01", "MESSAGE", Content_Type="multipart/mixed;boundary=b", body=multipart),
        "unreason": answer(
            peers, "unreason", "SIP/2.0 200 = 2**3 * 5**2 \xd0\xbd\xd0\xbe \xd1\x81\xd1\x82\xd0\xbe"
        ),
        "noreason": answer(peers, "noreason", "SIP/2.0 100 "),
        # invalid, 3.1.2
        "badinv01": of(
            "badinv01",
            Via=f"SIP/2.0/UDP {sender};;,;,,",
            Contact='"Joe" <sip:joe@example.org>;;;;',
            To=f'"Mr. J. <{uri}>',
        ),
        "clerr": of("clerr", Content_Length="9999"),
        "ncl": of("ncl", Content_Length="-999"),
        "scalar02": of(
            "scalar02",
            "REGISTER",
            CSeq="36893488147419103232 REGISTER",
            Max_Forwards="300",
            more="Expires: 10000000000000000000\r\nRetry-After: 949302838503028349304023988\r\n",
            Contact="<sip:u@h>;q=1.99999999;expires=1000000000000",
            body="",
        ),
        "scalarlg": answer(
            peers, "scalarlg", "SIP/2.0 503 Service Unavailable", CSeq="9292394834772304023312 OPTIONS"
        ),
        "quotbal": of("quotbal", To=f'"Mr. J. User <{uri}>', body=""),
        "ltgtruri": of("ltgtruri", line=f"INVITE <{uri}> SIP/2.0"),
        "lwsruri": of("lwsruri", line=f"INVITE {uri}; lr SIP/2.0"),
        "lwsstart": of("lwsstart", line=f"INVITE  {uri}  SIP/2.0"),
        "trws": of("trws", "OPTIONS", line=f"OPTIONS {uri} SIP/2.0  ", body=""),
        "escruri": of("escruri", line=f"INVITE {uri}?Route=%3Csip:example.com%3E SIP/2.0"),
        "baddate": of("baddate", more="Date: Fri, 01 Jan 2010 16:00:00 EST\r\n"),
        "regbadct": of(
            "regbadct", "REGISTER", Contact="sip:user@example.com?Route=%3Csip:sip.example.com%3E", body=""
        ),
        "badaspec": of("badaspec", "OPTIONS", To='"Watson, Thomas" < sip:t.watson@example.org >', body=""),
        "baddn": of("baddn", "OPTIONS", From=f"Bell, Alexander <sip:a.g.bell@{sender}>;tag=43", body=""),
        "badvers": of(
            "badvers",
            "OPTIONS",
            line=f"OPTIONS {uri} SIP/7.0",
            Via=f"SIP/7.0/UDP {sender};branch=z9hG4bKb",
            body="",
        ),
        "mismatch01": of("mismatch01", "OPTIONS", CSeq="8 INVITE", body=""),
        "mismatch02": of("mismatch02", "NEWMETHOD", CSeq="8 INVITE"),
        "bigcode": answer(peers, "bigcode", "SIP/2.0 4294967301 better not break the receiver"),
        # transactions, 3.2
        "badbranch": of("badbranch", "OPTIONS", Via=f"SIP/2.0/UDP {sender};branch=z9hG4bK", body=""),
        # applications, 3.3
        "insuf": of("insuf", Max_Forwards=None, From=None, To=None, Call_ID=None),
        "unkscm": of(
            "unkscm", "OPTIONS", line="OPTIONS nobodyKnowsThisScheme:totallyopaquecontent SIP/2.0", body=""
        ),
        "novelsc": of("novelsc", "OPTIONS", line="OPTIONS soap.beep://192.0.2.103:3002 SIP/2.0", body=""),
        "unksm2": of(
            "unksm2",
            "REGISTER",
            To="isbn:2983792873",
            From="<http://www.example.com>;tag=3",
            Contact="<name:John_Smith>",
            body="",
        ),
        "bext01": of(
            "bext01",
            "OPTIONS",
            more="Require: nothingSupportsThis, nothingSupportsThisEither\r\n"
            "Proxy-Require: noProxiesSupportThis\r\n",
            body="",
        ),
        "invut": of(
            "invut",
            Content_Type="application/unknownformat",
            body="<audio>\r\n <pcmu port='443'/>\r\n</audio>\r\n",
        ),
        "regaut01": of(
            "regaut01", "REGISTER", more="Authorization: NoOneKnowsThisScheme opaque-data=here\r\n", body=""
        ),
        "multi01": of(
            "multi01",
            more="CSeq: 59 INVITE\r\nCall-ID: another\r\nTo: <sip:other@example.org>\r\n"
            "From: <sip:other.caller@example.net>;tag=3\r\nMax-Forwards: 5\r\n"
            "Contact: <sip:caller@host5.example.net>\r\n",
        ),
        "mcl01": of(
            "mcl01",
            "OPTIONS",
            more="Content-Length: 13\r\nContent-Length: 5\r\n",
            Content_Type="text/plain",
            body="There's no way to know how many octets\r\n",
        ),
        "bcast": answer(peers, "bcast", "SIP/2.0 200 OK", Via="SIP/2.0/UDP 255.255.255.255;branch=z9hG4bK1"),
        "zeromf": of("zeromf", "OPTIONS", Max_Forwards="0", body=""),
        "cparam01": of(
            "cparam01", "REGISTER", Contact="sip:+19725552222@gw1.example.net;unknownparam", body=""
        ),
        "cparam02": of(
            "cparam02", "REGISTER", Contact="<sip:+19725552222@gw1.example.net;unknownparam>", body=""
        ),
        "regescrt": of(
            "regescrt", "REGISTER", Contact="<sip:user@example.com?Route=%3Csip:sip.example.com%3E>", body=""
        ),
        "sdp01": of("sdp01", more="Accept: text/nobodyKnowsThis\r\n"),
        # RFC 2543's ways, 3.4
        "inv2543": of(
            "inv2543",
            line=f"INVITE {uri} SIP/2.0",
            Via=f"SIP/2.0/UDP {sender}",
            Max_Forwards=None,
            From=f"<sip:caller@{sender}>",
        ),
    }
    assert len(cases) == 49
    return cases | {"embedded": of("embedded", "MESSAGE", Content_Type="message/sip", body=embedded)}


_METHODS = (
    "INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "REGISTER", "SUBSCRIBE", "NOTIFY", "INFO", "MESSAGE",
    "PRACK", "UPDATE", "REFER", "PUBLISH",
)  # fmt: skip
_HEADERS = (
    "Supported: 100rel, timer, replaces, norefersub, gruu, path",
    "Require: 100rel",
    "Session-Expires: 90;refresher=uas",
    "Min-SE: 4294967296",
    "RAck: 1 1 INVITE",
    "RSeq: 99999999999",
    "Replaces: a;to-tag=b;from-tag=c;early-only",
    "Refer-To: <sip:a@b?Replaces=1%3Bto-tag%3D2>",
    'Referred-By: <sip:a@b>;cid="x',
    "Event: refer;id=1",
    "Subscription-State: terminated;reason=noresource",
    "Record-Route: <sip:127.0.0.1;lr>,<sip:[::1]:99;lr>",
    "Route: <sip:127.0.0.1:1;lr>",
    'Authorization: Digest username="a",realm=,nonce="',
    "Accept: application/sdp;level=1",
    "Content-Encoding: gzip",
    "Content-Disposition: render;handling=required",
    "Alert-Info: <http://a/b>;info=x",
    'P-Asserted-Identity: "A" <sip:+1@b>, <tel:+1>',
    'Diversion: <sip:a@b>;reason="',
    "Via: SIP/2.0/UDP [::1]:5060;maddr=224.0.0.1",
    "Call-Info: <sip:a@b>;answer-after=0",
    "Answer-Mode: Auto",
    "History-Info: <sip:a@b?Reason=SIP%3Bcause%3D302>;index=1.1",
    "Timestamp: 1.2.3",
    "Date: x",
    "Allow: ,,,",
    "Contact: *",
    "User-Agent: \x00\x01ÿ",
    "Join: a;b",
    "Expires: -1",
)
_SDP_LINES = (
    "m=audio 0 RTP/AVP 0",
    "m=audio 99999 RTP/AVP 0",
    "m=audio 5004 RTP/SAVP 0",
    "m=audio 5004/2 RTP/AVP 0 8 9 101 96 97",
    "m=audio 5004 RTP/AVP",
    "m=video 5006 RTP/AVP 96",
    "m=image 5008 udptl t38",
    "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
    "c=IN IP4 0.0.0.0",
    "c=IN IP6 ::1",
    "c=IN IP4 224.2.1.1/127/3",
    "c=IN IP4 999.1.1.1",
    "c=",
    "a=rtpmap:0 PCMU/8000/99999999999",
    "a=rtpmap:96 opus/48000/2",
    "a=fmtp:96 stereo=1;useinbandfec=1;x",
    "a=fmtp:101 0-16,66,99999999",
    "a=rtpmap:",
    "a=ptime:0",
    "a=ptime:4294967296",
    "a=maxptime:-1",
    "a=sendonly",
    "a=inactive",
    "a=rtcp:0",
    "a=rtcp:99999 IN IP4 1.1.1.1",
    "a=rtcp-mux",
    "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x",
    "a=fingerprint:sha-256 00:11",
    "a=setup:actpass",
    "a=ice-ufrag:a",
    "a=candidate:1 1 UDP 1 127.0.0.1 9 typ host",
    "a=group:BUNDLE 0 1",
    "a=mid:" + "9" * 300,
    "b=AS:99999999999",
    "k=clear:x",
    "a=ssrc:1 cname:" + "x" * 900,
    "o=- 99999999999999999999 1 IN IP4 a",
    "t=",
    "v=1",
    "s=",
    "z=0",
    "=",
)


def generated(peers: Peers, chance: random.Random) -> bytes:
    """One message that is nearly right, or not at all."""
    if chance.random() < 0.03:
        return chance.randbytes(chance.randrange(1, 1400))
    if chance.random() < 0.08:
        return _mangle(chance.choice(list(torture(peers).values())), chance)
    method = chance.choice(_METHODS)
    lines = SDP.split(CRLF)
    for _ in range(chance.randrange(4)):
        lines.insert(chance.randrange(len(lines)), chance.choice(_SDP_LINES))
    body = CRLF.join(lines) if chance.random() < 0.6 else ""
    more = "".join(chance.choice(_HEADERS) + CRLF for _ in range(chance.randrange(4)))
    name = f"g{chance.getrandbits(48):x}"
    in_dialog = {"To": f"<{peers.uri}>;tag={chance.getrandbits(32):x}"} if chance.random() < 0.3 else {}
    raw = compose(peers, name, method, body=body, more=more, **in_dialog)
    if chance.random() < 0.1:
        raw = raw.replace(
            raw.split(b"\r\n")[0], b"SIP/2.0 %d OK" % chance.choice((100, 180, 200, 302, 401, 486, 999))
        )
    return raw if chance.random() < 0.3 else _mangle(raw, chance)


def _mangle(raw: bytes, chance: random.Random) -> bytes:
    for _ in range(chance.randrange(1, 4)):
        raw = chance.choice(_MANGLERS)(raw, chance) or b"\r\n"
    return raw[:60000]


def _cut(raw: bytes, chance: random.Random) -> bytes:
    return raw[: chance.randrange(len(raw))]


def _flip(raw: bytes, chance: random.Random) -> bytes:
    data = bytearray(raw)
    for _ in range(chance.randrange(1, 30)):
        data[chance.randrange(len(data))] = chance.choice(
            (0, 9, 10, 13, 32, 34, 37, 44, 58, 59, 60, 61, 62, 64, 91, 93, 255)
        )
    return bytes(data)


def _drop_line(raw: bytes, chance: random.Random) -> bytes:
    lines = raw.split(b"\r\n")
    del lines[chance.randrange(len(lines))]
    return b"\r\n".join(lines)


def _repeat_line(raw: bytes, chance: random.Random) -> bytes:
    lines = raw.split(b"\r\n")
    at = chance.randrange(len(lines))
    lines[at:at] = [lines[at]] * chance.choice((1, 2, 50, 300))
    return b"\r\n".join(lines)


def _long(raw: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(raw) + 1)
    return (
        raw[:at]
        + chance.choice((b"%", b"a", b";", b"\t", b"(", b"9", b"\x00", b"<", b'"')) * chance.randrange(9000)
        + raw[at:]
    )


def _number(raw: bytes, chance: random.Random) -> bytes:
    digits = [i for i, byte in enumerate(raw) if 48 <= byte < 58] or [0]
    at = chance.choice(digits)
    return (
        raw[:at]
        + chance.choice((b"-1", b"4294967295", b"4294967296", b"99999999999999999999", b"0", b"1e9", b"0x10"))
        + raw[at + 1 :]
    )


def _fold(raw: bytes, chance: random.Random) -> bytes:
    spaces = [i for i, byte in enumerate(raw) if byte == 32] or [0]
    at = chance.choice(spaces)
    return raw[:at] + chance.choice((b"\r\n ", b"\n ", b"\r ", b"\r\n\t\r\n ")) + raw[at:]


def _line_ends(raw: bytes, chance: random.Random) -> bytes:
    return raw.replace(
        b"\r\n", chance.choice((b"\n", b"\r", b"\r\r\n", b"\r\n\r\n")), chance.randrange(1, 30)
    )


def _swap(raw: bytes, chance: random.Random) -> bytes:
    lines = raw.split(b"\r\n")
    chance.shuffle(lines)
    return b"\r\n".join(lines)


_MANGLERS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    _cut, _flip, _flip, _drop_line, _repeat_line, _long, _number, _number, _fold, _line_ends, _swap,
)  # fmt: skip
