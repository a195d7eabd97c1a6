"""The values that cross everything."""

from millrace.types import Commit, Lease, Message, Object, Outcome, Put, Record, Row


def test_a_commit_without_lost_leases_has_none_of_their_effects() -> None:
    ours, theirs = (Lease("q", Message(id), id, 1, 0.0) for id in ("a", "b"))
    outcomes = [
        Outcome(lease, "done", Record(lease.message.id, "q", "done"), (Row("t", "k", b"{}"),), (Object("b", "k", b""),))
        for lease in (ours, theirs)
    ]
    outcomes.append(Outcome(theirs, "retry", puts=(Put("q", Message("c")),)))
    commit = Commit("q", outcomes)
    assert [len(list(each)) for each in (commit.rows, commit.objects, commit.records, commit.puts)] == [2, 2, 2, 1]
    rest = commit.without([theirs])
    assert [outcome.lease for outcome in rest.outcomes] == [ours]
    assert [len(list(each)) for each in (rest.rows, rest.objects, rest.records, rest.puts)] == [1, 1, 1, 0]
    assert commit.having("retry") == [outcomes[2]]


def test_a_message_says_what_its_body_is() -> None:
    message = Message("m", b'{"a": 1}', {"content-type": "Application/JSON; charset=utf-8"})
    assert message.content_type == "application/json"
    assert message.json() == {"a": 1}
    assert message.text() == '{"a": 1}'
    assert Message("m").content_type == "application/octet-stream"
