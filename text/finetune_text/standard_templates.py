"""Chat templates for models that have none, and for ChatML models whose own one ignores tools. Knows no tokens."""

import json
from collections.abc import Iterable

from finetune_text.chat_template import ChatTemplate, TemplateRefusal

_PROBE = [{"role": "user", "content": "Probed."}]


def is_chatml(template: ChatTemplate, tokens: Iterable[str]) -> bool:
    """True for a template that writes turns between <|im_start|> and <|im_end|>, which the vocabulary must have."""
    try:
        text = template.prompt(_PROBE)
    except TemplateRefusal:
        return False
    return "<|im_start|>user\nProbed.<|im_end|>" in text and {"<|im_start|>", "<|im_end|>"} <= set(tokens)


def chatml_with_tools(template: ChatTemplate) -> str:
    """A ChatML template with tools in the form of Hermes and Qwen2.5, which keeps the system message that `template` writes by itself."""
    lead = template.render(_PROBE).partition("<|im_start|>user\n")[0]
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
