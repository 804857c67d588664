"""Many fine-tunings at once: the operator beside JobSet, on the same control plane, one after the other.

    python benchmarks/operator_scale.py [--jobs 300] [--children 200] [--rounds 1]        or: make bench-operator

A FineTuneJob is three Jobs of one pod, two claims, a Service, a config map, a model and its inspection. The JobSet beside it is the same
three Jobs by dependsOn and nothing else: less work, and what a controller of Jobs alone can do. The control plane is a real API server with
etcd, controller-manager and scheduler; its nodes are KWOK's, whose pods end after half a second. Claims are bound to volumes of before.

  whole     from the first POST until the last object is complete
  children  the controller alone, with controller-manager, scheduler and nodes stopped: from the first POST until each object's first
            Job is there

Rounds alternate in who is first, each on a control plane of its own, and the best of each counts. The last line is one JSON object.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.scale_peers import JOBS, Contestant, jobset, ours, wait
from finetune_operator.client.api import Api
from finetune_operator.client.connection import connect
from finetune_operator.client.errors import ApiError
from tests.cluster.control_plane import ControlPlane
from tests.cluster.operator.simulation import volumes

CLAIM = "finishes many three-stage fine-tunings at once within 3 times what JobSet takes for the same three Jobs"
AT_LEAST = 1 / 3
NODES = 10
AT_A_TIME = 16
PATIENCE = 600.0
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Result:
    """One measurement."""

    seconds: float
    finished: int
    controller_cpu: float
    """Seconds."""
    apiserver_cpu: float


@contextmanager
def control_plane(volume_count: int) -> Iterator[ControlPlane]:
    """A new one, ended in the end whatever happens."""
    with tempfile.TemporaryDirectory(prefix="operator-scale-") as folder:
        plane = ControlPlane(Path(folder))
        try:
            plane.script("up", "--kwok", str(NODES), "--unthrottled")
            plane.apply(volumes("simulated", volume_count))
            yield plane
        finally:
            plane.script("down")


def pid_of(plane: ControlPlane, daemon: str) -> int:
    """Of a part of the control plane."""
    return int((plane.folder / "run" / f"{daemon}.pid").read_text())


def cpu(pid: int) -> float:
    """Seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


@contextmanager
def alone(plane: ControlPlane, stopped: bool) -> Iterator[None]:
    """Whatever would carry on with what the controller makes is stopped meanwhile."""
    pids = [pid_of(plane, daemon) for daemon in ("controller-manager", "scheduler", "kwok")] if stopped else []
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


async def reached(api: Api, path: str, count: int, counts: Callable[[dict[str, Any]], bool]) -> int:
    """Watches a collection until so many of its objects count; returns how many did within PATIENCE."""
    found: set[str] = set()

    async def follow() -> None:
        since = int((await api.get(path, {"limit": "1"}))["metadata"]["resourceVersion"])
        while True:
            try:
                async for event in api.watch(path, {}, since):
                    since = int(event["object"]["metadata"]["resourceVersion"])
                    if event["type"] != "BOOKMARK" and counts(event["object"]):
                        found.add(event["object"]["metadata"]["name"])
                        if len(found) >= count:
                            return
            except ApiError as error:
                print(f"the benchmark's watch: {error}", file=sys.stderr)

    try:
        async with asyncio.timeout(PATIENCE):
            await follow()
    except TimeoutError:
        pass
    return len(found)


