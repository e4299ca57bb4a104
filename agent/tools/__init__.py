"""What a tool written in Python imports: docs/tools.md."""

from agent.tools.functions import tool
from agent.tools.tool import CallFacts, ToolFailed

__all__ = ["CallFacts", "ToolFailed", "tool"]
