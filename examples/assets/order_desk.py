"""Chat rows with tools: a customer asks for orders and prices, the assistant calls tools, several at a time where it helps."""

import gzip
import json
import random
from pathlib import Path
from typing import Any

ROWS = 300
GOODS = ("desk lamp", "blue jacket", "coffee grinder", "garden chair", "tea cup", "notebook", "running shoes", "backpack")
STATES = ("shipped", "in preparation", "delivered", "waiting for payment")


def tool(name: str, description: str, **parameters: str) -> dict[str, Any]:
    """A tool whose parameters are all texts and all required."""
    properties = {key: {"type": "string", "description": text} for key, text in parameters.items()}
    schema = {"type": "object", "properties": properties, "required": list(parameters)}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": schema}}


TOOLS = [
    tool("get_order", "State of an order", order_id="Number of the order, such as A1234"),
    tool("get_price", "Price of a product in euros", product="Name of the product"),
]


def write_order_desk(folder: Path) -> None:
    """train.jsonl.gz."""
    chance = random.Random(0)
    kinds = (one_order, two_orders, price, small_talk)
    rows = [kinds[number % len(kinds)](chance) for number in range(ROWS)]
    chance.shuffle(rows)
    lines = "".join(json.dumps({"messages": messages, "tools": TOOLS, "parallel_tool_calls": True}) + "\n" for messages in rows)
    with (
        open(folder / "train.jsonl.gz", "wb") as file,
        gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed,
    ):  # the same bytes each time
        packed.write(lines.encode())
    print(f"  train.jsonl.gz: {len(rows)} conversations", flush=True)


def one_order(chance: random.Random) -> list[dict[str, Any]]:
    """A question, a call, its result, the answer."""
    number, state = order_number(chance), chance.choice(STATES)
    question = chance.choice(("Where is my order {}?", "What about order {}?", "Has {} left yet?")).format(number)
    looked_up = exchange(chance, ("get_order", {"order_id": number}, {"state": state}))
    return [says("user", question), *looked_up, says("assistant", f"Your order {number} is {state}.")]


def two_orders(chance: random.Random) -> list[dict[str, Any]]:
    """Two calls at a time."""
    first, second = order_number(chance), order_number(chance)
    states = chance.choice(STATES), chance.choice(STATES)
    orders = zip((first, second), states, strict=True)
    looked_up = exchange(chance, *(("get_order", {"order_id": number}, {"state": state}) for number, state in orders))
    answer = f"{first} is {states[0]} and {second} is {states[1]}."
    return [says("user", f"Please check {first} and {second}."), *looked_up, says("assistant", answer)]


def price(chance: random.Random) -> list[dict[str, Any]]:
    """A turn without tools first, which is not to be learnt."""
    product, euros = chance.choice(GOODS), f"{chance.randrange(5, 200)}.{chance.choice(('00', '50', '90'))}"
    return [
        says("user", f"Hello, I have a question, ticket {chance.randrange(10_000)}."),
        says("assistant", "Hello! What would you like to know?") | {"weight": 0},
        says("user", f"How much is the {product}?"),
        *exchange(chance, ("get_price", {"product": product}, {"price": euros})),
        says("assistant", f"The {product} costs {euros} euros."),
    ]


def small_talk(chance: random.Random) -> list[dict[str, Any]]:
    """Tools are there, and none is needed."""
    return [says("user", f"Thanks, customer {chance.randrange(10_000)} is happy!"), says("assistant", "You are welcome. Have a nice day!")]


def exchange(chance: random.Random, *calls: tuple[str, dict[str, str], dict[str, str]]) -> list[dict[str, Any]]:
    """A message that calls tools (name, arguments, answer), and a message with the answer of each."""
    made, answers = [], []
    for name, arguments, answer in calls:
        number = f"call_{chance.randrange(16**8):08x}"
        made.append({"id": number, "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}})
        answers.append({"role": "tool", "tool_call_id": number, "content": json.dumps(answer)})
    return [{"role": "assistant", "content": None, "tool_calls": made}, *answers]


def says(role: str, content: str) -> dict[str, Any]:
    """A message of text."""
    return {"role": role, "content": content}


def order_number(chance: random.Random) -> str:
    """Such as A1234."""
    return f"{chance.choice('ABC')}{chance.randrange(1000, 9999)}"
