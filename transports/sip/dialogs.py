"""Every SIP request before the stack sees it, and every message before it goes out. No I/O, no clock.

What the stack does by itself is left to it. It is handed what it would stumble over in a form that it
understands, and what it doesn't know (session timers, most ways to send keys) is done here.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable
from dataclasses import replace

from config.sip import MediaEncryption
from transports.sip import sdp
from transports.sip.accounts import Account
from transports.sip.dialog import Agreement, Dialog, DialogEvent
from transports.sip.digest import answerable, parameters
from transports.sip.encryption import Encryption, answering, keyless, mediaenc_of_offer, secured
from transports.sip.message import Message, Reply, parameter
from transports.sip.parties import Parties, parties, uri_of
from transports.sip.referral import Referral, Replaces
from transports.sip.sdp import Ip, NotAcceptable
from transports.sip.session_timer import MIN_SE_S, TooSmall, asked_for
from transports.sip.trace import call_id_of

ALLOW = "INVITE, ACK, BYE, CANCEL, OPTIONS, INFO, UPDATE, PRACK"
_SIP = re.compile("sips?:", re.IGNORECASE)
_LEFT_TO_THE_STACK = {"BYE", "UPDATE", "PRACK", "ACK"}
_KNOWN = {"MESSAGE", "NOTIFY", "SUBSCRIBE", "PUBLISH", "REGISTER"}
_LONGEST_CALL_ID = 512  # baresip-python doesn't tell one of 3,000 characters whole
RETRY_AFTER_S = 10  # at least, while no calls are taken
_KEY_MS = 160
_KEYS = {"10": "*", "11": "#", "12": "a", "13": "b", "14": "c", "15": "d"}
# Which the stack takes for the answer that it waits for; the call is ended then.
_NO_ANSWER = b"v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=-\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\nm=audio 0 RTP/AVP 0\r\n"

logger = logging.getLogger("offhook.sip")


class Dialogs:
    """The dialogs of one SIP stack, by Call-ID. `received`, `responded` and `sent` run on the SIP thread."""

    def __init__(
        self,
        *,
        codecs: Iterable[str],
        trusts: Callable[[Ip], bool],
        reaches: Callable[[Ip], bool],
        account_of: Callable[[Message, Ip], Account | None] = lambda *_: None,
        headers: Iterable[str] = (),
        media_encryption: MediaEncryption = "optional",
        refers: Callable[[str, Ip], bool] | None = None,
        permits: Callable[[Referral, str], bool] = lambda *_: False,
    ) -> None:
        """`trusts` a peer about who calls? Is there an address of ours that `reaches` it?

        And by which account comes a call, if by any? `headers` are what is kept of each besides.
        Of an account's name and a source, `refers` says whether it may have us call somebody else, if anybody
        may; `permits`, whether an account may be used to call them.
        """
        self._codecs = tuple(codecs)
        self._account_of = account_of
        self.headers = tuple(headers)
        self._trusts = trusts
        self._reaches = reaches
        self._media_encryption = media_encryption
        self.refers = refers
        self._permits = permits
        self._dialogs: dict[str, Dialog] = {}
        self._dialling: list[str] = []  # URIs: whoever else is to be invited isn't
        self._early: dict[str, Dialog] = {}  # that were begun, and that we weren't told of yet
        self.unavailable_s: int | None = None  # while no call is taken: when to try again
        self.ready = True  # as OPTIONS tells it, to whoever chooses among several of us

    @property
    def _allow(self) -> str:
        return f"{ALLOW}, REFER" if self.refers else ALLOW

    def find(self, call_id: str) -> Dialog | None:
        return self._dialogs.get(call_id)

    def dial(self, uri: str) -> None:
        """Let an INVITE to it pass, until `begin`."""
        self._dialling.append(uri)

    def begin(self, uri: str, call_id: str, who: Parties) -> Dialog:
        """One that we began by dialling."""
        early = self._early.get(call_id)  # the SIP thread may look for it meanwhile
        dialog = self._dialogs[call_id] = early if early else self._dialog(who, "")
        self._early.pop(call_id, None)
        dialog.parties = who
        self.dialled(uri)
        return dialog

    def _dialog(self, who: Parties, tag: str) -> Dialog:
        return Dialog(who, tag, codecs=self._codecs, must_encrypt=self._media_encryption == "required")

    def dialled(self, uri: str) -> None:
        """It has been, or couldn't be."""
        self._dialling.remove(uri)
        if not self._dialling:
            self._early.clear()

    def forget(self, call_id: str) -> None:
        self._dialogs.pop(call_id, None)

    def mediaenc(self, call_id: str) -> str | None:
        """What the stack has to be told before it makes a call of the INVITE that was `received`."""
        dialog = self._dialogs[call_id]
        if dialog.secured is None:  # the offer will be ours
            return mediaenc_of_offer(self._media_encryption, private=dialog.private)
        return dialog.secured.encryption.mediaenc

    def received(self, request: Message, source: Ip) -> Message | Reply | None:
        """What becomes of a request: another in its place, a reply of ours, or as it is (None)."""
        dialog = self._dialogs.get(request.header("Call-ID"))
        if dialog and not dialog.tag:
            dialog.tag = parameter(request.header("From"), "tag")
        if dialog and parameter(request.header("From"), "tag") != dialog.tag:
            dialog = None
        match request.method:
            case "INVITE" if not request.in_dialog:
                return self._invited(request, source)
            case "INVITE" | "UPDATE" if dialog:
                return self._asked(dialog, request, source)
            case "ACK" | "PRACK" if dialog:
                return self._acknowledged(dialog, request, source)
            case "INFO" if dialog:
                return _key(request)
            case "NOTIFY" if dialog and dialog.refers:
                dialog.handed_over &= not re.match(rb"\s*SIP/2.0 [3-6]", request.body)
                return None
            case "REFER" if dialog:
                return self._referred(dialog, request, source)
            case "REFER" if not request.in_dialog:
                return Reply(403, "Forbidden")
            case "OPTIONS":
                return self._capabilities(request, dialog)
            case "INVITE" | "INFO" | "REFER" | "CANCEL":  # the stack would print whom a stray CANCEL names
                return Reply(481, "Call/Transaction Does Not Exist")
            case method if method in _LEFT_TO_THE_STACK:
                return None
            case method if method in _KNOWN:
                return Reply(405, "Method Not Allowed", (("Allow", self._allow),))
        return Reply(501, "Not Implemented", (("Allow", self._allow),))

    def responded(self, response: bytes) -> None:
        """Note that a response came."""
        if dialog := self._begun(call_id_of(response)):
            dialog.responded = True
            dialog.on_event(DialogEvent.RESPONDED)
            match _accepted(response):
                case "INVITE" | "UPDATE":  # the session is refreshed, whoever is the refresher (RFC 4028 10)
                    dialog.on_event(DialogEvent.REFRESHED)
                case "REFER":
                    dialog.handed_over = True

    def _begun(self, call_id: str) -> Dialog | None:
        return self._dialogs.get(call_id) or self._early.get(call_id)

    def answered(self, response: Message, source: Ip) -> Message | None:
        """A response to an INVITE or UPDATE of ours with SDP that the stack understands; None: as it is.

        As is a response that asks for a password.
        """
        if response.status >= 300:
            return _answerable(response)
        dialog = self._begun(response.header("Call-ID"))
        if dialog is None or not (dialog.offer or response.body):
            return None
        if dialog.tags and dialog.tags[1] != (parameter(response.header("To"), "tag") or "0"):
            return None  # of another fork, which the stack doesn't know
        final, first = response.status >= 200, bool(dialog.offer) and dialog.tags is None
        description = sdp.of_body(response.header("Content-Type") or "application/sdp", response.body)
        try:
            if description is None:
                if not (first and final):
                    return None
                if not dialog.described:
                    raise NotAcceptable
                # It is what was said before, which the stack forgets by a 180.
                return response.with_body(dialog.described, "application/sdp")
            choice = next(sdp.choices(sdp.plain(description)))
            clear = self._fitting(dialog.offer, choice, source) if first else choice
            mended = sdp.mended(clear, source=source, reaches=self._reaches)
        except NotAcceptable:
            if not first:
                return None
            if final:
                dialog.unusable = True
                dialog.on_event(DialogEvent.UNANSWERED)
            return response.with_body(_NO_ANSWER if final else b"", "application/sdp")
        dialog.described = sdp.in_profile_of(dialog.offer, mended)
        direction = sdp.direction(choice)
        # Where the peer has asked for nothing itself, whether it holds is in its answers.
        if (
            final
            and not dialog.heard_of
            and sdp.audio_port(choice)
            and direction is not dialog.agreed.direction
        ):
            dialog.agree(replace(dialog.agreed, direction=direction))
        return response.with_body(dialog.described, "application/sdp")

    def _fitting(self, offer: bytes, answer: bytes, source: Ip) -> bytes:
        """The first answer, if it is one to the offer, in clear words. Raises NotAcceptable."""
        clear, agreed = secured(answer, self._media_encryption, None, source)
        offered = Encryption.SDES if b"a=crypto:" in offer else Encryption.NONE
        common = sdp.codecs(answer) & sdp.codecs(offer) - {"telephone-event"}
        if not common or not sdp.audio_port(answer) or agreed.encryption not in (offered, Encryption.NONE):
            raise NotAcceptable
        return clear

    def sent(self, message: Message) -> Message | None:
        """What goes out in the place of a message of the stack's; None: nothing."""
        dialog = self._dialogs.get(message.header("Call-ID"))
        if message.header("Allow"):
            message = message.replace("Allow", self._allow)
        if message.method == "INVITE" and not message.status and not message.in_dialog:
            if dialog is None and message.uri.partition(";")[0] not in self._dialling:
                logger.error("an INVITE that nobody asked for was not sent")
                return None
            if dialog is None:
                dialog = self._early.setdefault(
                    message.header("Call-ID"), self._dialog(Parties("", "", ""), "")
                )
            message = self._private(message)
            dialog.offer = message.body
            # RFC 4028 7.1: otherwise the peer may leave it to us to refresh the session, without our knowing.
            message = _without(message, "Supported", "timer")
            # The stack is mute behind a reliable 183 and a 180, and follows no other fork than the first.
            return _without(message, "Supported", "100rel")
        if dialog is None:
            return message
        if (message.method, message.status // 100) in (("INVITE", 2), ("ACK", 0)):
            dialog.tags = _tags(message)
        if 100 < message.status < 200 and dialog.quiet:
            return None
        if message.status >= 300 and dialog.referral and message.header("CSeq") == dialog.referral.cseq:
            dialog.referral = None  # the stack wanted nothing of it
        if message.method == "NOTIFY" and _tells_failure(message):
            dialog.referral = None
        if message.method == "REFER" and not message.status:
            dialog.refers = True
            return _referring(message)
        if message.method not in ("INVITE", "UPDATE"):
            return message
        if (body := sdp.with_refused(message.body)) != message.body:
            message = message.with_body(body, message.header("Content-Type"))
        if not message.status and not (dialog.secured and dialog.secured.encryption):
            message = self._private(message)
        if not message.status and message.body:
            dialog.offer = message.body
        if 200 <= message.status < 300:
            if dialog.asked and dialog.asked[0] == message.header("CSeq"):
                (_, agreement), dialog.asked = dialog.asked, None
                dialog.agree(agreement)
            if (timer := dialog.agreed.timer) and not message.header("Session-Expires"):
                message = replace(message, headers=(*message.headers, *timer.in_response()))
            if dialog.secured and message.body:
                body = answering(message.body, dialog.secured)
                message = message.with_body(body, message.header("Content-Type"))
            if dialog.agreed.muted and not dialog.late and message.body:
                # RFC 3264 6: where the offer has no port, nor has the answer.
                body = re.sub(rb"^m=audio \d+", b"m=audio 0", message.body, flags=re.MULTILINE)
                message = message.with_body(body, message.header("Content-Type"))
        elif not message.status and (timer := dialog.agreed.timer) and not message.header("Session-Expires"):
            more = (*timer.in_request(), ("Supported", "timer"))
            message = replace(message, headers=(*message.headers, *more))
        return message

    def _private(self, request: Message) -> Message:
        """Without the keys that an account over TLS offers, where what is dialled by it isn't."""
        if self._media_encryption != "optional" or request.header("Via").upper().startswith("SIP/2.0/TLS"):
            return request
        body = keyless(request.body)
        if body == request.body:
            return request
        return request.with_body(body, request.header("Content-Type"))

    def _invited(self, request: Message, source: Ip) -> Message | Reply:
        call_id = request.header("Call-ID")
        tag = parameter(request.header("From"), "tag")
        # Where it begins a dialog, RFC 3261 8.1.1 and 12.1.1 want both; the stack would say 500.
        whole = tag and any(_SIP.match(uri_of(one)) for one in request.values("Contact")[:1])
        if not whole or not call_id.isascii() or len(call_id) > _LONGEST_CALL_ID:
            return Reply(400, "Bad Request")
        if self.unavailable_s is not None:
            return Reply(503, "Service Unavailable", (("Retry-After", str(self.unavailable_s)),))
        if call_id in self._dialogs:
            return Reply(482, "Loop Detected")  # RFC 3261 8.2.2.2, also where the Request-URI is another
        if (replaces := request.values("Replaces")) and (refusal := self._unreplaced(replaces)):
            return refusal
        account = self._account_of(request, source)
        trusted = (account is not None and account.sends(source)) or self._trusts(source)
        contact = account.agent.user if account else ""
        who = parties(request, trusted=trusted, contact=contact, headers=self.headers)
        private = request.header("Via").upper().startswith("SIP/2.0/TLS")
        dialog = self._dialog(who, tag)
        dialog.private, dialog.came_from = private, str(source)
        if account:
            dialog.account, dialog.codecs = account.name, account.settings.codecs or self._codecs
        outcome = self._asked(dialog, request, source)
        if isinstance(outcome, Reply):
            return outcome
        reliable = "100rel" in outcome.values("Require")
        dialog.quiet, dialog.awaits_prack = reliable and dialog.late, reliable and not dialog.late
        # Reliable ringing costs who only supports it a round trip before the answer.
        outcome = _without(outcome, "Supported", "100rel")
        if dialog.late:
            outcome = _without(outcome, "Require", "100rel")
        for read in ("Diversion", "History-Info"):  # the stack would log them
            outcome = outcome.replace(read, None)
        if account:  # and its agent is to take it
            outcome = outcome.to(f"sip:{account.agent.user}@offhook")
        self._dialogs[call_id] = dialog
        return outcome

    def _unreplaced(self, replaces: list[str]) -> Reply | None:
        """Why a call of ours may not be taken the place of (RFC 3891 3). The stack looks at no tags."""
        try:
            (header,) = replaces
            wanted = Replaces.parse(header)
        except ValueError:
            return Reply(400, "Bad Request")
        dialog = self._dialogs.get(wanted.call_id)
        if dialog is None or dialog.tags != wanted.tags:
            return Reply(481, "Call/Transaction Does Not Exist")
        return Reply(486, "Busy Here") if wanted.early_only else None

    def _asked(self, dialog: Dialog, request: Message, source: Ip) -> Message | Reply:
        """An INVITE or UPDATE, with an offer that the stack understands; what it asks for is noted."""
        try:
            timer = asked_for(request)
        except TooSmall:
            return Reply(422, "Session Interval Too Small", (("Min-SE", str(MIN_SE_S)),))
        if not request.body:
            dialog.late |= request.method == "INVITE"
            dialog.asked = request.header("CSeq"), replace(dialog.agreed, timer=timer)
            return request
        outcome = self._described(dialog, request, source)
        if isinstance(outcome, Reply):
            return outcome
        dialog.late &= request.method != "INVITE"
        message, asked = outcome
        dialog.asked = request.header("CSeq"), replace(asked, timer=timer)
        return message

    def _described(self, dialog: Dialog, request: Message, source: Ip) -> tuple[Message, Agreement] | Reply:
        dialog.heard_of = True
        """A request with the SDP in its body made one that the stack takes, and what that says."""
        content_type = request.header("Content-Type") or "application/sdp"
        description = sdp.of_body(content_type, request.body)
        if description is None:
            return Reply(415, "Unsupported Media Type", (("Accept", "application/sdp, multipart/mixed"),))
        for choice in sdp.choices(sdp.plain(description)):
            try:
                clear, agreed = secured(choice, self._media_encryption, dialog.secured, source)
                mended = sdp.mended(clear, source=source, reaches=self._reaches)
            except NotAcceptable:
                continue
            says = Agreement(sdp.direction(choice), sdp.audio_port(choice) == 0)
            # The stack would agree on telephone-event alone.
            if says.muted or not sdp.codecs(choice).isdisjoint(dialog.codecs):
                dialog.secured = agreed
                return request.with_body(mended, "application/sdp"), says
        return Reply(488, "Not Acceptable Here")

    def _acknowledged(self, dialog: Dialog, request: Message, source: Ip) -> Message | Reply | None:
        if request.method == "PRACK":
            dialog.awaits_prack = False
            dialog.on_event(DialogEvent.PRACKED)
            if not request.body:
                return None
        elif dialog.late:
            dialog.late = False
        else:
            return None  # whatever is in it, nothing was asked
        outcome = self._described(dialog, request, source)
        if isinstance(outcome, Reply):
            if request.method == "PRACK":
                return outcome
            dialog.on_event(DialogEvent.UNANSWERED)
            return request.with_body(_NO_ANSWER, "application/sdp")
        message, says = outcome
        dialog.agree(replace(says, timer=dialog.agreed.timer))
        return message

    def _referred(self, dialog: Dialog, request: Message, source: Ip) -> Reply | None:
        if self.refers is None or not self.refers(dialog.account, source):
            return Reply(603, "Decline")
        if dialog.referral or dialog.transferring:
            return Reply(491, "Request Pending")
        try:
            referral = Referral.parse(request.header("Refer-To"), request.header("CSeq"))
        except ValueError:
            return Reply(400, "Bad Request")
        if not self._permits(referral, dialog.account):
            return Reply(403, "Forbidden")
        dialog.referral = referral
        return None

    def _capabilities(self, request: Message, dialog: Dialog | None) -> Reply:
        if request.in_dialog and dialog is None:
            return Reply(481, "Call/Transaction Does Not Exist")
        if not request.in_dialog and (self.unavailable_s is not None or not self.ready):
            again_s = RETRY_AFTER_S if self.unavailable_s is None else self.unavailable_s
            return Reply(503, "Service Unavailable", (("Retry-After", str(again_s)),))
        headers = (
            ("Allow", self._allow),
            ("Accept", "application/sdp"),
            ("Supported", "replaces, timer, 100rel"),
        )
        return Reply(200, "OK", headers)


def _key(request: Message) -> Message | Reply | None:
    """A key, as whichever of the ways to write it in an INFO, becomes the one that the stack knows."""
    if not request.body:
        return None
    kind = request.header("Content-Type").partition(";")[0].strip().lower()
    text = request.body.decode(errors="replace")
    if kind not in ("application/dtmf-relay", "application/dtmf"):
        return Reply(415, "Unsupported Media Type", (("Accept", "application/dtmf-relay, application/dtmf"),))
    found = re.search(r"^[ \t]*Signal[ \t]*=[ \t]*(\S+)", text, re.IGNORECASE | re.MULTILINE)
    signal = found[1] if found else text.strip()
    key = _KEYS.get(signal, signal.lower())
    if not re.fullmatch(r"[0-9*#a-d]", key):
        return Reply(400, "Bad Request")
    return request.with_body(f"Signal={key}\r\nDuration={_KEY_MS}\r\n".encode(), "application/dtmf-relay")


def _referring(request: Message) -> Message:
    """A REFER with whole addresses: the stack writes them without brackets, and knows no name of ours."""
    target = request.header("Refer-To").removeprefix("<").removesuffix(">")
    ours = re.search(r"<([^>]*)>", request.header("From"))
    if ours:
        request = request.replace("Referred-By", f"<{ours[1]}>")
    return request.replace("Refer-To", f"<{target}>")


def _answerable(response: Message) -> Message | None:
    """With one challenge of each realm: the stack gives up at a second, and at a kind that it lacks."""
    headers: list[tuple[str, str]] = []
    realms: set[str] = set()
    for name, value in response.headers:
        if name.lower() in ("www-authenticate", "proxy-authenticate"):
            asked = parameters(value)
            realm = asked.get("realm", "")
            if realm in realms or not answerable(asked):
                continue
            realms.add(realm)
        headers.append((name, value))
    if not realms or len(headers) == len(response.headers):
        return None
    return replace(response, headers=tuple(headers))


def _tags(sent: Message) -> tuple[str, str]:
    """Ours and the peer's; 0 stands for none (RFC 3891 3)."""
    ours, theirs = ("To", "From") if sent.status else ("From", "To")
    return parameter(sent.header(ours), "tag"), parameter(sent.header(theirs), "tag") or "0"


def _accepted(response: bytes) -> str:
    """The method that a 2xx accepts; empty for any other response."""
    if not response.startswith(b"SIP/2.0 2"):  # most are provisional, or refuse: not worth parsing
        return ""
    try:
        return Message.parse(response).method
    except ValueError:
        return ""


def _tells_failure(notify: Message) -> bool:
    """Whether they whom the peer has us call haven't answered."""
    return notify.header("Subscription-State").startswith("terminated") and b"SIP/2.0 2" not in notify.body


def _without(message: Message, header: str, option: str) -> Message:
    """Without an option tag in one of the headers that list them."""
    values = message.values(header)
    if option not in values:
        return message
    return message.replace(header, ", ".join(one for one in values if one != option) or None)
