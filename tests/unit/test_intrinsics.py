"""CloudFormation's functions, parameters, conditions and names, one by one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from template_parts import resolved, stack_of, troubles

from millrace.config.faults import Fault, Place
from millrace.config.tree import Node
from millrace.formats.cloudformation import parameters
from millrace.formats.cloudformation.stack import Stack
from millrace.formats.cloudformation.surroundings import Surroundings
from millrace.formats.nodes import node

RESOURCES = """
Parameters:
  Env: {Type: String, Default: dev}
  Zones: {Type: CommaDelimitedList, Default: "a, b,c"}
Mappings:
  Sizes: {dev: {memory: 128, names: [x, y]}, prod: {memory: 1024}}
Conditions:
  IsProd: !Equals [!Ref Env, prod]
  IsDev: !Not [!Condition IsProd]
  Both: !And [!Condition IsDev, !Equals ["1", 1]]
  Either: !Or [!Condition IsProd, !Condition IsDev]
Resources:
  Jobs: {Type: AWS::SQS::Queue}
  Late: {Type: AWS::SQS::Queue, Properties: {QueueName: !Sub "${Env}-late"}}
  Ordered: {Type: AWS::SQS::Queue, Properties: {FifoQueue: true}}
  News: {Type: AWS::SNS::Topic}
  Pets: {Type: AWS::DynamoDB::Table, Properties: {StreamSpecification: {StreamViewType: NEW_IMAGE}}}
  Plain: {Type: AWS::DynamoDB::Table}
  Lake: {Type: AWS::S3::Bucket}
  Fn: {Type: AWS::Lambda::Function}
  Role: {Type: AWS::IAM::Role}
  Key: {Type: AWS::SSM::Parameter, Properties: {Name: /app/key, Value: !Sub "${Env}!"}}
  Gone: {Type: AWS::SQS::Queue, Condition: IsProd}
  Odd: {Type: Custom::Thing}
