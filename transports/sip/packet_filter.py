"""Drops what strangers send, in the kernel, before the SIP stack sees it.

A classic BPF program on each listening socket: a scanner gets no SIP answer, no TCP handshake, and
costs no thread of ours a wake-up.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_network

# linux/filter.h, linux/bpf_common.h
_LOAD_WORD = 0x20  # BPF_LD | BPF_W | BPF_ABS
_AND = 0x54  # BPF_ALU | BPF_AND | BPF_K
_JUMP_EQUAL = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_JUMP = 0x05  # BPF_JMP | BPF_JA
_RETURN = 0x06  # BPF_RET | BPF_K
_NETWORK_HEADER = 0xFFF00000  # SKF_NET_OFF
_IPV4_SOURCE = 12
_IPV6_SOURCE = 8
_WHOLE_PACKET = 0xFFFFFFFF
_MAX_INSTRUCTIONS = 4096
_COMPARED_AT_ONCE = 128  # a conditional jump goes over at most 255
_MOST_IPV6_DENIED = 64  # seven instructions each

_SO_ATTACH_FILTER = 26
_SO_MEMINFO = 55
_MEMINFO_DROPS = 8

Instruction = tuple[int, int, int, int]  # code, jump if true, jump if false, operand


def compile_filter(
    networks: Iterable[str], family: int, denied: Iterable[IPv4Network | IPv6Network] = ()
) -> list[Instruction]:
    """A program that passes packets whose source is in one of `networks` (CIDR) and drops all others.

    It drops those from `denied` as well (IPv4 addresses, IPv6 networks), as many as it has room for.
    Raises ValueError if there are more `networks` than the kernel takes.
    """
    program: list[Instruction] = []
    for text in networks:
        network = ip_network(text)
        if (network.version == 4) == (family == socket.AF_INET):
            program += _block(network, _WHOLE_PACKET)
    program.append((_RETURN, 0, 0, 0))
    if len(program) > _MAX_INSTRUCTIONS:
        raise ValueError("sip.allow names more networks than a socket filter holds; merge some.")
    room = _MAX_INSTRUCTIONS - len(program)
    if family == socket.AF_INET:
        return _drop_addresses([n.network_address.packed for n in denied if n.version == 4], room) + program
    blocks = [_block(network, 0) for network in denied if network.version == 6][-_MOST_IPV6_DENIED:]
    drop = [instruction for block in blocks for instruction in block]
    return (drop if len(drop) <= room else []) + program


def _drop_addresses(addresses: list[bytes], room: int) -> list[Instruction]:
    """One comparison each, since older kernels allow a socket 20 kB of what this becomes."""
    program: list[Instruction] = []
    for start in range(0, len(addresses), _COMPARED_AT_ONCE):
        chunk = addresses[start : start + _COMPARED_AT_ONCE]
        part = [
            (_LOAD_WORD, 0, 0, _NETWORK_HEADER + _IPV4_SOURCE),
            *((_JUMP_EQUAL, len(chunk) - i, 0, int.from_bytes(a, "big")) for i, a in enumerate(chunk)),
            (_JUMP, 0, 0, 1),
            (_RETURN, 0, 0, 0),
        ]
        if len(program) + len(part) > room:
            break
        program += part
    return program


def _block(network: IPv4Network | IPv6Network, verdict: int) -> list[Instruction]:
    source = _IPV4_SOURCE if network.version == 4 else _IPV6_SOURCE
    address = network.network_address.packed
    mask = network.netmask.packed
    tests: list[Instruction] = []
    words = [i for i in range(0, len(mask), 4) if mask[i : i + 4] != b"\0\0\0\0"]
    for nth, i in enumerate(words):
        after = 3 * (len(words) - nth - 1) + 1  # past the rest of this block, its return included
        tests += [
            (_LOAD_WORD, 0, 0, _NETWORK_HEADER + source + i),
            (_AND, 0, 0, int.from_bytes(mask[i : i + 4], "big")),
            (_JUMP_EQUAL, 0, after, int.from_bytes(address[i : i + 4], "big")),
        ]
    return [*tests, (_RETURN, 0, 0, verdict)]


def attach(sock: socket.socket, program: list[Instruction]) -> None:
    """Put `program` on a socket; TCP connections that it accepts inherit it."""
    code = b"".join(struct.pack("=HBBI", *instruction) for instruction in program)
    buffer = ctypes.create_string_buffer(code, len(code))
    sock.setsockopt(
        socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("@HP", len(program), ctypes.addressof(buffer))
    )


def dropped(sock: socket.socket) -> int:
    """How many packets the kernel has dropped on this socket since it was opened."""
    info = sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 36)
    return int(struct.unpack("=9I", info)[_MEMINFO_DROPS])
