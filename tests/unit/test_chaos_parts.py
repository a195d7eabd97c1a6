"""What the chaos run counts with, and the network's faults that it makes."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
from collections.abc import Iterator

import pytest

from benchmarks.chaos.audit import Counted
from benchmarks.chaos.recovery import Sample, rate_at, recovery_s
from benchmarks.chaos.report import recovery
from benchmarks.chaos.survived import Struck, Survived
from tests.services.proxy import Proxy, proxied


def flow(*pieces: tuple[float, float], step_s: float = 0.25) -> list[Sample]:
    """Samples of a flow that has one rate after another: (seconds, a second)."""
    samples, now, done = [Sample(0.0, 0)], 0.0, 0.0
    for seconds, rate in pieces:
        for _ in range(round(seconds / step_s)):
            now, done = now + step_s, done + rate * step_s
            samples.append(Sample(now, round(done)))
    return samples


def test_a_rate_is_of_its_window() -> None:
    samples = flow((4, 100), (4, 20))
    assert rate_at(samples, 4.0) == 100
    assert rate_at(samples, 8.0) == 20
    assert rate_at(samples, 0.0) == 0.0


def test_recovery_ends_with_the_first_full_window() -> None:
    assert recovery_s(flow((10, 100), (3, 0), (10, 100)), 10.0) == 4.0


def test_catching_up_counts_as_recovered() -> None:
    assert recovery_s(flow((10, 100), (3, 0), (5, 300)), 10.0) == pytest.approx(3.5, abs=0.25)


def test_a_fault_that_was_not_felt_took_no_time() -> None:
    assert recovery_s(flow((20, 100)), 10.0) == 0.0


def test_what_was_caught_up_before_a_fault_is_not_expected_again() -> None:
    samples = flow((5, 300), (2, 0), (10, 100))
    assert recovery_s(samples, 5.0) is None
    assert recovery_s(samples, 5.0, 100.0) == 3.0


def test_what_is_still_done_while_the_broker_is_away_is_no_recovery() -> None:
    samples = flow((10, 100), (2, 0), (1, 100), (2, 0), (10, 100))
    assert recovery_s(samples, 10.0) == 3.0
    assert recovery_s(samples, 10.0, away_s=4.5) == 6.0


def test_a_flow_that_never_comes_back_is_told() -> None:
    assert recovery_s(flow((10, 100), (5, 10)), 10.0) is None


def test_the_brokers_own_start_is_told_and_not_held_against_the_flow() -> None:
    slow, quick, never = Struck("broker killed", 12.0, 8.5), Struck("cut", 2.0), Struck("broker killed", None, 8.5)
    assert [recovery(each) for each in (slow, quick, never)] == [
        "12.0 s (8.5 s of them without a broker)",
        "2.0 s",
        "did not come back",
    ]
    counted = Counted(10, 10, 0, 0, 0)
    assert Survived("b", "", counted, [slow, quick], {}, []).passed
    assert Survived("b", "", counted, [slow, quick], {}, []).slowest_s == 3.5
    assert not Survived("b", "", counted, [Struck("cut", 12.0)], {}, []).passed
    assert not Survived("b", "", counted, [never], {}, []).passed


class _Echo(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


class _Answer(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):
            while chunk := self.request.recv(1000):
                self.request.sendall(chunk)


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with _Echo(("127.0.0.1", 0), _Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with proxied(*server.server_address) as proxy:
            yield proxy
        server.shutdown()


def connect(proxy: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=30)


def is_broken(client: socket.socket) -> bool:
    """Whether the other side has gone, with or without a goodbye."""
    try:
        client.sendall(b"x")
        return client.recv(1) == b""
    except ConnectionError:
        return True


def test_a_proxy_passes_bytes_until_it_cuts(proxy: Proxy) -> None:
    with connect(proxy) as first:
        first.sendall(b"hello")
        assert first.recv(5) == b"hello"
        assert proxy.cut() == 1
        assert is_broken(first)
    with connect(proxy) as second:
        second.sendall(b"again")
        assert second.recv(5) == b"again"


def test_a_proxy_refuses_until_it_accepts(proxy: Proxy) -> None:
    proxy.refuse()
    try:
        with connect(proxy) as client:
            assert is_broken(client)
    except ConnectionError:
        pass  # it may be broken before connect() is back
    proxy.accept()
    with connect(proxy) as client:
        client.sendall(b"x")
        assert client.recv(1) == b"x"


def test_a_proxy_holds_and_lets_go(proxy: Proxy) -> None:
    with connect(proxy) as client:
        client.sendall(b"a")
        assert client.recv(1) == b"a"
        proxy.hold()
        client.sendall(b"b")
        client.setblocking(False)
        with pytest.raises(BlockingIOError):
            client.recv(1)
        client.setblocking(True)
        proxy.flow()
        assert client.recv(1) == b"b"
