from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.config.faults import Fault
from millrace.formats.documents import read_document
from millrace.formats.serverless.variables.answers import Known
from millrace.formats.serverless.variables.dotenv import with_dotenv
from millrace.formats.serverless.variables.files import Files
from millrace.formats.serverless.variables.pseudo import Pseudo
from millrace.formats.serverless.variables.resolver import Resolver
from millrace.formats.serverless.variables.sources import Sources
from millrace.formats.serverless.variables.syntax import Parts, SyntaxProblem, parse

ACCOUNT = "111122223333"


def resolver(
    text: str,
    folder: Path = Path("/nowhere"),
    *,
    stage: str | None = None,
    parameters: dict[str, str] | None = None,
    environment: dict[str, str] | None = None,
    pseudo: bool = False,
) -> tuple[Resolver, list[Fault]]:
    faults: list[Fault] = []
    root = read_document(text.encode(), "serverless.yml", faults)
    assert root is not None, faults
    known = Known(folder, ACCOUNT, stage, parameters or {}, environment or {})
    return Resolver(root, Sources(known, Files(folder, faults)), faults, Pseudo(pseudo, faults)), faults


def value(text: str, **how: object) -> object:
    """What `x` of the file is, when there is nothing wrong with it."""
    found, faults = resolver(text, **how)  # type: ignore[arg-type]
    node = found.section("x")
    assert not faults, [str(fault) for fault in faults]
    assert node is not None
    return node.plain()


def told(text: str, **how: object) -> tuple[object, list[str]]:
    """What `x` is all the same, and what is said of it."""
    found, faults = resolver(text, **how)  # type: ignore[arg-type]
    node = found.section("x")
    assert node is not None
    return node.plain(), [str(fault) for fault in faults]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x: ${self:custom.a}\ncustom: {a: 5}", 5),
        ("x: a-${self:custom.a}-b\ncustom: {a: 5}", "a-5-b"),
        ("x: ${self:custom.a}\ncustom: {a: [1, {b: '${self:custom.c}'}], c: true}", [1, {"b": True}]),
        ("x: ${self:custom.list.1}\ncustom: {list: [a, b]}", "b"),
        ("x: ${self:custom.${self:provider.stage}.n}\nprovider: {stage: prod}\ncustom: {prod: {n: 2}}", 2),
        ("x: ${self:custom.gone, 'here'}", "here"),
        ('x: ${self:custom.gone, "here"}', "here"),
        ("x: ${self:custom.gone, 7}", 7),
        ("x: ${self:custom.gone, 1.5}", 1.5),
        ("x: ${self:custom.gone, false}", False),
        ("x: ${self:custom.gone, null}", None),
        ("x: ${self:custom.gone, ''}", ""),
        ("x: ${self:custom.gone, self:custom.a}\ncustom: {a: 3}", 3),
        ("x: ${self:custom.gone, ${self:custom.a}}\ncustom: {a: 3}", 3),
        ("x: ${self:custom.gone, ${self:custom.no, 'w'}}", "w"),
        ("x: ${self:custom.gone, 'a-${self:custom.a}'}\ncustom: {a: 3}", "a-3"),
        ("x: ${opt:stage, 'dev'}", "dev"),
        ("x: ${opt:stage, self:provider.stage}\nprovider: {stage: test}", "test"),
        ("x: ${sls:stage}", "dev"),
        ("x: ${sls:stage}\nprovider: {stage: '${opt:stage, ''qa''}'}", "qa"),
        ("x: ${sls:instanceId}", "millrace"),
        ("x: ${aws:accountId}/${aws:region}/${aws:partition}", f"{ACCOUNT}/us-east-1/aws"),
        ("x: ${aws:region}\nprovider: {region: eu-west-1}", "eu-west-1"),
        ("x: ${self:service}\nservice: {name: pets}", "pets"),
        ("x: ${self:service.name}\nservice: pets", "pets"),
        ("x: ${self:service}-${self:provider.stage}\nservice: pets", "pets-dev"),
        ("x: ${strToBool(${self:custom.a})}\ncustom: {a: 'true'}", True),
        ("x: ${strToBool(0)}", False),
        ("x: ${strToBool('true')}", True),
        ('x: ${strToBool( "false" )}', False),
        ("x: ${param:table}\nparams: {default: {table: t}, dev: {table: dev-t}}", "dev-t"),
        ("x: ${param:table}\nparams: {default: {table: t}}", "t"),
        ("x: ${param:table}\nstages: {default: {params: {table: t}}}", "t"),
        ("x: ${cf:other-dev.QueueUrl, 'q'}", "q"),
        ("x: ${ssm:/app/key~true, 'k'}", "k"),
        ("x: ${ self:custom.a }\ncustom: {a: 1}", 1),
        ("x: {'Fn::Sub': '${AWS::Region}-${Queue.Arn}'}", {"Fn::Sub": "${AWS::Region}-${Queue.Arn}"}),
        ("x: '\\${self:custom.a}'", "${self:custom.a}"),
        ("x: ${self:custom.gone, '${AWS::Region}'}", "${AWS::Region}"),
        ("x: $5 {a}", "$5 {a}"),
    ],
)
def test_a_variable(text: str, expected: object) -> None:
    assert value(text) == expected


