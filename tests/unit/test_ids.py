"""Ids: distinct, in order of time, the same for the same output."""

import subprocess
import sys
import time
from uuid import RFC_4122, UUID

from hypothesis import given
from hypothesis import strategies as st

from millrace.ids import derived_id, new_id, new_uuid


def test_ids_are_distinct_sort_by_time_and_have_one_length() -> None:
    ids = [new_id() for _ in range(2000)]
    assert len(set(ids)) == 2000
    assert [id[:12] for id in ids] == sorted(id[:12] for id in ids)
    assert {len(id) for id in ids} == {32}


def test_as_a_uuid_it_is_one_of_version_7() -> None:
    id = UUID(new_uuid())
    assert (id.version, id.variant) == (7, RFC_4122)
    assert abs((id.int >> 80) / 1000 - time.time()) < 60


FORK = """
import os
from millrace.ids import new_id
new_id()
child = os.fork()
os.write(1, f"{new_id()[12:]}\\n".encode())  # one write, which the other's cannot part
if not child:
    os._exit(0)
os.waitpid(child, 0)
"""


def test_a_forked_process_gives_other_ids() -> None:
    # In a process of its own: this one has threads, and forking with threads is asking for trouble.
    printed = subprocess.run([sys.executable, "-c", FORK], capture_output=True, text=True, check=True).stdout.split()
    assert len(printed) == 2
    assert len(set(printed)) == 2


def test_a_derived_id_reads_as_a_path() -> None:
    assert derived_id("m1", "f", 0) == "m1.f.0"


@given(st.text(), st.text(), st.integers(0, 99))
def test_a_derived_id_is_the_same_each_time_and_never_long(source: str, function: str, index: int) -> None:
    id = derived_id(source, function, index)
    assert id == derived_id(source, function, index)
    assert id != derived_id(source, function, index + 1)
    assert len(id) <= 160
