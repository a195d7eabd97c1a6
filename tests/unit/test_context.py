"""What a handler is told beside the event: context, environment, and how its failures read."""

from __future__ import annotations

import re
import time

import msgspec
from lambda_samples import SPEC

from millrace.aws import errors
from millrace.aws.context import LambdaContext
from millrace.aws.environment import CREDENTIALS, endpoint_variables, handler_environment, runtime_variables
from millrace.types import Failure


def context(deadline: float = 0.0, now: float = 0.0) -> LambdaContext:
    return LambdaContext(SPEC, "req-1", deadline, log_stream_name="stream", monotonic=lambda: now)


class TestContext:
    def test_has_lambdas_seven_strings(self) -> None:
        shown = context()
        assert {
            "function_name": shown.function_name,
            "function_version": shown.function_version,
            "invoked_function_arn": shown.invoked_function_arn,
            "memory_limit_in_mb": shown.memory_limit_in_mb,
            "aws_request_id": shown.aws_request_id,
            "log_group_name": shown.log_group_name,
            "log_stream_name": shown.log_stream_name,
        } == {
            "function_name": "resize",
            "function_version": "$LATEST",
            "invoked_function_arn": "arn:aws:lambda:eu-west-1:123456789012:function:resize",
            "memory_limit_in_mb": "512",
            "aws_request_id": "req-1",
            "log_group_name": "/aws/lambda/resize",
            "log_stream_name": "stream",
        }

    def test_nobody_called_from_a_phone(self) -> None:
        shown = context()
        assert shown.client_context is None
        assert shown.identity.cognito_identity_id is None
        assert shown.identity.cognito_identity_pool_id is None

    def test_the_time_left_is_monotonic_and_never_negative(self) -> None:
        assert context(deadline=3.0, now=0.5).get_remaining_time_in_millis() == 2500
        assert context(deadline=3.0, now=9.0).get_remaining_time_in_millis() == 0

    def test_by_default_the_time_left_is_the_machines(self) -> None:
        shown = LambdaContext(SPEC, "r", time.monotonic() + 60, log_stream_name="")
        assert 0 < shown.get_remaining_time_in_millis() <= 60_000

    def test_log_writes_to_the_functions_output(self, capsys: object) -> None:
        context().log("hello\n")
        assert capsys.readouterr().out == "hello\n"  # type: ignore[attr-defined]

    def test_its_repr_says_which_invocation(self) -> None:
        assert "req-1" in repr(context())