def test_what_the_person_said() -> None:
    said = {"color": "red", "region": "eu-north-1", "table": "mine", "ssm:/app/key": "k1"}
    text = "x: ['${opt:stage}', '${opt:color}', '${opt:region}', '${param:table}', '${ssm:/app/key~true}', "
    assert value(text + "'${self:provider.stage}']\nprovider: {stage: dev}", stage="prod", parameters=said) == [
        *("prod", "red", "eu-north-1", "mine", "k1", "prod")
    ]


def test_the_stage_that_was_not_said_is_assumed_aloud() -> None:
    found, faults = told("x: ${opt:stage}\nprovider: {stage: prod}")
    assert found == "prod"
    assert faults == ["serverless.yml:1:4: warning: ${opt:stage} was not said: prod is taken; expected --stage NAME"]
    assert told("x: ${self:provider.stage}\nprovider: {stage: '${opt:stage}'}")[0] == "dev"


def test_an_environment_variable_is_never_shown() -> None:
    found, faults = resolver(
        "x: [ '${env:TOKEN}', 'a-${env:TOKEN}', '${self:x.0}', \"${env:TOKEN, 'none'}\",\n"
        " '${self:custom.${env:TOKEN}}' ]\ncustom: {}",
        environment={"TOKEN": "s3cret"},
    )
    node = found.section("x")
    assert node is not None
    assert node.plain()[:4] == ["s3cret", "a-s3cret", "s3cret", "s3cret"]
    shown = [each.shown for each in node.value]
    assert shown[:4] == ["'${env:TOKEN}'", "'a-${env:TOKEN}'", "'${env:TOKEN}'", "'${env:TOKEN, none}'"]
    assert [str(fault) for fault in faults] == ["serverless.yml:2:2: ${self:custom.${env:TOKEN}} leads nowhere"]
    assert "s3cret" not in repr([str(fault) for fault in faults])


def test_an_environment_variable_that_is_no_text_is_a_fault() -> None:
    _, faults = told("x: ${env:ODD}", environment={"ODD": "\udcff"})
    assert faults == ["serverless.yml:1:4: the environment variable of ${env:ODD} is not UTF-8; expected text"]


