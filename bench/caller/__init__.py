"""A telephone caller for demonstrations and measurements, in a process of its own.

`python -m bench.caller script.json out.json` makes one SIP call, plays the script's part of it, and
writes what happened: every packet of both directions with its time, and the call as a stereo WAV.

It is our own instrument because no finished SIP client gives what the figures need: arrival times
taken by the kernel at the socket, the level of each packet's payload, steps that wait for what the
agent does, and loss, jitter, echo and noise that repeat exactly from a seed. It speaks just enough
SIP for that, so it says nothing about interoperability: that is tested with real peers, sipp and
baresip. And it is a second process so that it shares no interpreter lock with what it measures.
"""
