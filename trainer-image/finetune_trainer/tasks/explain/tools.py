"""What is wrong with the tools of a conversation, the calls of them and the answers."""

from collections.abc import Iterator
from typing import Any

from finetune_trainer.tasks.explain.content import text_of
from finetune_trainer.tasks.explain.json_text import Wrong, parse_text
from finetune_trainer.tasks.explain.names import OPENAI, Names
from finetune_trainer.tasks.explain.problem import Problem, did_you_mean, kind_of, listed, shown, unknown_key

_FUNCTION_KEYS = ("name", "description", "parameters", "strict")
_CALL_KEYS = ("id", "type", "function")
_ELSEWHERE = {"patternProperties", "$ref", "allOf", "anyOf", "oneOf", "if"}
"""Where a schema may name properties besides `properties`."""
_TOOL = '{"type": "function", "function": {"name": ..., "parameters": ...}}'
_CALL = '{"id": ..., "type": "function", "function": {"name": ..., "arguments": ...}}'


def tool_list_problems(row: dict[str, Any], names: Names = OPENAI) -> Iterator[Problem]:
    """What is wrong with a row's `tools` and `parallel_tool_calls`."""
    parallel, tools = row.get("parallel_tool_calls"), row.get("tools")
    if parallel is not None and not isinstance(parallel, bool):
        yield Problem("wrong tools", f"parallel_tool_calls is {shown(parallel)}, expected true or false")
    if tools is None:
        return
    if not isinstance(tools, list):
        text = isinstance(tools, str) and tools.lstrip().startswith("[")
        hint = " that holds the text of an array (jq -c '.tools |= fromjson' FILE > rows.jsonl)" if text else ""
        yield Problem("wrong tools", f"tools is {kind_of(tools)}{hint}, expected an array of {_TOOL}, or no such key")
        return
    seen: set[str] = set()
    for index, tool in enumerate(tools):
        found = list(tool_problems(f"tools[{index}]", names.tool_function(index), tool))
        yield from found
        if not found:
            name = tool["function"]["name"]
            if name in seen:
                yield Problem("wrong tools", f"{names.tool_function(index)}.name is {name!r}, as another tool before it: names must differ")
            seen.add(name)


def tool_problems(path: str, function_path: str, tool: Any) -> Iterator[Problem]:
    """What is wrong with one entry of `tools`."""
    if not isinstance(tool, dict):
        yield Problem("wrong tools", f"{path} is {kind_of(tool)}, expected {_TOOL}")
        return
    if tool.get("type") not in (None, "function"):
        yield Problem("wrong tools", f"{path}.type is {shown(tool['type'])}, expected 'function'")
    for key, value in tool.items():
        if key not in ("type", "function") and "function" in tool and value is not None:
            yield unknown_key(f"{path}.{key}", key, ("type", "function"), "a tool")
    function = tool.get("function")
    if not isinstance(function, dict):
        what = f"{path}.function is {kind_of(function)}" if "function" in tool else f"{path} has no key 'function'"
        yield Problem("wrong tools", f"{what}, expected {_TOOL}")
        return
    for key, value in function.items():
        if key not in _FUNCTION_KEYS and value is not None:
            yield unknown_key(f"{function_path}.{key}", key, _FUNCTION_KEYS, "a function")
    yield from function_problems(function_path, function)


