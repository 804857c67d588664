"""Every task from raw data to a served answer: the committed examples, applied as they are but for a smaller base and a shorter run."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from kubectl import port_forward
from openai import OpenAI

from tests.e2e.examples import SETTINGS, example
from tests.e2e.kube import Kube, Object, condition

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

TOOL = {
    "type": "function",
    "function": {"name": "get_order", "parameters": {"type": "object", "properties": {"order_id": {"type": "string"}}}},
}

Ask = Callable[[OpenAI, str], None]


def ask_with_tools(client: OpenAI, model: str) -> None:
    """Tools are taken, and so is a conversation in which they were called."""
    called = {"id": "c1", "type": "function", "function": {"name": "get_order", "arguments": '{"order_id": "A1"}'}}
    messages: list[Any] = [
        {"role": "user", "content": "Where is my order A1?"},
        {"role": "assistant", "content": None, "tool_calls": [called]},
        {"role": "tool", "tool_call_id": "c1", "content": '{"state": "shipped"}'},
    ]
    tools: list[Any] = [TOOL]
    for conversation in (messages[:1], messages):
        answer = client.chat.completions.create(model=model, messages=conversation, tools=tools, max_tokens=8, temperature=0)
        assert answer.usage is not None and answer.usage.completion_tokens > 0
    with_tools, without = (
        client.chat.completions.create(model=model, messages=messages[:1], max_tokens=1, **more).usage for more in ({"tools": tools}, {})
    )
    assert with_tools is not None and without is not None and with_tools.prompt_tokens > without.prompt_tokens + 20


def chat(client: OpenAI, model: str) -> None:
    """A model of pairs answers as any chat model."""
    answer = client.chat.completions.create(model=model, messages=[{"role": "user", "content": "What is a computer?"}], max_tokens=8)
    assert answer.choices[0].message.content


def complete(client: OpenAI, model: str) -> None:
    """A prompt in the form of the template is continued."""
    answer = client.completions.create(model=model, prompt="Question: What is a computer?\nAnswer:", max_tokens=8, temperature=0)
    assert answer.choices[0].text


def summarize(client: OpenAI, model: str) -> None:
    """A document behind the instruction of the training is a message."""
    text = "Summarize the following text.\n\nA library that reads and writes Parquet files."
    answer = client.chat.completions.create(model=model, messages=[{"role": "user", "content": text}], max_tokens=8, temperature=0)
    assert answer.choices[0].message.content


def classify(client: OpenAI, model: str) -> None:
    """Sentences that were not in the data get their languages."""
    texts = ["Ich möchte heute Abend ins Kino gehen.", "Where did you put the keys of the car?", "Mi hermana vive en una casa muy grande."]
    answer = httpx.post(f"{client.base_url}classify", json={"model": model, "input": texts}, timeout=60)
    assert [entry["label"] for entry in answer.raise_for_status().json()["data"]] == ["german", "english", "spanish"]


def find_entities(client: OpenAI, model: str) -> None:
    """The person and the place of an order that was not in the data."""
    text = "Order #1111 : Please send 3 blue jackets to Maria Keller in Oslo ."
    answer = httpx.post(f"{client.base_url}token-classify", json={"model": model, "input": text}, timeout=60)
    found = answer.raise_for_status().json()["data"][0]["entities"]
    assert ("PER", "Maria Keller") in [(entity["entity_group"], text[entity["start"] : entity["end"]]) for entity in found]


def embed(client: OpenAI, model: str) -> None:
    """Vectors of length 1, as the official client reads them; texts about the same thing are closer."""
    texts = ["What is a computer?", "A computer is an electronic device.", "The soup needs more salt."]
    found = [entry.embedding for entry in client.embeddings.create(model=model, input=texts).data]
    near = [sum(a * b for a, b in zip(found[0], other, strict=True)) for other in found]
    assert near[0] == pytest.approx(1, abs=1e-3)
    assert near[1] > near[2]


# example -> (what the status must call the file, asks the served model)
SERVED: dict[str, tuple[str, Ask]] = {
    "chat-tools": ("OpenAI", ask_with_tools),
    "preferences": ("OpenAI preference", chat),
    "completion": ("CSV", complete),
    "summarization": ("Parquet", summarize),
    "sequence-classification": ("JSONL", classify),
    "token-classification": ("JSONL", find_entities),
    "text-embedding": ("JSONL", embed),
}


def is_ready(found: Object) -> bool:
    """A model that is verified, a deployment that serves."""
    return condition(found, "Ready").get("status") == "True"


@pytest.fixture(scope="module")
def applied(examples: Kube) -> Iterator[Kube]:
    """They go when their tests are over."""
    yield examples
    examples.run("delete", "namespace", examples.namespace, "--timeout=120s")


@pytest.mark.parametrize("name", SERVED)
def test_a_task_goes_from_raw_data_to_a_served_answer(applied: Kube, name: str) -> None:
    """The job succeeds, its status says what the data was, and the deployment answers."""
    recognised, ask = SERVED[name]
    job, deployment = example(name)
    found = applied.phase(job["metadata"]["name"], "Succeeded", seconds=600)
    dataset = found["status"]["dataset"]
    assert recognised in dataset["format"] and dataset["trainExamples"] > dataset["validationExamples"] > 0
    assert dataset["lengths"]["max"] >= dataset["lengths"]["p50"] > 0
    assert condition(found, "GatePassed")["status"] == "True"
    model = deployment["metadata"]["name"]
    applied.wait("modeldeployment", model, is_ready, seconds=120, what="Ready")
    with port_forward(applied.namespace, f"service/{model}", 80) as address:
        ask(OpenAI(base_url=f"{address}/v1", api_key="unused"), model)


def test_labels_are_counted(applied: Kube) -> None:
    """The status of a classifier's job names its labels, and base and tuned accuracy."""
    status = applied.phase("languages-v1", "Succeeded", seconds=600)["status"]
    assert {entry["label"] for entry in status["dataset"]["labels"]} >= {"german", "english"} and status["dataset"]["labelCount"] == 7
    assert status["evaluation"]["tuned"]["accuracy"] > status["evaluation"]["base"]["accuracy"]


