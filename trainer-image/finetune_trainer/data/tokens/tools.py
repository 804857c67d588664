"""What a chat template makes of tools, and what stands in for one that ignores them.

Templates differ: some take a call's arguments as an object and some as JSON text, some want a content of "" where a message has
none, many do not know tools at all. What they do is found out by rendering a conversation with a tool in it.
"""

import json
from collections.abc import Iterable

from finetune_trainer.data.rows.types import Conversation, Function, FunctionCall, Message, Row, Tool, ToolCall
from finetune_trainer.data.tokens.template import ChatTemplate, TemplateRefusal

_TOOL = Tool(Function("probe_weather", "Probed.", {"type": "object", "properties": {"town": {"type": "string"}}, "required": ["town"]}))
_CALL = ToolCall(FunctionCall("probe_weather", '{"town": "Probetown"}'), id="call00001")
_CHAT = [
    Message("user", "How is the weather?"),
    Message("assistant", None, tool_calls=[_CALL]),
    Message("tool", '{"degrees": 17171}', tool_call_id="call00001", name="probe_weather"),
    Message("assistant", "It is warm."),
]
_SHOWN = ("probe_weather", "Probetown", "17171", "It is warm.")


def uses_tools(rows: Iterable[tuple[str, Row]]) -> bool:
    """True when a conversation has tools or calls them."""
    return any(
        isinstance(row, Conversation) and (row.tools or any(message.tool_calls or message.role == "tool" for message in row.messages))
        for _, row in rows
    )


def adapt(template: ChatTemplate) -> bool:
    """Finds the form of calls that the template takes, and sets it; False when it does not tell the model of tools at all."""
    for template.arguments_as_text, template.empty_content in ((False, None), (False, ""), (True, None), (True, "")):
        if shows_calls(template):
            return True
    template.arguments_as_text, template.empty_content = False, None
    return False


def shows_calls(template: ChatTemplate) -> bool:
    """True when tools, calls and results are all in the text, and no Python value is."""
    try:
        text = template.render(_CHAT, [_TOOL])
        tools = template.render(_CHAT[:1], [_TOOL])
        without = template.render(_CHAT[:1])
    except TemplateRefusal:
        return False
    readable = "{'" not in text and "None" not in text and '\\"town\\"' not in text
    return readable and tools != without and "probe_weather" in tools and all(word in text for word in _SHOWN)


def is_chatml(template: ChatTemplate, tokens: Iterable[str]) -> bool:
    """True for a template that writes turns between <|im_start|> and <|im_end|>, which the vocabulary must have."""
    try:
        text = template.render([Message("user", "Probed.")], add_generation_prompt=True)
    except TemplateRefusal:
        return False
    return "<|im_start|>user\nProbed.<|im_end|>" in text and {"<|im_start|>", "<|im_end|>"} <= set(tokens)


def chatml_with_tools(template: ChatTemplate) -> str:
    """A ChatML template with tools in the form of Hermes and Qwen2.5, which keeps the system message that `template` writes by itself."""
    lead = template.render([Message("user", "Probed.")]).partition("<|im_start|>user\n")[0]
    start, _, system = lead.partition("<|im_start|>system\n")
    usual = system.partition("<|im_end|>")[0]
    return _CHATML.replace("@START@", literal(start)).replace("@SYSTEM@", literal(usual))


def literal(text: str) -> str:
    """A string of Jinja."""
    return json.dumps(text, ensure_ascii=False)


_CHATML = """\
{%- set usual_system = @SYSTEM@ %}
{%- if messages[0].role == 'system' %}
    {%- set system = messages[0].content %}
    {%- set turns = messages[1:] %}
{%- else %}
    {%- set system = usual_system %}
    {%- set turns = messages %}
{%- endif %}
{{- @START@ }}
{%- if tools %}
    {{- '<|im_start|>system\\n' + (system + '\\n\\n' if system else '') }}
    {{- '# Tools\\n\\nYou may call these functions, described by JSON in <tools></tools>:\\n<tools>' }}
    {%- for tool in tools %}{{- '\\n' + (tool | tojson) }}{% endfor %}
    {{- '\\n</tools>\\n\\nTo call one, write its name and its arguments as JSON in <tool_call></tool_call>:\\n' }}
    {{- '<tool_call>\\n{"name": <function-name>, "arguments": <args-json-object>}\\n</tool_call><|im_end|>\\n' }}
{%- elif system %}
    {{- '<|im_start|>system\\n' + system + '<|im_end|>\\n' }}
{%- endif %}
{%- for message in turns %}
    {%- if message.role == 'tool' %}
        {%- if loop.first or turns[loop.index0 - 1].role != 'tool' %}{{- '<|im_start|>user' }}{% endif %}
        {{- '\\n<tool_response>\\n' + message.content + '\\n</tool_response>' }}
        {%- if loop.last or turns[loop.index0 + 1].role != 'tool' %}{{- '<|im_end|>\\n' }}{% endif %}
    {%- elif message.tool_calls %}
        {{- '<|im_start|>' + message.role }}
        {%- if message.content %}{{- '\\n' + message.content }}{% endif %}
        {%- for call in message.tool_calls %}
            {{- '\\n<tool_call>\\n{"name": ' + (call.function.name | tojson) + ', "arguments": ' }}
            {{- call.function.arguments if call.function.arguments is string else call.function.arguments | tojson }}
            {{- '}\\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\\n' }}
    {%- else %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{% endif %}
"""

PLAIN = """\
{{- bos_token if bos_token is defined and bos_token else '' }}
{%- for message in messages %}
    {%- if message.role == 'user' %}{{- 'User:\\n' + message.content + '\\n\\n' }}
    {%- elif message.role == 'assistant' %}{{- 'Assistant:\\n' + message.content + eos_token + '\\n\\n' }}
    {%- elif message.role == 'system' %}{{- message.content + '\\n\\n' }}
    {%- else %}{{- raise_exception('the default chat template has no turn for the role ' + message.role) }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- 'Assistant:\\n' }}{% endif %}
"""
"""For a base model without a chat template: User:, Assistant:, and the end-of-text token after an answer."""