class TestEnvironment:
    def test_lambdas_variables_are_set(self) -> None:
        variables = runtime_variables(SPEC)
        assert variables["_HANDLER"] == "app.main"
        assert variables["AWS_LAMBDA_FUNCTION_NAME"] == "resize"
        assert variables["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "512"
        assert variables["AWS_REGION"] == variables["AWS_DEFAULT_REGION"] == "eu-west-1"
        assert variables["LAMBDA_TASK_ROOT"] == "/srv/app"
        assert variables["AWS_EXECUTION_ENV"].startswith("AWS_Lambda_python3.")
        assert re.fullmatch(r"\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}", variables["AWS_LAMBDA_LOG_STREAM_NAME"])

    def test_a_function_without_a_limit_is_told_lambdas_largest(self) -> None:
        unlimited = msgspec.structs.replace(SPEC, memory_bytes=0)
        assert runtime_variables(unlimited)["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "10240"

    def test_the_project_file_wins_over_lambda_and_lambda_over_the_shell(self) -> None:
        shell = {"PATH": "/bin", "AWS_REGION": "shell", "TZ": "shell", "STAGE": "shell"}
        found = handler_environment(SPEC, shell, {"TZ": "Europe/Berlin", "STAGE": "file"})
        assert (found["PATH"], found["AWS_REGION"]) == ("/bin", "eu-west-1")
        assert (found["TZ"], found["STAGE"]) == ("Europe/Berlin", "file")

    def test_a_region_that_the_project_file_names_once_counts_for_both_names(self) -> None:
        for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
            found = handler_environment(SPEC, {}, {name: "sa-east-1"})
            assert found["AWS_REGION"] == found["AWS_DEFAULT_REGION"] == "sa-east-1"

    def test_the_shells_credentials_stay_in_the_shell(self) -> None:
        found = handler_environment(SPEC, dict.fromkeys(CREDENTIALS, "real"), {})
        assert "real" not in found.values()
        assert found["AWS_ACCESS_KEY_ID"] == "millrace"
        assert found["AWS_EC2_METADATA_DISABLED"] == "true"

    def test_a_project_that_names_credentials_gets_those_and_no_placeholder(self) -> None:
        found = handler_environment(SPEC, {"AWS_SECRET_ACCESS_KEY": "real"}, {"AWS_PROFILE": "dev"})
        assert CREDENTIALS & found.keys() == {"AWS_PROFILE"}
        assert "AWS_EC2_METADATA_DISABLED" not in found


TRACEBACK = """Traceback (most recent call last):
  File "/srv/app/db.py", line 3, in read
    raise KeyError("x")
KeyError: 'x'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/srv/app/app.py", line 9, in main
    fetch()
    ^^^^^^^
  File "/srv/app/app.py", line 4, in fetch
    raise BadPet("rex")
app.BadPet: rex"""


class TestErrors:
    def test_an_exception_is_documented_as_lambda_does(self) -> None:
        document = errors.document(Failure("app.BadPet", "rex", TRACEBACK), "req-1")
        assert document == {
            "errorMessage": "rex",
            "errorType": "BadPet",
            "requestId": "req-1",
            "stackTrace": [
                '  File "/srv/app/app.py", line 9, in main\n    fetch()\n    ^^^^^^^\n',
                '  File "/srv/app/app.py", line 4, in fetch\n    raise BadPet("rex")\n',
            ],
        }

    def test_the_platforms_errors_keep_their_whole_name(self) -> None:
        failure = errors.timed_out("req-1", 3)
        assert failure.message == "RequestId: req-1 Error: Task timed out after 3.00 seconds"
        assert errors.document(failure, "req-1")["errorType"] == "Sandbox.Timedout"

    def test_an_exit_says_how_it_ended(self) -> None:
        def text(code: int) -> str:
            failure = errors.exited("r", code)
            assert failure.type == "Runtime.ExitError"
            return failure.message.removeprefix("RequestId: r Error: ")

        assert text(0) == "Runtime exited without providing a reason"
        assert text(1) == "Runtime exited with error: exit status 1"
        assert text(-9) == "Runtime exited with error: signal: killed"
        assert text(-11) == "Runtime exited with error: signal: segmentation fault"
        assert text(-99) == "Runtime exited with error: signal: 99"


class TestEndpoint:
    ENDPOINT = endpoint_variables("http://127.0.0.1:8401", {})

    def test_handlers_find_it_and_no_other(self) -> None:
        shell = {"AWS_ENDPOINT_URL": "http://shell", "AWS_ENDPOINT_URL_SQS": "http://shell", "AWS_PROFILE": "real"}
        found = handler_environment(SPEC, shell, {}, self.ENDPOINT)
        assert found["AWS_ENDPOINT_URL"] == "http://127.0.0.1:8401"
        assert "http://shell" not in found.values()
        assert (found["AWS_ACCESS_KEY_ID"], found["AWS_SECRET_ACCESS_KEY"]) == ("millrace", "millrace")

    def test_its_first_key_opens_it(self) -> None:
        keys = {"AKIDONE": "first", "AKIDTWO": "second"}
        found = handler_environment(SPEC, {}, {}, endpoint_variables("http://127.0.0.1:1", keys))
        assert (found["AWS_ACCESS_KEY_ID"], found["AWS_SECRET_ACCESS_KEY"]) == ("AKIDONE", "first")

    def test_an_endpoint_of_the_functions_own_does_not_get_our_key(self) -> None:
        mine = endpoint_variables("http://127.0.0.1:1", {"AKIDONE": "first"})
        found = handler_environment(SPEC, {}, {"AWS_ENDPOINT_URL": "http://other"}, mine)
        assert found["AWS_ENDPOINT_URL"] == "http://other"
        assert "first" not in found.values()

    def test_who_names_credentials_means_aws(self) -> None:
        found = handler_environment(SPEC, {}, {"AWS_PROFILE": "dev"}, self.ENDPOINT)
        assert "AWS_ENDPOINT_URL" not in found
        assert CREDENTIALS & found.keys() == {"AWS_PROFILE"}

    def test_a_name_of_awss_own(self) -> None:
        named = msgspec.structs.replace(SPEC, name="pets-prod-resize")
        assert runtime_variables(named)["AWS_LAMBDA_FUNCTION_NAME"] == "pets-prod-resize"
        assert runtime_variables(named)["AWS_LAMBDA_LOG_GROUP_NAME"] == "/aws/lambda/pets-prod-resize"
        shown = LambdaContext(named, "r", 0.0, log_stream_name="")
        assert (shown.function_name, shown.log_group_name) == ("pets-prod-resize", "/aws/lambda/pets-prod-resize")
        assert shown.invoked_function_arn == "arn:aws:lambda:eu-west-1:123456789012:function:pets-prod-resize"


def test_what_a_caller_says_of_itself() -> None:
    told = '{"client": {"app_title": "shop"}, "custom": {"a": 1}, "env": {"locale": "de"}}'
    shown = LambdaContext(SPEC, "r", 0.0, log_stream_name="", client_context=told).client_context
    assert shown is not None
    assert shown.client is not None
    assert (shown.client.app_title, shown.client.installation_id) == ("shop", None)
    assert (shown.custom, shown.env) == ({"a": 1}, {"locale": "de"})