"""
ARN = "arn:aws:{}:us-east-1:000000000000:{}"


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("!Ref Env", "dev"),
        ("!Ref Zones", ["a", "b", "c"]),
        ("!Ref AWS::Region", "us-east-1"),
        ("!Ref AWS::AccountId", "000000000000"),
        ("!Ref AWS::StackName", "shop"),
        ("!Ref AWS::NoValue", None),
        ("{a: !Ref AWS::NoValue, b: 1}", {"b": 1}),
        ("[1, !Ref AWS::NoValue]", [1]),
        ("!Ref Jobs", "http://127.0.0.1:8401/000000000000/shop-Jobs"),
        ("!GetAtt Jobs.Arn", ARN.format("sqs", "shop-Jobs")),
        ("!GetAtt [Late, QueueName]", "dev-late"),
        ("{'Fn::GetAtt': Late.Arn}", ARN.format("sqs", "dev-late")),
        ("!GetAtt Ordered.QueueName", "shop-Ordered.fifo"),
        ("!Ref News", ARN.format("sns", "shop-News")),
        ("!Ref Pets", "shop-Pets"),
        ("!GetAtt Pets.StreamArn", ARN.format("dynamodb", "table/shop-Pets/stream/dev")),
        ("!Ref Lake", "shop-lake"),
        ("!GetAtt Lake.Arn", "arn:aws:s3:::shop-lake"),
        ("!GetAtt Fn.Arn", ARN.format("lambda", "function:shop-Fn")),
        ("!GetAtt Role.Arn", "arn:aws:iam::000000000000:role/shop-Role"),
        ("!GetAtt Key.Value", "dev!"),
        ("!Ref Key", "/app/key"),
        ("!Ref Odd", "shop-Odd"),
        ("!Sub '${AWS::StackName}-${Env}-${Jobs.QueueName}-${!Literal}'", "shop-dev-shop-Jobs-${Literal}"),
        ("!Sub ['${A}-${Env}', {A: !Join ['.', [x, 1, true]]}]", "x.1.true-dev"),
        ("!Join ['/', !Ref Zones]", "a/b/c"),
        ("!Select [1, !Split ['-', 'a-b-c']]", "b"),
        ("!Select ['2', !Ref Zones]", "c"),
        ("!FindInMap [Sizes, !Ref Env, memory]", 128),
        ("!FindInMap [Sizes, dev, names]", ["x", "y"]),
        ("!FindInMap [Sizes, nowhere, memory, {DefaultValue: !Ref Env}]", "dev"),
        ("!If [IsProd, 1, !Ref Env]", "dev"),
        ("{a: !If [IsProd, 1, !Ref 'AWS::NoValue']}", {}),
        ("!If [Both, !If [Either, 1, 2], 3]", 1),
        ("!Base64 hé", "aMOp"),
        ("!GetAZs ''", ["us-east-1a", "us-east-1b", "us-east-1c"]),
        ("!Cidr ['10.0.0.0/16', 2, 8]", ["10.0.0.0/24", "10.0.1.0/24"]),
        ("!Length [1, 2]", 2),
        ("!ToJsonString {a: !Ref Env, b: [1]}", '{"a":"dev","b":[1]}'),
        ("{Condition: {StringEquals: {x: y}}}", {"Condition": {"StringEquals": {"x": "y"}}}),
    ],
)
def test_functions(expression: str, value: Any) -> None:
    assert resolved(expression, RESOURCES) == value


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("!Ref Jbos", "no parameter and no resource is called Jbos; did you mean 'Jobs'?"),
        ("!GetAtt Jbos.Arn", "no resource is called Jbos; did you mean 'Jobs'?"),
        ("!GetAtt Jobs.Anr", "AWS::SQS::Queue has no attribute Anr; expected one of Arn, QueueName, QueueUrl"),
        ("!Ref Gone", "Gone is left out, since its condition IsProd does not hold"),
        ("!GetAtt Plain.StreamArn", "Plain has no stream; expected a StreamSpecification in its properties"),
        ("!GetAtt Odd.Size", "warning: Size of Odd (Custom::Thing) is known to AWS alone"),
        ("!Sub '${Nope}'", "no parameter and no resource is called Nope"),
        ("!Sub '${Zones}'", "${Zones} in Fn::Sub takes text"),
        ("!Sub [1, 2, 3]", "Fn::Sub; expected a text, or a list of a text and a mapping"),
        ("!Join [a]", "Fn::Join; expected a separator and a list"),
        ("!Join [a, b]", "Fn::Join takes a list"),
        ("!Join ['', [{a: 1}]]", "Fn::Join takes text"),
        ("!Select [9, [a]]", "Fn::Select of a list of 1; expected an index from 0, got '9'"),
        ("!Split ['', a]", "Fn::Split; expected a separator of at least one character"),
        ("!FindInMap [Szies, a, b]", "no mapping is called Szies; expected Sizes; did you mean 'Sizes'?"),
        ("!FindInMap [Sizes, dev, nope]", "Mappings.Sizes.dev.nope is not there"),
        ("!If [IsPord, 1, 2]", "no condition is called IsPord; did you mean 'IsProd'?"),
        ("!ImportValue shared", "warning: what another stack exports as shared is not known here"),
        ("!Cidr [x, 1]", "Fn::Cidr; expected a block"),
        ("{'Fn::Jion': [a, b]}", "Fn::Jion is no function of CloudFormation; got a list; did you mean 'Fn::Join'?"),
        ("!Transform {Name: 'AWS::Include'}", "warning: Fn::Transform: macros run at AWS alone"),
    ],
)
def test_what_has_no_meaning_is_told_where_it_stands(expression: str, said: str) -> None:
    (found,) = troubles(expression, RESOURCES)
    assert found.startswith("t.yaml:")
    assert said in found


def test_an_import_may_be_given() -> None:
    stack = stack_of("It: !ImportValue shared", shared="arn:x", other="y")
    assert stack.resolve(stack.template.value["It"]).value == "arn:x"
    assert [str(fault) for fault in stack.unknown_parameters()] == [
        "--parameter other: the template has no parameter other"
    ]


def parameter(declared: str, **given: str) -> Any:
    return resolved("!Ref P", f"Parameters: {{P: {declared}}}", **given)


@pytest.mark.parametrize(
    ("declared", "given", "value"),
    [
        ("{Type: String}", {"P": "x"}, "x"),
        ("{Type: String, Default: 3}", {}, "3"),
        ("{Type: String, Default: true}", {}, "true"),
        ("{Type: Number, Default: 3}", {}, 3),
        ("{Type: Number}", {"P": "3"}, "3"),
        ("{Type: List<Number>, Default: '1, 2'}", {}, ["1", "2"]),
        ("{Type: CommaDelimitedList, Default: ''}", {}, []),
        ("{Type: 'List<AWS::EC2::Subnet::Id>'}", {"P": "a,b"}, ["a", "b"]),
        ("{Type: 'AWS::SSM::Parameter::Value<String>'}", {"P": "value"}, "value"),
        ("{Type: String, AllowedValues: [dev, prod], Default: dev}", {"P": "prod"}, "prod"),
        ("{Type: String, AllowedPattern: '[a-z]+', MinLength: 2, MaxLength: 3}", {"P": "abc"}, "abc"),
        ("{Type: Number, MinValue: 1, MaxValue: 3}", {"P": "2"}, "2"),
    ],
)
def test_parameters(declared: str, given: dict[str, str], value: Any) -> None:
    assert parameter(declared, **given) == value


@pytest.mark.parametrize(
    ("declared", "given", "said"),
    [
        ("{Type: String}", {}, "t.yaml:1:14: the parameter P has no value; expected --parameter P=VALUE, or a Default"),
        ("{Type: Number}", {"P": "x"}, "--parameter P: the parameter P; expected a number, got 'x'"),
        ("{Type: String, AllowedValues: [a, b]}", {"P": "c"}, "expected one of a, b, got 'c'"),
        ("{Type: String, AllowedPattern: '[a-z]+'}", {"P": "1"}, "expected what matches [a-z]+"),
        ("{Type: String, MinLength: 2, ConstraintDescription: longer}", {"P": "1"}, "P: longer; expected at least 2"),
        ("{Type: Number, MaxValue: 2}", {"P": "3"}, "expected at most 2"),
        ("{Type: String, AllowedValues: [a], NoEcho: true}", {"P": "secret"}, "the parameter P; expected a"),
        ("{Type: 'AWS::SSM::Parameter::Value<String>', Default: /x}", {}, "warning: the parameter P is what SSM keeps"),
        ("3", {}, "Parameters.P; expected a mapping with a Type, got 3"),
    ],
)
def test_parameters_that_do_not_fit(declared: str, given: dict[str, str], said: str) -> None:
    found = troubles("1", f"Parameters: {{P: {declared}}}", **given)
    assert len(found) == 1
    assert said in found[0]
    assert "secret" not in found[0]


@pytest.mark.parametrize("expression", ["!Ref P", "!Sub 'x-${P}'", "!Join [a, [!Ref P]]", "!Sub ['${A}', {A: !Ref P}]"])
def test_a_secret_is_not_shown_in_whatever_it_is(expression: str) -> None:
    stack = stack_of(f"Parameters: {{P: {{Type: String, NoEcho: true}}}}\nIt: {expression}", P="secret")
    found = stack.resolve(stack.template.value["It"])
    assert "secret" in found.value
    assert "secret" not in found.shown


def test_an_ssm_parameter_of_the_template_is_found_by_name() -> None:
    rest = """
    Parameters: {P: {Type: "AWS::SSM::Parameter::Value<String>", Default: /x}}
    Resources: {X: {Type: AWS::SSM::Parameter, Properties: {Name: /x, Value: found}}}
    """
    assert resolved("!Ref P", rest) == "found"


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("!Equals [true, 'true']", True),
        ("!Equals [[1, false], ['1', 'false']]", True),
        ("!Equals [{a: 1}, {a: '1'}]", True),
        ("!Equals [{a: 1}, {a: 2}]", False),
        ("!Equals [!Ref AWS::NoValue, !Ref AWS::NoValue]", True),
    ],
)
def test_values_are_compared_as_text(condition: str, holds: bool) -> None:
    assert resolved("!If [C, yes, no]", f"Conditions: {{C: {condition}}}") == ("yes" if holds else "no")


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("!Not [!Condition A, !Condition A]", "one condition"),
        ("!Equals [1]", "two values"),
        ("!And [!Condition A]", "two to ten conditions"),
    ],
)
def test_conditions_with_too_few_or_too_many_parts_are_told(condition: str, expected: str) -> None:
    said = troubles("!If [C, 1, 2]", f"Conditions: {{A: !Equals [1, 1], C: {condition}}}")
    assert expected in " ".join(said)


def test_circles_are_told_with_their_way() -> None:
    names = """
    Resources:
      A: {Type: AWS::SQS::Queue, Properties: {QueueName: !Sub "${B.QueueName}-a"}}
      B: {Type: AWS::SQS::Queue, Properties: {QueueName: !Sub "${A.QueueName}-b"}}
    """
    assert "the name of A leads back to itself: A → B → A" in " ".join(troubles("!Ref A", names))
    conditions = "Conditions: {A: !Not [!Condition B], B: !Not [!Condition A]}"
    assert "the condition A leads back to itself: A → B → A" in " ".join(troubles("!If [A, 1, 2]", conditions))


def test_long_chains_and_growing_names_end() -> None:
    chain = "Conditions:\n" + "".join(f"  C{n}: !Not [!Condition C{n + 1}]\n" for n in range(3000))
    assert "nested too deeply" in troubles("!If [C0, 1, 2]", chain)[0]
    twice = "${{Q{0}.QueueName}}${{Q{0}.QueueName}}"
    grow = "Resources:\n  Q60: {Type: AWS::SQS::Queue}\n" + "".join(
        f"  Q{n}: {{Type: AWS::SQS::Queue, Properties: {{QueueName: !Sub '{twice.format(n + 1)}'}}}}\n"
        for n in range(60)
    )
    assert any("too large" in each for each in troubles("!Ref Q0", grow))


def test_names_that_are_left_out_fit_their_kind() -> None:
    long = "L" * 100
    stack = stack_of(f"Resources: {{{long}: {{Type: AWS::SQS::Queue}}, {long}B: {{Type: AWS::S3::Bucket}}}}")
    assert [len(stack.name_of(name)) for name in (long, long + "B")] == [80, 63]
    assert stack.name_of(long + "B").islower()
    assert stack.arn_of(long).startswith("arn:aws:sqs:")


def test_resources_and_outputs() -> None:
    stack = stack_of(RESOURCES + "Outputs: {Url: {Value: !Ref Jobs}, Not: {Value: 1, Condition: IsProd}}\n")
    assert "Gone" not in stack.resources
    found = stack.resources["Late"].get("QueueName")
    assert found is not None
    assert (found.value, found.place.line) == ("dev-late", 14)
    assert {name: each.value for name, each in stack.outputs.items()} == {
        "Url": "http://127.0.0.1:8401/000000000000/shop-Jobs"
    }
    assert stack.find("AWS::SQS::Queue", "dev-late") is stack.resources["Late"]


@pytest.mark.parametrize("section", ["Resources", "Outputs", "Parameters", "Mappings", "Conditions"])
@pytest.mark.parametrize("content", ["3", "[a]", "{A: 3}", "{A: }", "", "{A: {Type: 3}}", "{A: {Value: !Ref B}}"])
def test_sections_of_the_wrong_kind_are_faults(section: str, content: str) -> None:
    faults: list[Fault] = []
    stack = stack_of(f"{section}: {content}\nIt: [!If [A, 1, 2], !FindInMap [A, B, C]]", faults)
    assert (stack.resources, stack.outputs) is not None
    stack.resolve(stack.template.value["It"])
    assert faults


FUNCTIONS = [
    "GetAtt",
    "Sub",
    "Join",
    "Select",
    "Split",
    "FindInMap",
    "If",
    "Cidr",
    "And",
    "Equals",
    "Not",
    "Base64",
    "Length",
    "ToJsonString",
]
OTHERS = "Ref Condition Properties Type AWS::SQS::Queue QueueName A B A.Arn ${A}${B.Arn} AWS::NoValue Default Value"
WORDS = st.sampled_from([*(f"Fn::{name}" for name in FUNCTIONS), *OTHERS.split()])
SCALARS = WORDS | st.none() | st.booleans() | st.integers() | st.text(max_size=5)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=3), max_leaves=25
)
SECTIONS = st.fixed_dictionaries(
    {
        name: st.dictionaries(st.sampled_from("AB"), VALUES, max_size=2) | VALUES
        for name in ("Parameters", "Mappings", "Conditions", "Resources", "Outputs")
    }
)


@settings(max_examples=300)
@given(SECTIONS)
def test_no_template_raises(sections: dict[str, Any]) -> None:
    place = Place("t", 1, 1)
    faults: list[Fault] = []
    stack = Stack(node(sections, Node(None, place, place)), Surroundings(), faults)
    for each in [*stack.resources.values()]:
        stack.arn_of(each.logical_id)
    stack.outputs  # noqa: B018 - asked for what it may raise


def test_a_pattern_that_takes_for_ever_is_left_to_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parameters, "_PATIENCE_S", 0.2)
    rest = "Parameters: {P: {Type: String, AllowedPattern: '(a+)+$'}}"
    assert resolved("!Ref P", rest, P="a" * 60 + "b") == "a" * 60 + "b"
    assert (
        "expected what matches"
        in troubles("!Ref P", "Parameters: {P: {Type: String, AllowedPattern: '(a+)+b*'}}", P="c")[0]
    )


def test_a_dynamic_reference_is_what_was_said() -> None:
    said = {"ssm:/shop/host": "db.local", "secretsmanager:shop:SecretString:pass": "s3cret"}
    assert resolved("'{{resolve:ssm:/shop/host:3}}:80'", **said) == "db.local:80"
    assert resolved('!Sub "{{resolve:ssm:/${AWS::StackName}/host}}"', **said) == "db.local"
    assert resolved("['{{resolve:secretsmanager:shop:SecretString:pass}}']", **said) == ["s3cret"]


def test_a_dynamic_reference_to_the_templates_own_parameter() -> None:
    own = "Resources: {P: {Type: AWS::SSM::Parameter, Properties: {Name: /own, Value: mine}}}"
    assert resolved("'{{resolve:ssm:/own}}'", own) == "mine"


def test_a_dynamic_reference_that_only_aws_knows_is_told() -> None:
    (told,) = troubles("'{{resolve:ssm-secure:/shop/key:1}}'")
    assert "warning: only AWS knows {{resolve:ssm-secure:/shop/key:1}}: 'ssm-secure-shop-key' stands in" in told
    assert "--parameter 'ssm-secure:/shop/key=VALUE'" in told


def test_what_comes_from_a_secret_is_not_shown() -> None:
    stack = stack_of('It: !Join ["", [a, "{{resolve:secretsmanager:db}}"]]', **{"secretsmanager:db": "s3cret"})
    found = stack.resolve(stack.template.value["It"])
    assert found.value == "as3cret"
    assert found.written == "***"
    assert not list(stack.unknown_parameters())


def test_one_version_of_a_function_is_the_function() -> None:
    arn = resolved("!GetAtt Fn.Arn", RESOURCES)
    for version in ("!Ref Fn.Alias", "!Ref Fn.Version", '!Sub "${Fn.Alias}"'):
        assert resolved(version, RESOURCES) == arn
    assert "no parameter and no resource is called Jobs.Alias" in troubles("!Ref Jobs.Alias", RESOURCES)[0]
