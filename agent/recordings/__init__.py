"""Calls as they were heard: both sides of the wire, in a file or for whoever listens in.

Pipecat's AudioBufferProcessor isn't used. It stands in the pipeline, where the agent's sound is what was
written, ahead of the wire and not yet cut by a barge-in, and the caller's has gone through Pipecat's queues
(which our frames avoid); it places sounds by when frames pass it, and keeps all of it in memory until whoever
handles its event has taken it. Here sound is tapped where the wire has it, with its place in the wire's time.
"""
