"""What the context is told of tools that are cancelled before it knows that they run."""

from __future__ import annotations

from pipecat.frames.frames import (
    Frame,
    FunctionCallCancelFrame,
    FunctionCallInProgressFrame,
    FunctionCallResultFrame,
    FunctionCallResultProperties,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

CANCELLED = "CANCELLED"  # as Pipecat has it


class CancelledTools(FrameProcessor):
    """Settles tools that were cancelled in the words before them.

    That they are overtakes that they run, which waits behind the words, and is ignored.
    """

    def __init__(self) -> None:
        super().__init__(enable_direct_mode=True)
        self._called: set[str] = set()  # by the ids of their calls
        self._cancelled: set[str] = set()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        await self.push_frame(frame, direction)
        # Some servers use an id again: it stands for one call until that is settled.
        if isinstance(frame, FunctionCallResultFrame):
            self._called.discard(frame.tool_call_id)
        elif isinstance(frame, FunctionCallCancelFrame):
            if frame.tool_call_id in self._called:
                self._called.remove(frame.tool_call_id)
            else:
                self._cancelled.add(frame.tool_call_id)
        elif isinstance(frame, FunctionCallInProgressFrame):
            if frame.tool_call_id not in self._cancelled:
                self._called.add(frame.tool_call_id)
            else:
                self._cancelled.remove(frame.tool_call_id)
                await self.push_frame(
                    FunctionCallResultFrame(
                        frame.function_name,
                        frame.tool_call_id,
                        frame.arguments,
                        CANCELLED,
                        properties=FunctionCallResultProperties(run_llm=False),
                    )
                )