def test_what_an_environment_variable_holds_is_no_variable() -> None:
    assert value("x: ${env:A}\ny: 1", environment={"A": "${self:y}"}) == "${self:y}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x: ${env:NOPE}", "the environment variable of ${env:NOPE} is not set; expected it to be set"),
        ("x: ${opt:color}", "the option of ${opt:color} was not said"),
        (
            "x: ${self:custom.tabel}\ncustom: {table: 1}",
            "${self:custom.tabel} leads nowhere; expected table; did you mean 'table'?",
        ),
        ("x: ${self:custom.a", "a variable is not closed with }"),
        ("x: ${self:custom.a, }", "nothing stands where a source or a fallback should"),
        ("x: ${opt:q, 'a}", "a text in ' quotes is not closed"),
        ("x: ${self:y}\ny: ${self:x}", "a variable that comes back to itself"),
        ("x: {a: '${self:x}'}", "a variable puts this into itself"),
        ("x: a${self:y}\ny: {b: 1}", "${self:y} within a text; expected a text or a number, got a mapping"),
        ("x: ${sls:stages}", "${sls:stages} is unknown; expected one of stage, instanceId; did you mean 'stage'?"),
        ("x: ${aws:acount}", "${aws:acount} is unknown"),
        ("x: ${strToBool(maybe)}", "${strToBool(...)} got something else"),
        ("x: ${param:p}", "${param:p} is nowhere"),
        ("x: ${file(/etc/passwd)}", "file(/etc/passwd) names a file elsewhere"),
        ("x: ${file(~/.aws/credentials)}", "file(~/.aws/credentials) names a file elsewhere"),
        ("x: ${file(../secret.yml)}", "file(../secret.yml) leads out of the project's folder"),
        ("x: ${file(gone.yml):a}", "there is no file 'gone.yml'"),
    ],
)
def test_what_is_wrong_is_said_once_and_with_its_place(text: str, expected: str, tmp_path: Path) -> None:
    found, faults = told(text, folder=tmp_path)
    assert len(faults) == 1, faults
    assert expected in faults[0]
    assert faults[0].startswith("serverless.yml:")
    assert "warning" not in faults[0]
    assert found in (None, {"a": None}, "a")


@pytest.mark.parametrize(
    ("text", "stand_in"),
    [
        ("${ssm:/app/password}", "ssm-app-password"),
        ("${ssm:/app/password~true}", "ssm-app-password"),
        ("${cf:other-dev.QueueUrl}", "cf-other-dev-QueueUrl"),
        ("${cf(eu-west-1):other.Url}", "cf-eu-west-1-other-Url"),
        ("${cf.eu-west-1:other.Url}", "cf-eu-west-1-other-Url"),
        ("${s3:bucket/key.txt}", "s3-bucket-key-txt"),
        ("${vaultt:a}", "vaultt-a"),
        ("${file(./conf.js):a}", "file-conf-js-a"),
    ],
)
def test_what_only_the_cloud_knows_has_a_stand_in(text: str, stand_in: str, tmp_path: Path) -> None:
    found, faults = told(f"x: {text}", folder=tmp_path)
    assert found == stand_in
    assert len(faults) == 1
    assert "warning" in faults[0]


def test_below_a_stand_in_nothing_is_said_again(tmp_path: Path) -> None:
    found, faults = told("x: ['${self:custom.a.b}', '${self:custom.c}']\ncustom: ${file(./conf.js)}", folder=tmp_path)
    assert found == ["file-conf-js", "file-conf-js"]
    assert len(faults) == 1


def test_an_unquoted_fallback_is_taken_as_text() -> None:
    found, faults = told("x: ${opt:color, blue}")
    assert found == "blue"
    assert faults == [
        "serverless.yml:1:4: warning: the fallback blue has no quotes: it is taken as text; expected 'blue'"
    ]


