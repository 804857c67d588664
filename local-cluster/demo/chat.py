"""Asks a ModelDeployment through the openai client, streamed: chat.py NAMESPACE NAME QUESTION."""

import sys

from kubectl import port_forward
from openai import OpenAI


def main(namespace: str, name: str, question: str) -> None:
    """Prints the answer as it comes."""
    with port_forward(namespace, f"service/{name}", 80) as address:
        client = OpenAI(base_url=f"{address}/v1", api_key="unused")
        print(f"you:  {question}\n{name}:  ", end="", flush=True)
        stream = client.chat.completions.create(
            model=name, messages=[{"role": "user", "content": question}], max_tokens=48, temperature=0, stream=True
        )
        for chunk in stream:
            if chunk.choices and chunk.choices[0].delta.content:
                print(chunk.choices[0].delta.content, end="", flush=True)
        print()


if __name__ == "__main__":
    main(*sys.argv[1:4])
