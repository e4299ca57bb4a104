"""Tools as async Python functions: what a model is told of one comes from its signature and docstring."""

from __future__ import annotations

import importlib.util
import inspect
import sys
import traceback
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, TypeVar, get_type_hints

import docstring_parser
from pipecat.adapters.llm.schemas.function_schema import FunctionSchema
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic.errors import PydanticUserError

from agent.tools.schemas import plain, require_arguments
from agent.tools.tool import TIMEOUT_S, Arguments, CallFacts, OnInterruption, Tool, WrongArguments
from config.errors import ConfigError

Function = TypeVar("Function", bound=Callable[..., Awaitable[Any]])
_PACKAGE = "offhook_tools"
_OPTIONS = "_offhook_tool"
MOST_TIMEOUT_S = 120.0


@dataclass(frozen=True)
class Options:
    timeout_s: float = TIMEOUT_S
    confirm: str = ""
    on_interruption: OnInterruption = "finish"
    answers: bool = True


def tool(
    *,
    timeout_s: float = TIMEOUT_S,
    confirm: str = "",
    on_interruption: OnInterruption = "finish",
    answers: bool = True,
) -> Callable[[Function], Function]:
    """For a function that isn't to be run as others are.

    `confirm` is what the caller is asked before, with arguments in braces: "Shall I book it for {day}?".
    `on_interruption`: what becomes of it when the caller speaks meanwhile. `answers`: whether the model says
    something of its result.
    """

    def decorate(function: Function) -> Function:
        setattr(function, _OPTIONS, Options(timeout_s, confirm, on_interruption, answers))
        return function

    return decorate


@dataclass(frozen=True)
class Module:
    """One that has tools, as its file was when it was imported."""

    stamp: tuple[int, int]
    tools: Sequence[Tool]


def load_functions(folder: Path, before: Mapping[Path, Module] | None = None) -> dict[Path, Module]:
    """The folder's modules, by their files; none where there is no folder.

    One that was read `before`, and hasn't changed since, stays with all that it holds. Raises ConfigError,
    which names the file and the line.
    """
    found = dict[Path, Module]()
    for path in sorted(folder.glob("[!._]*.py")):
        status = path.stat()
        stamp, known = (status.st_mtime_ns, status.st_size), (before or {}).get(path)
        if known and known.stamp == stamp:
            found[path] = known
        else:
            found[path] = Module(stamp, list(_tools_in(_imported(path), path)))
    return found


class _Uncached(SourceFileLoader):
    """A cache would have the old where a file changes twice in a second."""

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.get_data(self.path), self.path)


def _imported(path: Path) -> ModuleType:
    name = f"{_PACKAGE}.{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path, loader=_Uncached(name, str(path)))
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where annotations that are strings are looked up
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise ConfigError(f"The tools in {path} can't be read: line {error.lineno}: {error.msg}.") from error
    except (Exception, SystemExit) as error:  # it may raise anything
        lines = [one.lineno for one in traceback.extract_tb(error.__traceback__) if one.filename == str(path)]
        where = f"line {lines[-1]}: " if lines else ""
        raise ConfigError(
            f"The tools in {path} can't be read: {where}{type(error).__name__}: {error}."
        ) from error
    return module


def _tools_in(module: ModuleType, path: Path) -> Iterator[Tool]:
    for name, function in vars(module).items():
        own = inspect.isfunction(function) and function.__module__ == module.__name__
        if not own or name.startswith("_"):
            continue
        if inspect.iscoroutinefunction(function):
            try:
                yield _made(function, path)
            except (ValueError, TypeError, NameError, PydanticUserError) as error:
                line = function.__code__.co_firstlineno
                raise ConfigError(f"The tool {name} in {path}, line {line}: {_first_line(error)}.") from error
        elif hasattr(function, _OPTIONS):
            line = function.__code__.co_firstlineno
            raise ConfigError(f"The tool {name} in {path}, line {line}: it must be an async function.")


def _made(function: Callable[..., Awaitable[Any]], path: Path) -> Tool:
    """Raises ValueError and what typing and pydantic do, with what is wrong with it."""
    options: Options = getattr(function, _OPTIONS, Options())
    if not 0 < options.timeout_s <= MOST_TIMEOUT_S:
        raise ValueError(f"its timeout_s must be more than 0 and at most {MOST_TIMEOUT_S:g}")
    told = docstring_parser.parse(function.__doc__ or "")
    if not told.description:
        raise ValueError("it has no docstring, which tells the model when to use it")
    about = {one.arg_name: " ".join((one.description or "").split()) for one in told.params}
    hints = get_type_hints(function, include_extras=True)
    takes_call, fields = "", dict[str, Any]()
    for name, parameter in inspect.signature(function).parameters.items():
        if hints.get(name) is CallFacts:
            takes_call = name
            continue
        if name not in hints or parameter.kind not in (
            parameter.POSITIONAL_OR_KEYWORD,
            parameter.KEYWORD_ONLY,
        ):
            raise ValueError(f"its parameter {name} must have a name and a type")
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[name] = (hints[name], Field(default, description=about.get(name)))
    model = create_model(function.__name__, __config__=ConfigDict(extra="forbid"), **fields)
    schema = plain(model.model_json_schema())
    require_arguments(options.confirm, schema)

    async def run(arguments: Arguments, call: CallFacts) -> Any:
        return await function(**arguments, **({takes_call: call} if takes_call else {}))

    return Tool(
        FunctionSchema(
            function.__name__,
            " ".join(told.description.split()),
            schema.get("properties", {}),
            schema.get("required", []),
        ),
        run,
        check=_checks(model),
        timeout_s=options.timeout_s,
        confirm=options.confirm,
        on_interruption=options.on_interruption,
        answers=options.answers,
        source=path.name,
    )


def _checks(model: type[BaseModel]) -> Callable[[Arguments], Arguments]:
    def check(arguments: Arguments) -> Arguments:
        try:
            checked = model.model_validate(dict(arguments))
        except ValidationError as error:
            wrong = error.errors(include_url=False, include_input=False)
            said = (f"{'.'.join(map(str, one['loc'])) or 'all'}: {one['msg']}" for one in wrong)
            raise WrongArguments("; ".join(said)) from None
        return {name: getattr(checked, name) for name in model.model_fields}

    return check


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".")