@pytest.fixture(scope="module")
def trained(applied: Kube) -> Kube:
    """The examples of how a model is trained, once those of the tasks are done."""
    applied.run("create", "secret", "generic", "mlflow", "--from-literal=MLFLOW_TRACKING_URI=http://mlflow.absent.svc:5000")
    applied.apply(*(item for name in SETTINGS for item in example(name)))
    return applied


def resolved(job: Object, name: str) -> str:
    """A resolved hyperparameter, as text."""
    return next(entry["value"] for entry in job["status"]["hyperparameters"] if entry["name"] == name)


def test_adapters_on_a_quantized_base_are_published_with_it(trained: Kube) -> None:
    """What was trained on a base of 4 bits becomes a model of its own, in the base's precision."""
    status = trained.phase("support-bot-qlora-v1", "Succeeded", seconds=600)["status"]
    assert status["evaluation"]["tuned"]["loss"] < status["evaluation"]["base"]["loss"]


def test_factors_are_learned_and_merged(trained: Kube) -> None:
    """IA3: the learning rate is ten times that of LoRA, and the published model is better than its base."""
    found = trained.phase("support-bot-ia3-v1", "Succeeded", seconds=600)
    assert resolved(found, "learningRate") == "0.005"
    assert found["status"]["evaluation"]["tuned"]["loss"] < found["status"]["evaluation"]["base"]["loss"]


def test_adapters_may_start_as_a_part_of_the_base(trained: Kube) -> None:
    """PiSSA's adapters, trained with noise on the embeddings, are published for the base as it was."""
    found = trained.phase("support-bot-pissa-v1", "Succeeded", seconds=600)
    assert resolved(found, "neftuneNoise") == "5"
    assert found["status"]["evaluation"]["tuned"]["loss"] < found["status"]["evaluation"]["base"]["loss"]


