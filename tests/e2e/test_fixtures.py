"""The fixtures that a user's tests get: a running project, an event maker, a context."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

pytest_plugins = ["pytester"]

PROJECT = """
service: pets
queues: {images: {}}
functions:
  label:
    handler: app.handler
    events: [{queue: images}, {http: GET /label}]
"""
APP = """
def handler(event, context):
    if "Records" in event:
        print("labels", [record["body"] for record in event["Records"]])
        return None
    return {"statusCode": 200, "body": context.function_name}
"""
TESTS = """
import httpx
import pytest

import app


def test_handler(millrace_event, lambda_context):
    event = millrace_event("sqs", body="cat.jpg", name="images")
    assert app.handler(event, lambda_context(function="label")) is None


def test_context(lambda_context):
    context = lambda_context("label", timeout_s=2, memory_bytes=256 * 2**20)
    assert (context.function_name, context.memory_limit_in_mb) == ("label", "256")
    assert 0 < context.get_remaining_time_in_millis() <= 2000


def test_project(millrace_project):
    project = millrace_project()
    assert httpx.get(f"{project.url}/label").text == "label"
    id = project.client.send("images", "cat.jpg")
    assert project.client.wait(id, 20).state == "done"
    assert "labels ['cat.jpg']" in project.output
    assert project.aws_url == ""
    assert not (project.folder / "test_app.py").samefile("test_app.py")


def test_two_at_once_know_nothing_of_each_other(millrace_project):
    first, second = millrace_project(), millrace_project(".")
    id = first.client.send("images", "x")
    assert first.client.wait(id, 20).state == "done"
    assert second.client.result(id) is None


def test_a_project_that_does_not_load(millrace_project, tmp_path):
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "millrace.yml").write_text("service: x\\nfunctionss: {}")
    with pytest.raises(Exception, match="functionss"):
        millrace_project(tmp_path / "bad")


def test_another_broker(millrace_project):
    with pytest.raises(Exception, match="ampq:// is no broker"):
        millrace_project(broker="ampq://localhost")
"""


def test_a_users_tests_pass_without_any_setting_up(pytester: pytest.Pytester) -> None:
    pytester.makefile(".yml", millrace=PROJECT)
    pytester.makepyfile(app=APP, test_app=TESTS)
    (pytester.path / "circle").symlink_to(pytester.path)
    result = pytester.runpytest_subprocess("-q", "-p", "no:cacheprovider", "test_app.py")
    result.assert_outcomes(passed=6)


def test_a_running_project_is_gone_after_the_test(pytester: pytest.Pytester) -> None:
    pytester.makefile(".yml", millrace=PROJECT)
    pytester.makepyfile(
        app=APP,
        test_app="""
        from pathlib import Path

        def test_project(millrace_project):
            Path("url").write_text(millrace_project().url)
            assert False
        """,
    )
    result = pytester.runpytest_subprocess("-q", "-p", "no:cacheprovider")
    result.assert_outcomes(failed=1)
    with pytest.raises(httpx.ConnectError):
        httpx.get(Path(pytester.path, "url").read_text())