async def load(plane: ControlPlane, contestant: Contestant, namespace: str, count: int, children: bool) -> Result:
    """POSTs so many objects, and waits for their first Jobs, or for their end."""
    names = [f"job-{number}" for number in range(count)]
    collection = contestant.collection.format(namespace)
    first = {f"{name}{contestant.first_child}" for name in names}
    async with Api(await connect(str(plane.kubeconfig))) as api:
        if children:
            waiting = reached(api, JOBS.format(namespace), count, lambda obj: obj["metadata"]["name"] in first)
        else:
            waiting = reached(api, collection, count, lambda obj: contestant.done(obj.get("status") or {}))
        watching = asyncio.create_task(waiting)
        await asyncio.sleep(0.5)
        before, begun = (cpu(contestant.pid), cpu(pid_of(plane, "apiserver"))), time.monotonic()
        room = asyncio.Semaphore(AT_A_TIME)

        async def post(name: str) -> None:
            async with room:
                await api.post(collection, contestant.make(namespace, name))

        await asyncio.gather(*map(post, names))
        finished = await watching
        seconds = time.monotonic() - begun
    return Result(
        round(seconds, 2), finished, round(cpu(contestant.pid) - before[0], 2), round(cpu(pid_of(plane, "apiserver")) - before[1], 2)
    )


def measured(plane: ControlPlane, contestant: Contestant, jobs: int, children: int) -> dict[str, Result]:
    """Both measurements of one contestant."""
    results = {}
    for what, count in (("children", children), ("whole", jobs)):
        namespace = f"{contestant.name}-{what}"
        plane.kubectl("create", "namespace", namespace)
        command = ("-n", namespace, "wait", "--for=create", "serviceaccount/default", "--timeout=60s")
        wait("the namespace has its service account", partial(_succeeds, plane, command))
        with alone(plane, what == "children"):
            results[what] = asyncio.run(load(plane, contestant, namespace, count, what == "children"))
        print(f"{contestant.name:7} {what:9} n={count}: {results[what]}", file=sys.stderr)
        if what == "children":
            drain(plane, contestant, namespace, count)
    return results


def _succeeds(plane: ControlPlane, command: tuple[str, ...]) -> bool:
    return plane.kubectl(*command).returncode == 0


def drain(plane: ControlPlane, contestant: Contestant, namespace: str, count: int) -> None:
    """Until what was made for one measurement is out of the way of the next."""

    def over() -> bool:
        listed = json.loads(plane.kubectl("get", "--raw", contestant.collection.format(namespace)).stdout)
        return sum(contestant.done(item.get("status") or {}) for item in listed["items"]) == count

    wait(f"{count} objects of {contestant.name} are over", over, PATIENCE)


def one_round(number: int, jobs: int, children: int) -> dict[str, dict[str, Result]]:
    """Both contestants on one control plane."""
    results = {}
    with control_plane(2 * (jobs + children)) as plane:
        for start in (jobset, ours) if number % 2 else (ours, jobset):
            contestant = start(plane)
            try:
                results[contestant.name] = measured(plane, contestant, jobs, children)
            finally:
                contestant.stop()
    return results


def summary(rounds: list[dict[str, dict[str, Result]]], jobs: int, children: int) -> dict[str, Any]:
    """The best of each."""
    best = {
        (who, what): min((found[who][what] for found in rounds), key=lambda result: (-result.finished, result.seconds))
        for who in ("ours", "jobset")
        for what in ("whole", "children")
    }
    mine, theirs = best["ours", "whole"], best["jobset", "whole"]
    ratio = theirs.seconds / mine.seconds if mine.finished == jobs else 0.0
    return {
        "claim": CLAIM,
        "ratio": round(ratio, 3),
        "holds": ratio >= AT_LEAST,
        "ours": mine.seconds,
        "theirs": theirs.seconds,
        "unit": f"seconds until {jobs} are complete",
        "children_ratio": round(best["jobset", "children"].seconds / best["ours", "children"].seconds, 3),
        "ours_children_per_second": round(children / best["ours", "children"].seconds, 1),
        "theirs_children_per_second": round(children / best["jobset", "children"].seconds, 1),
        **{f"{'ours' if who == 'ours' else 'theirs'}_{what}": asdict(result) for (who, what), result in best.items()},
    }


def main() -> None:
    """Prints the measurements on standard error, and the summary as the last line of standard output."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=300)
    parser.add_argument("--children", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=1)
    arguments = parser.parse_args()
    rounds = [one_round(number, arguments.jobs, arguments.children) for number in range(arguments.rounds)]
    print(json.dumps(summary(rounds, arguments.jobs, arguments.children)))


if __name__ == "__main__":
    main()