@pytest.mark.parametrize("job, strategy", [("two-nodes", "fsdp"), ("deepspeed", "deepspeed"), ("tensor-parallel", "tensor-parallel")])
def test_pods_train_a_model_that_is_divided_between_them(trained: Kube, job: str, strategy: str) -> None:
    """Strategies fsdp and deepspeed on two nodes, tensor-parallel on three."""
    found = trained.phase(job, "Succeeded", seconds=600)
    assert resolved(found, "strategy") == strategy
    assert found["status"]["evaluation"]["tuned"]["loss"] < found["status"]["evaluation"]["base"]["loss"]


def test_a_preferred_answer_is_learned_without_a_pass_over_the_base(trained: Kube) -> None:
    """ORPO: the loss of the answer and of the odds ratio falls."""
    status = trained.phase("orpo-v1", "Succeeded", seconds=600)["status"]
    assert status["evaluation"]["tuned"]["loss"] < status["evaluation"]["base"]["loss"]


def test_rated_answers_move_the_model_a_measured_distance_from_its_base(trained: Kube) -> None:
    """Rewards and divergence are in the status, and the labels were counted."""
    status = trained.phase("kto-v1", "Succeeded", seconds=600)["status"]
    assert {entry["label"] for entry in status["dataset"]["labels"]} == {"true", "false"}
    base, tuned = (status["evaluation"][side] for side in ("base", "tuned"))
    assert (base["rewardMargin"], base["kl"]) == (0, 0) and tuned["rewardMargin"] > 0 and tuned["kl"] >= 0


def test_a_tracking_server_that_does_not_answer_costs_no_training(trained: Kube) -> None:
    """The job succeeds; its status says once what is missing."""
    status = trained.phase("tracking", "Succeeded", seconds=600)["status"]
    assert "mlflow.absent.svc" in condition({"status": status}, "Trained")["message"]


def test_labels_count_alike_in_the_loss(trained: Kube) -> None:
    """Balanced classes and focal loss; the gate is on f1."""
    found = trained.phase("languages-balanced-v1", "Succeeded", seconds=600)
    assert condition(found, "GatePassed")["status"] == "True"


def test_a_loss_of_ones_own_trains_a_classifier(trained: Kube) -> None:
    """From a ConfigMap; the status has the function, and what was read of the file."""
    found = trained.phase("languages-custom-loss-v1", "Succeeded", seconds=600)
    assert resolved(found, "customLoss") == "loss of configmap://generalized-cross-entropy-v1/loss.py"
    assert condition(found, "GatePassed")["status"] == "True"


def test_a_training_ends_when_its_validation_loss_no_longer_improves(trained: Kube) -> None:
    """The checkpoint with the lowest validation loss is published."""
    found = trained.phase("languages-early-stopping-v1", "Succeeded", seconds=600)
    best = [entry["step"] for entry in found["status"]["checkpoints"] if entry.get("best")]
    assert best == [found["status"]["publishedStep"]] and condition(found, "Trained")["reason"] == "StoppedEarly"


def test_a_checkpoint_is_published_with_the_model_and_served(trained: Kube) -> None:
    """The model lists the other steps, and a deployment answers with the weights of one of them."""
    trained.phase("languages-checkpoints-v1", "Succeeded", seconds=600)
    model = trained.wait("finetunedmodel", "languages-checkpoints-v1", is_ready, seconds=120, what="Ready")
    checkpoints = model["status"]["checkpoints"]
    assert [found["step"] for found in checkpoints] == [20, 40]
    assert checkpoints[1]["validationLoss"] < checkpoints[0]["validationLoss"]
    name = "languages-checkpoint"
    found = trained.wait("modeldeployment", name, is_ready, seconds=120, what="Ready")
    assert found["status"]["servingText"] == "languages-checkpoints-v1:step-40"
    with port_forward(trained.namespace, f"service/{name}", 80) as address:
        answer = httpx.post(f"{address}/v1/classify", json={"model": name, "input": ["Where is the key?"]}, timeout=60)
    assert answer.raise_for_status().json()["data"][0]["label"]
