"""SQS over loopback: messages sent, received and deleted a second, ours on the disk over the best that is in memory.

Two loads. boto3 itself, in several processes: what a user gets, most of it boto3's own time. And the bytes that boto3
sends from a load generator that costs next to nothing, so that it is the server which is measured.
"""

from __future__ import annotations

import contextlib
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence

from benchmarks import mill
from benchmarks.measured import Figure, by_turns
from benchmarks.npm import Absent
from benchmarks.page import ROOT
from benchmarks.sqs_client import connect
from benchmarks.sqs_peers import BOUND, OURS, PEERS

CLIENTS = 4
CONNECTIONS = 32
TARGET = 2
BOTO3 = f"SQS, boto3's batches of 10 sent, received and deleted by {CLIENTS} client processes; durable over in memory"
BYTES = f"the same bytes over {CONNECTIONS} raw connections: the server alone"


def measure(quick: bool) -> list[Figure]:
    repeats, seconds = (1, 3.0) if quick else (5, 6.0)
    with contextlib.ExitStack() as running:
        absent: list[str] = []
        queues = _started(running, absent)
        boto3 = by_turns(repeats, queues, lambda name: boto3_clients(*queues[name], seconds))
        raw = by_turns(repeats, queues, lambda name: raw_connections(*queues[name], seconds))
    return [figure("sqs", BOTO3, boto3, absent), figure("sqs: server", BYTES, raw, absent)]


def figure(name: str, what: str, rates: Mapping[str, Sequence[float]], absent: Sequence[str]) -> Figure:
    """Our rates over those of the best of the others."""
    medians = {peer: statistics.median(each) for peer, each in rates.items()}
    best = max((peer for peer in medians if peer not in (OURS, BOUND)), key=medians.__getitem__)
    ratios = [mine / other for mine, other in zip(rates[OURS], rates[best], strict=True)]
    listed = ", ".join(f"{peer} {median:,.0f}/s" for peer, median in medians.items())
    return Figure(name, what, ratios, "at least", TARGET, remark="; ".join([listed, *absent]))


def _started(running: contextlib.ExitStack, absent: list[str]) -> dict[str, tuple[str, str]]:
    """Every server that can run here, with its endpoint and a queue in it; they are idle but for one at a time."""
    queues = {}
    for name, peer in PEERS.items():
        try:
            url = running.enter_context(peer(running.enter_context(mill.scratch())))
        except Absent as why:
            absent.append(f"{name} left out: {why}")
        else:
            queues[name] = url, connect(url).create_queue(QueueName="bench")["QueueUrl"]
    return queues


def boto3_clients(url: str, queue_url: str, seconds: float) -> float:
    """Messages a second of several processes with boto3, which begin together."""
    command = [sys.executable, "-m", "benchmarks.sqs_client", url, queue_url, str(seconds)]
    clients = [
        subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(CLIENTS)
    ]
    for client in clients:
        _line(client)
    for client in clients:
        assert client.stdin is not None
        client.stdin.write("\n")
        client.stdin.flush()
    deleted = sum(int(_line(client)) for client in clients)
    for client in clients:
        client.communicate()
    return deleted / seconds


def _line(client: subprocess.Popen[str]) -> str:
    assert client.stdout is not None
    line = client.stdout.readline()
    if not line:
        raise RuntimeError(f"a client ended with {client.wait()}")
    return line


def raw_connections(url: str, queue_url: str, seconds: float) -> float:
    """Messages a second by the load generator."""
    command = [sys.executable, "-m", "benchmarks.sqs_crowd", url, queue_url, str(CONNECTIONS), str(seconds)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return float(done.stdout)