def function_problems(path: str, function: dict[str, Any]) -> Iterator[Problem]:
    """What is wrong with a function's description."""
    name, parameters = function.get("name"), function.get("parameters")
    if not isinstance(name, str) or not name.strip():
        yield Problem("wrong tools", f"{path}.name is {shown(name)}, expected the function's name")
    if not isinstance(function.get("description", ""), str | None):
        yield Problem("wrong tools", f"{path}.description is {kind_of(function['description'])}, expected a string")
    if not isinstance(function.get("strict", False), bool | None):
        yield Problem("wrong tools", f"{path}.strict is {shown(function['strict'])}, expected true or false")
    if parameters is None:
        return
    if not isinstance(parameters, dict):
        yield Problem("wrong tools", f"{path}.parameters is {kind_of(parameters)}, expected a JSON Schema: an object")
        return
    if not isinstance(parameters.get("properties"), dict | None):
        yield Problem("wrong tools", f"{path}.parameters.properties is {kind_of(parameters['properties'])}, expected an object")
    required = parameters.get("required")
    if required is not None and (not isinstance(required, list) or not all(isinstance(item, str) for item in required)):
        yield Problem("wrong tools", f"{path}.parameters.required is {kind_of(required)}, expected an array of names")


class Calls:
    """The calls of one conversation and their answers. Its messages and its tools are each right by themselves."""

    def __init__(self, row: dict[str, Any], names: Names = OPENAI) -> None:
        self.messages: list[dict[str, Any]] = row["messages"]
        self.names = names
        self.parallel = row.get("parallel_tool_calls")
        self.tools: dict[str, Any] = {tool["function"]["name"]: tool["function"] for tool in row.get("tools") or []}
        self.open: list[tuple[str, str | None]] = []
        """Calls that wait for an answer: where, and their id."""
        self.ids: set[str] = set()
        self.text_calls = ""
        """The assistant's message, if it has calls as text."""

    def problems(self) -> Iterator[Problem]:
        """All that is wrong."""
        for index, message in enumerate(self.messages):
            path = self.names.message(index)
            if message["role"] == "assistant":
                self.text_calls = path if "<tool_call>" in text_of(message.get("content")) else ""
            if message["role"] == "tool":
                yield from self._answer(path, message)
                continue
            yield from self._unanswered(path)
            if message.get("tool_calls") not in (None, []):
                yield from self._calls(index, message["tool_calls"])

    def _unanswered(self, path: str) -> Iterator[Problem]:
        """Calls must be answered before anybody else speaks; those of the last message need not be."""
        for call, call_id in self.open:
            named = f" with tool_call_id {shown(call_id)}" if call_id is not None else ""
            yield Problem("unanswered call", f"{call} is not answered before {path}: expected {self.names.expected('tool')}{named}")
        self.open = []

    def _answer(self, path: str, message: dict[str, Any]) -> Iterator[Problem]:
        given = message.get("tool_call_id")
        if given is not None and not isinstance(given, str):
            yield Problem("answer without call", f"{path}.tool_call_id is {shown(given)}, expected the id of a call, a string")
        elif not self.open and self.text_calls:
            says = f"{path} answers a call that is written as text in {self.text_calls} (<tool_call>)"
            way = f"write it as {self.names.calling}, and describe its function in tools"
            yield Problem("call as text", f"{says}, which the base's chat template does not know as a call: {way}")
        elif not self.open:
            says = f"{path} does not answer a call: expected right after {self.names.calling}, once for each call"
            yield Problem("answer without call", says)
        elif given is None:
            waiting = self.open.pop(0)
            if waiting[1] is not None:
                says = f"{path} has no tool_call_id, expected the id of the call that it answers: {shown(waiting[1])}"
                yield Problem("answer without call", says)
        else:
            match = next((call for call in self.open if call[1] == given), None)
            if match is None:
                ids = listed(str(call[1]) for call in self.open if call[1] is not None) or "none, for the calls have no id"
                yield Problem("answer without call", f"{path}.tool_call_id is {shown(given)}, expected the id of an open call: {ids}")
                self.open.pop(0)
            else:
                self.open.remove(match)

    def _calls(self, index: int, calls: Any) -> Iterator[Problem]:
        path = f"{self.names.message(index)}.tool_calls"
        if not isinstance(calls, list):
            yield Problem("wrong tool call", f"{path} is {kind_of(calls)}, expected an array of {_CALL}, or no such key")
            return
        if self.parallel is False and len(calls) > 1:
            says = f"{path} has {len(calls)} calls although the row's parallel_tool_calls is false: expected one call per message"
            yield Problem("wrong tool call", says)
        for number, call in enumerate(calls):
            where = self.names.call(index, number)
            yield from self._call(where, self.names.function_of(index, number), call)
            call_id = call.get("id") if isinstance(call, dict) else None
            self.open.append((where, call_id if isinstance(call_id, str) else None))

    def _call(self, path: str, function_path: str, call: Any) -> Iterator[Problem]:
        if not isinstance(call, dict) or not isinstance(call.get("function"), dict):
            what = f"{path} is {kind_of(call)}" if not isinstance(call, dict) else f"{path}.function is {kind_of(call.get('function'))}"
            yield Problem("wrong tool call", f"{what}, expected {_CALL}")
            return
        for key, value in call.items():
            if key not in _CALL_KEYS and value is not None and not (key == "index" and isinstance(value, int)):
                yield unknown_key(f"{path}.{key}", key, _CALL_KEYS, "a call")
        yield from self._call_id(path, call)
        if call.get("type") not in (None, "function"):
            yield Problem("wrong tool call", f"{path}.type is {shown(call['type'])}, expected 'function'")
        function = call["function"]
        for key, value in function.items():
            if key not in ("name", "arguments") and value is not None:
                yield unknown_key(f"{function_path}.{key}", key, ("name", "arguments"), "a call's function")
        yield from self._function(function_path, function)

    def _call_id(self, path: str, call: dict[str, Any]) -> Iterator[Problem]:
        call_id = call.get("id")
        if call_id is None:
            return
        if not isinstance(call_id, str) or not call_id:
            yield Problem("wrong tool call", f"{path}.id is {shown(call_id)}, expected a string that is not empty")
        elif call_id in self.ids:
            yield Problem("id twice", f"{path}.id is {shown(call_id)}, as of another call before it: ids must differ within a row")
        else:
            self.ids.add(call_id)

    def _function(self, path: str, function: dict[str, Any]) -> Iterator[Problem]:
        name = function.get("name")
        if not isinstance(name, str) or not name:
            yield Problem("wrong tool call", f"{path}.name is {shown(name)}, expected the name of a function in tools")
            return
        if name not in self.tools:
            known = f"expected one of {listed(self.tools)}" if self.tools else "the row has no tools: add its definition to tools"
            yield Problem("unknown tool", f"{path}.name is {shown(name)}, which is not in tools{did_you_mean(name, self.tools)}: {known}")
        arguments = function.get("arguments")
        if isinstance(arguments, str):
            try:
                arguments = parse_text(arguments)
            except Wrong as exc:
                yield Problem("arguments are not JSON", f"{path}.arguments {exc}: expected the JSON text of an object")
                return
        if not isinstance(arguments, dict):
            what = "is missing" if "arguments" not in function else f"is {kind_of(arguments)}"
            says = f'{path}.arguments {what}, expected the JSON text of an object, as in "{{}}"'
            yield Problem("arguments are not JSON", says)
        elif name in self.tools:
            yield from argument_problems(f"{path}.arguments", name, arguments, self.tools[name].get("parameters") or {})


def argument_problems(path: str, name: str, arguments: dict[str, Any], schema: dict[str, Any]) -> Iterator[Problem]:
    """Arguments that a function requires, and those that it does not know."""
    properties = schema.get("properties") or {}
    for key in schema.get("required") or []:
        if key not in arguments:
            yield Problem("wrong arguments", f"{path} has no {key!r}, which function {name!r} requires")
    if schema.get("additionalProperties") in (None, False) and not _ELSEWHERE & schema.keys():
        for key in arguments:
            if key not in properties:
                known = f"it takes {listed(properties)}" if properties else "it takes none"
                says = f"{path} has {key!r}, which is not a parameter of function {name!r}{did_you_mean(key, properties)}: {known}"
                yield Problem("wrong arguments", says)