def test_files(tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/dev.yml").write_text("a: {b: '${self:custom.c}'}\nq: !GetAtt Q.Arn\n")
    (tmp_path / "conf/x.json").write_text('{"k": [1, 2]}')
    (tmp_path / "note.txt").write_text("hello ${self:x}")
    text = """
x:
  - ${file(./conf/${sls:stage}.yml):a.b}
  - ${file(conf/x.json):k.1}
  - ${file(note.txt)}
  - ${file(gone.yml), 'none'}
  - ${file(conf/dev.yml)}
custom: {c: 4}
"""
    assert value(text, folder=tmp_path) == [
        *(4, 2, "hello ${self:x}", "none"),
        {"a": {"b": 4}, "q": {"Fn::GetAtt": ["Q", "Arn"]}},
    ]


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret.yml").write_text("a: 1")
    (tmp_path / "app").mkdir()
    (tmp_path / "app/link.yml").symlink_to(tmp_path / "secret.yml")
    found, faults = told("x: ${file(link.yml):a}", folder=tmp_path / "app")
    assert found is None
    assert "leads out of the project's folder" in faults[0]


def test_a_file_that_is_not_yaml_names_its_own_line(tmp_path: Path) -> None:
    (tmp_path / "bad.yml").write_text("a: [1\n")
    _, faults = told("x: ${file(bad.yml)}", folder=tmp_path)
    assert faults[0].startswith("bad.yml:")
    assert len(faults) == 1


def test_custom_may_be_a_file_that_speaks_of_itself(tmp_path: Path) -> None:
    (tmp_path / "custom.yml").write_text("a: ${self:custom.b}\nb: 2\n")
    assert value("x: ${self:custom.a}\ncustom: ${file(custom.yml)}", folder=tmp_path) == 2


def test_what_nobody_asks_for_cannot_be_wrong() -> None:
    assert value("x: 1\ncustom: {a: '${env:NOPE}'}") == 1


def test_the_pseudo_parameters_plugin() -> None:
    text = "x: arn:aws:sqs:#{AWS::Region}:#{AWS::AccountId}:${self:custom.q}\ncustom: {q: reads}"
    expected = {"Fn::Sub": "arn:aws:sqs:${AWS::Region}:${AWS::AccountId}:reads"}
    assert value(text, pseudo=True) == expected
    assert value("x: '#{Queue.Arn}'", pseudo=True) == {"Fn::Sub": "${Queue.Arn}"}
    found, faults = told(text)
    assert found == expected
    assert "without the plugin" in faults[0]
    assert value("x: '#{Queue.Arn}'") == "#{Queue.Arn}"


def test_dotenv(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("A=1\nexport B='two words' \n# C=3\nD=x # note\nnonsense\n")
    (tmp_path / ".env.prod").write_text("A=9\n")
    assert with_dotenv({"D": "own"}, tmp_path, "prod") == {"A": "9", "B": "two words", "D": "own"}
    assert with_dotenv({}, tmp_path, "../x")["A"] == "1"


@pytest.mark.parametrize(
    "text",
    [
        "x: " + "${self:" * 40 + "a" + "}" * 40,
        "x: ${self:v0}\n" + "\n".join(f"v{n}: ${{self:v{n + 1}}}" for n in range(500)),
        "x: ${self:v0}\n" + "\n".join(f"v{n}: {{a: '${{self:v{n + 1}}}'}}" for n in range(500)),
        "x: ${self:v0}\n"
        + "\n".join(f"v{n}: '${{self:v{n + 1}}}${{self:v{n + 1}}}'" for n in range(28))
        + "\nv28: word",
        "x: ${self:v0}\n"
        + "\n".join(f"v{n}: ['${{self:v{n + 1}}}', '${{self:v{n + 1}}}']" for n in range(40))
        + "\nv40: 1",
    ],
    ids=["nested", "chain", "deep", "long", "many"],
)
def test_too_much_is_a_fault(text: str) -> None:
    _, faults = told(text)
    assert 1 <= len(faults) <= 2
    assert all("warning" not in fault for fault in faults)


PIECES = r"""${ } self: opt: env: file( ) , ' " x custom . 0 : \ #{ sls:stage strToBool( AWS::Region param: ssm:/ null
é ${self:x} ${self:}"""
pieces = st.lists(st.sampled_from([*re.findall(r"\S+", PIECES), " ", "\n"]), max_size=16).map("".join)


@given(pieces)
def test_any_text_has_parts_or_a_reason(text: str) -> None:
    parts: Parts = ()
    with contextlib.suppress(SyntaxProblem):
        parts = parse(text)
    assert all(parts)


@given(st.lists(pieces, min_size=1, max_size=4), st.lists(st.integers(0, 3), max_size=3))
def test_no_variables_raise(texts: list[str], references: list[int]) -> None:
    values = {f"v{index}": text for index, text in enumerate(texts)}
    values |= {f"r{index}": f"${{self:v{target}}}" for index, target in enumerate(references)}
    found, _ = resolver(
        json.dumps({"x": values, "custom": {"x": "${self:x}"}, **values}), environment={"x": "${self:x}"}
    )
    assert found.section("x") is not None
