"""A cluster in memory: librdkafka's own mock, in a process of its own so that it can serve others and be killed.

    with KafkaMock() as kafka: url = kafka.start()

There is no disk and no log cleaning; topics are made by being asked for, offsets and groups are kept as by a broker.
"""

from __future__ import annotations

import ctypes
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.needs import needs_module

_PRODUCER = 0  # rd_kafka_type_t
_BROKERS = 3
_ROOT = Path(__file__).resolve().parents[2]


class KafkaMock:
    """The cluster as its owner sees it; `order` says things to it."""

    def __init__(self) -> None:
        needs_module("confluent_kafka")
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> str:
        """The URL of a cluster that answers."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.services.kafka"],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return f"kafka://{self._answer()}"

    def order(self, *words: str) -> None:
        """`down N`, `up N`: a broker goes or comes; `create TOPIC PARTITIONS`; `fail KEY CODE`: one request is."""
        assert self._process is not None
        assert self._process.stdin is not None
        print(*words, file=self._process.stdin, flush=True)
        assert self._answer() == "ok"

    def close(self) -> None:
        """End it with all that it holds."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _answer(self) -> str:
        assert self._process is not None
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


def main() -> None:
    """Be the cluster until standard input ends; librdkafka's rdkafka_mock.h has the calls."""
    from confluent_kafka import cimpl

    library = ctypes.CDLL(cimpl.__file__)  # finds what the client itself is linked with
    for name in ("rd_kafka_conf_new", "rd_kafka_new", "rd_kafka_mock_cluster_new", "rd_kafka_mock_cluster_bootstraps"):
        getattr(library, name).restype = ctypes.c_void_p
    error = ctypes.create_string_buffer(512)
    client = library.rd_kafka_new(_PRODUCER, ctypes.c_void_p(library.rd_kafka_conf_new()), error, 512)
    cluster = ctypes.c_void_p(library.rd_kafka_mock_cluster_new(ctypes.c_void_p(client), _BROKERS))
    hosts = ctypes.string_at(library.rd_kafka_mock_cluster_bootstraps(cluster)).decode()
    print(hosts, flush=True)
    for line in sys.stdin:
        _obey(library, cluster, *line.split())
        print("ok", flush=True)


def _obey(library: ctypes.CDLL, cluster: ctypes.c_void_p, verb: str, *words: str) -> None:
    if verb == "down":
        library.rd_kafka_mock_broker_set_down(cluster, int(words[0]))
    elif verb == "up":
        library.rd_kafka_mock_broker_set_up(cluster, int(words[0]))
    elif verb == "create":
        library.rd_kafka_mock_topic_create(cluster, words[0].encode(), int(words[1]), _BROKERS)
    elif verb == "fail":
        library.rd_kafka_mock_push_request_errors(
            cluster, ctypes.c_int16(int(words[0])), ctypes.c_size_t(1), ctypes.c_int(int(words[1]))
        )


if __name__ == "__main__":
    main()
