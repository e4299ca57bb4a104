"""`python -m bench.caller script.json out.json`"""

from __future__ import annotations

import sys
from pathlib import Path

from pydantic import ValidationError

from bench.caller.call import run, write_result
from bench.caller.script import Script


def main() -> int:
    if len(sys.argv) != 3:
        print("usage: python -m bench.caller SCRIPT.json OUT.json", file=sys.stderr)
        return 2
    try:
        script = Script.model_validate_json(Path(sys.argv[1]).read_text())
        result = run(script)
    except (OSError, ValueError, ValidationError) as error:
        print(f"bench.caller: {error}", file=sys.stderr)
        return 2
    write_result(Path(sys.argv[2]), result)
    return 0 if result["outcome"] == "answered" else 1


sys.exit(main())
