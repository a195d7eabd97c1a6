from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

import millrace.config.load as loading
from millrace.config.events import HttpEvent
from millrace.config.load import examine, find, load
from millrace.config.schema import Project
from millrace.errors import ConfigError

SMALL = "service: pets\nfunctions:\n  f:\n    model: app.Model\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def faults(text: str | bytes, folder: Path, stage: str | None = None, overrides: tuple[str, ...] = ()) -> list[str]:
    (folder / "millrace.yml").write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(ConfigError) as caught:
        load(folder, stage=stage, overrides=overrides)
    assert [str(fault) for fault in caught.value.faults] == caught.value.hint.split("\n")
    return caught.value.hint.split("\n")


def loaded(text: str, folder: Path, stage: str | None = None, overrides: tuple[str, ...] = ()) -> Project:
    (folder / "millrace.yml").write_text(text)
    return load(folder, stage=stage, overrides=overrides)


def test_a_project_with_short_forms(folder: Path) -> None:
    project = loaded(
        SMALL + "    events: [{queue: images}, {http: post /images}]\n    environment: {A: 4, B: true}\n"
        "    batch: {wait: 20ms, bytes: 1MB}\n    to: [{table: rows}]\nqueues:\n  images:\ntables: {rows: }\n",
        folder,
    )
    function = project.functions["f"]
    assert function.environment == {"A": "4", "B": "true"}
    assert (function.batch.wait, function.batch.bytes) == (0.02, 1_000_000)
    event = function.events[1]
    assert isinstance(event, HttpEvent)
    assert (event.method, event.path, event.payload) == ("POST", "/images", "v2")
    assert project.queues["images"].lease == 30.0
    assert project.root == folder.resolve()
    assert project.stage == "dev"


def test_long_form_of_http(folder: Path) -> None:
    project = loaded(SMALL + "    events:\n      - http: {path: /x, method: get, payload: v1}\n", folder)
    event = project.functions["f"].events[0]
    assert isinstance(event, HttpEvent)
    assert (event.method, event.path, event.payload) == ("GET", "/x", "v1")


def test_every_fault_at_once_and_each_at_its_place(folder: Path) -> None:
    text = """\
service: pets
sevrice: x
queues:
  images: {lease: 30 parsecs, max_receives: 0}
  labels: {}
  labels: {}
buckets:
  lake: {}
functions:
  classify:
    model: app.PetClassifier
    replica: 2
    events:
      - htp: POST /y
      - queue: imgaes
      - {queue: images, http: GET /}
      - text
      - http: POST
      - {bucket: lake/x, on: made}
      - http: {path: /long}
    to:
      - tabel: predictions
      - queue: [1]
  second:
    modle: a.B
"""
    assert faults(text, folder) == [
        "millrace.yml:2:1: unknown key 'sevrice'; did you mean 'service'?",
        "millrace.yml:4:19: queues.images.lease; expected a duration such as 30s, 20ms, 10m, 1h or a number of "
        "seconds, got '30 parsecs'",
        "millrace.yml:4:45: queues.images.max_receives; expected at least 1, got 0",
        "millrace.yml:6:3: the key 'labels' is already there, at line 5",
        "millrace.yml:8:3: buckets.lake: the key 'url' is missing",
        "millrace.yml:12:5: functions.classify: unknown key 'replica'; did you mean 'replicas'?",
        "millrace.yml:14:9: functions.classify.events[0] is no known event; expected one of queue, http, schedule, "
        "bucket, table, push, topic, bus, got 'htp'; did you mean 'http'?",
        "millrace.yml:15:16: unknown queue 'imgaes'; expected one of images, labels; did you mean 'images'?",
        "millrace.yml:16:9: functions.classify.events[2] is of several kinds; expected one event per list item, "
        "got queue and http",
        "millrace.yml:17:9: functions.classify.events[3]; expected a mapping such as `queue: images`, got 'text'",
        "millrace.yml:18:15: functions.classify.events[4].http; expected a method and a path such as POST /images, "
        "got 'POST'",
        "millrace.yml:19:30: functions.classify.events[5].on; expected 'created' or 'removed', got 'made'",
        "millrace.yml:20:9: functions.classify.events[6].http: the key 'method' is missing",
        "millrace.yml:22:9: functions.classify.to[0]: unknown key 'tabel'; expected one of table, queue, bucket, "
        "webhook; did you mean 'table'?",
        "millrace.yml:23:16: functions.classify.to[1].queue; expected text, got a list",
        "millrace.yml:25:5: functions.second: unknown key 'modle'; did you mean 'model'?",
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "millrace.yml:1:1: the file is empty; expected at least `service: my-app` and `functions:`"),
        ("# nothing\n", "millrace.yml:1:1: the file is empty; expected at least `service: my-app` and `functions:`"),
        ("- a\n", "millrace.yml:1:1: the project file; expected a mapping such as `service: my-app`, got a list"),
        ("a: b: c", "millrace.yml:1:5: not YAML: mapping values are not allowed here; "
         "expected quotes around a text with a colon in it, or less space before this line"),
        ("service: x\n\tq: 1", "millrace.yml:2:1: not YAML: found character '\\t' that cannot start any token, "
         "while scanning for the next token; expected spaces: a tab cannot indent"),
        ("a: {b: ${env:X}}", "millrace.yml:1:9: not YAML: expected ',' or '}', but got '{', "
         "while parsing a flow mapping; expected a comma or } after each value, "
         "and quotes around a text with { } , or : in it"),
        ("a:\n  b: 1\n c: 2", "millrace.yml:3:2: not YAML: expected <block end>, but found '<block mapping start>', "
         "while parsing a block mapping; expected as many spaces before this line as before its neighbours"),
        ("a:\n  b: 'it\n  c: 1\n", "millrace.yml:2:6: not YAML: found unexpected end of stream, "
         "while scanning a quoted scalar; expected a closing quote behind the text that begins here"),
        ("service: x\n---\nb: 1", "millrace.yml:2:1: not YAML: but found another document, "
         "expected a single document in the stream"),
        ("service: \x07", "millrace.yml:1:10: not YAML: a character that may not stand in it; got '\\x07'"),
        (b"service: \xff", "millrace.yml:1:10: not UTF-8 text; got byte 0xff"),
        (SMALL + r'    environment: {A: "a\ud800"}', "millrace.yml:5:22: half of a surrogate pair, which is no text; "
         "expected a letter, got 'a\N{REPLACEMENT CHARACTER}'"),
        (SMALL + r'    environment: {"\U0000DC00": a, B: &x b, C: *x}', "millrace.yml:5:19: half of a surrogate pair, "
         "which is no text; expected a letter, got '\N{REPLACEMENT CHARACTER}'"),
        ("a: &a [*a]\nservice: x", "millrace.yml:1:4: the alias *a contains itself"),
        ("service: !Ref x", "millrace.yml:1:10: the tag !Ref has no meaning here; expected a plain value"),
        ("service: !!set {x}", "millrace.yml:1:10: the tag tag:yaml.org,2002:set has no meaning here; "
         "expected a plain value"),
        ("? [a]\n: 1\nservice: x", "millrace.yml:1:3: a key is a plain word; got a list or a mapping"),
        ("<<: 4\nservice: x", "millrace.yml:1:1: << merges mappings; expected an alias of a mapping, got 4"),
        ("service: x\nroot: /", "millrace.yml:2:1: unknown key 'root': a project's root is the folder of its file"),
        ("service: x\ndrain: ${self:y}", "millrace.yml:2:8: a reference that millrace does not know; "
         "expected ${env:NAME} or ${env:NAME, default}, got '${self:…}'"),
        ("drain: 1s", "millrace.yml:1:1: the key 'service' is missing"),
        ("service: x\ngateway: {port: 70000}", "millrace.yml:2:17: gateway.port; expected at most 65535, got 70000"),
        ("service: x\nqueues: [a]", "millrace.yml:2:9: queues; expected a mapping, got a list"),
        ("service: x\nqueues: {a: 3}", "millrace.yml:2:13: queues.a; expected a mapping, got 3"),
        ("service: x\nqueues: {a: {fifo: 'yes'}}",
         "millrace.yml:2:20: queues.a.fifo; expected true or false, got 'yes'"),
        ("service: x\nbuckets: {lake: }", "millrace.yml:2:11: buckets.lake: the key 'url' is missing"),
        ("service: x\nbuckets: {lake: {url: }}", "millrace.yml:2:18: buckets.lake: the key 'url' has no value"),
        ("service:", "millrace.yml:1:1: the key 'service' has no value"),
        (SMALL + "    events: [{queue: q, quue: 1}]", "millrace.yml:5:25: functions.f.events[0]: unknown key 'quue'; "
         "expected one of queue, batch, filter, concurrency, partial, on_error, retry, enabled; did you mean 'queue'?"),
        (SMALL + "    events: [{http: {path: /, mehtod: GET}}]", "millrace.yml:5:31: functions.f.events[0].http: "
         "unknown key 'mehtod'; expected one of method, path, payload, key, cors; did you mean 'method'?"),
        ("service: x\ngateway: {port: 1.5}", "millrace.yml:2:17: gateway.port; expected a whole number, got 1.5"),
    ],
)  # fmt: skip
def test_one_fault(folder: Path, text: str | bytes, fault: str) -> None:
    assert fault in faults(text, folder)


def test_a_pair_of_escapes_is_one_letter(folder: Path) -> None:
    text = SMALL + r'    environment: {A: "\ud83d\ude00 \u00e9"}'
    assert loaded(text, folder).functions["f"].environment == {"A": "\N{GRINNING FACE} é"}


def test_a_variable_that_is_no_text_is_a_fault(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ODD", "\udcff")
    found = faults(SMALL + "    environment: {A: '${env:ODD}'}", folder)
    assert "millrace.yml:5:22: the environment variable ODD is not UTF-8" in found


def test_too_large_a_file(folder: Path) -> None:
    assert faults(b"#" * 1_000_001, folder) == [
        "millrace.yml:1:1: the file is too large; expected at most 1,000,000 bytes, got 1,000,001"
    ]


def test_an_alias_bomb(folder: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert faults("\n".join(lines), folder) == [
        "millrace.yml:1:1: too many values; expected at most 100,000, aliases followed"
    ]


def test_nested_too_deeply(folder: Path) -> None:
    assert faults("a: " + "[" * 5000, folder) == ["millrace.yml:1:1: nested too deeply"]
    deep = faults("service: " + "[" * 64 + "]" * 64, folder)
    assert "millrace.yml:1:73: nested too deeply; expected at most 64 levels" in deep


def test_what_the_yaml_library_stumbles_over(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stumble(self: YAML, stream: object) -> None:
        raise IndexError("pop from empty list")

    monkeypatch.setattr(YAML, "compose", stumble)
    assert faults("a: 1", folder) == ["millrace.yml:1:1: not YAML: IndexError: pop from empty list"]


def test_faults_that_hide_the_rest(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "_ROUNDS", 1)
    text = "service: x\ndrain: soon\nfunctions: {f: {}}"
    assert [fault.partition(";")[0] for fault in faults(text, folder)] == ["millrace.yml:2:8: drain"]


def test_a_file_on_another_drive_has_its_whole_path(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def other_drive(path: Path) -> str:
        raise ValueError("path is on mount 'D:', start on mount 'C:'")

    monkeypatch.setattr(os.path, "relpath", other_drive)
    assert faults("", folder)[0].startswith(f"{folder}{os.sep}millrace.yml:1:1: ")


def test_merge_keys(folder: Path) -> None:
    project = loaded(
        "service: x\nqueues:\n  a: &base {lease: 5s, ttl: 1h}\n  b: {<<: *base, ttl: 2h}\n"
        "  c: {<<: [*base, {fifo: true}]}\n",
        folder,
    )
    assert (project.queues["b"].lease, project.queues["b"].ttl) == (5, 7200)
    assert (project.queues["c"].lease, project.queues["c"].fifo) == (5, True)


STAGED = SMALL + "    replicas: 1\n    threads: 2\nstages:\n  prod:\n    functions: {f: {replicas: 8}}\n"


def test_a_stage_is_laid_upon_the_project(folder: Path) -> None:
    project = loaded(STAGED, folder, stage="prod")
    assert (project.functions["f"].replicas, project.functions["f"].threads, project.stage) == (8, 2, "prod")
    assert loaded(STAGED, folder).functions["f"].replicas == 1
    assert loaded(STAGED + "stage: prod\n", folder).functions["f"].replicas == 8
    assert loaded(STAGED, folder, stage="dev").stage == "dev"


def test_an_unknown_stage(folder: Path) -> None:
    assert faults(STAGED, folder, stage="prd") == [
        "--stage prd: unknown stage 'prd'; expected prod; did you mean 'prod'?"
    ]
    assert faults(SMALL, folder, stage="prd") == ["--stage prd: unknown stage 'prd': no `stages` are declared"]


def test_a_fault_in_a_stage_is_at_the_stage(folder: Path) -> None:
    assert faults(STAGED.replace("8", "many"), folder, stage="prod") == [
        "millrace.yml:9:31: functions.f.replicas; expected a whole number, got 'many'"
    ]


@pytest.mark.parametrize(
    ("key", "fault"),
    [
        ("account: '12'", "aws.account; expected twelve digits in quotes, got '12'"),
        ("region: mars", "aws.region; expected a region such as us-east-1, got 'mars'"),
    ],
)
def test_an_account_and_a_region_are_asked_for_in_words(folder: Path, key: str, fault: str) -> None:
    (told,) = faults(f"{SMALL}aws: {{{key}}}\n", folder)
    assert told.endswith(fault)


@pytest.mark.parametrize("over", ["false", "7", "[a]", "text"])
def test_a_stage_that_is_no_mapping(folder: Path, over: str) -> None:
    (fault,) = faults(f"{SMALL}stages:\n  prod: {over}\n", folder, stage="prod")
    assert fault.startswith("millrace.yml:6:9: ")
    assert "expected" in fault


def test_overrides(folder: Path) -> None:
    text = SMALL + "    events: [{http: GET /a}]\n    environment:\n"
    overrides = (
        "functions.f.replicas=4",
        "functions.f.events.0={http: GET /b}",
        "gateway.port=0",
        "functions.f.environment.A=b=c",
        "drain=",
    )
    project = loaded(text, folder, overrides=overrides)
    function = project.functions["f"]
    assert (function.replicas, project.gateway.port, function.environment) == (4, 0, {"A": "b=c"})
    assert isinstance(function.events[0], HttpEvent)
    assert function.events[0].path == "/b"
    assert project.drain == 30.0


def test_faults_of_overrides_name_the_override(folder: Path) -> None:
    overrides = (
        "nonsense",
        "service.name=x",
        "functions.f.events.0.http.path=/x",
        "functions.f.events.9=1",
        "functions.f.events.x=1",
        "functions.f.replica=3",
        "functions.f.replicas=x",
        "queues=[",
        "functions..x=1",
    )
    found = faults(SMALL + "    events: [{http: GET /a}]\n", folder, overrides=overrides)
    assert found == [
        "--set functions..x: not an override; expected KEY=VALUE such as functions.classify.replicas=4",
        "--set functions.f.events.0.http.path: functions.f.events.0.http is 'GET /a', which has nothing below it",
        "--set functions.f.events.9: functions.f.events is a list of 1, so '9' names nothing in it",
        "--set functions.f.events.x: functions.f.events is a list of 1, so 'x' names nothing in it",
        "--set functions.f.replica: functions.f: unknown key 'replica'; did you mean 'replicas'?",
        "--set functions.f.replicas: functions.f.replicas; expected a whole number, got 'x'",
        "--set nonsense: not an override; expected KEY=VALUE such as functions.classify.replicas=4",
        "--set queues: not YAML: expected the node content, but found '<stream end>', while parsing a flow node",
        "--set service.name: service is 'pets', which has nothing below it",
    ]


def test_environment_references(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COPIES", "3")
    monkeypatch.setenv("SECRET", "swordfish")
    text = (
        SMALL + "    replicas: ${env:COPIES}\n    threads: ${env:NOT_SET, 2}\n    environment: {T: 'x-${env:COPIES}'}\n"
    )
    function = loaded(text, folder).functions["f"]
    assert (function.replicas, function.threads, function.environment) == (3, 2, {"T": "x-3"})
    assert faults("service: x\ndrain: ${env:SECRET}\nbroker: ${env:NOT_SET}\n", folder) == [
        "millrace.yml:2:8: drain; expected a duration such as 30s, 20ms, 10m, 1h or a number of seconds, "
        "got '${env:SECRET}'",
        "millrace.yml:3:9: the environment variable NOT_SET is not set; "
        "expected it to be set, or a default: ${env:NOT_SET, default}",
    ]
    assert faults(SMALL + "    to: [{webhook: '${env:SECRET}'}]\n", folder) == [
        "millrace.yml:5:20: a webhook; expected an http:// or https:// URL, got '${env:SECRET}'"
    ]


@pytest.mark.parametrize(("text", "value"), [("true", True), ("0.5", 0.5), ("7", 7), ("plain", "plain")])
def test_environment_references_take_the_type_of_what_they_hold(
    folder: Path, monkeypatch: pytest.MonkeyPatch, text: str, value: object
) -> None:
    monkeypatch.setenv("HELD", text)
    events = "    events:\n      - schedule: rate(1 minute)\n        input: ['${env:HELD}']\n"
    project = loaded(SMALL + events, folder)
    assert project.functions["f"].events[0].input == [text]
    project = loaded(SMALL + events.replace("['", "").replace("']", ""), folder)
    assert project.functions["f"].events[0].input == value


@pytest.mark.parametrize(
    ("text", "value"),
    [("0x10", 16), ("012", 12), ("1_000", 1000), ("-3", -3), (".inf", float("inf")), ("1e3", 1000.0), ("~", None),
     ("yes", "yes"), ("2020-01-01", "2020-01-01"), ("9" * 5000, "9" * 5000), ("False", False)],
)  # fmt: skip
def test_scalars(folder: Path, text: str, value: object) -> None:
    project = loaded(f"{SMALL}    events:\n      - schedule: rate(1 minute)\n        input: [{text}]\n", folder)
    assert project.functions["f"].events[0].input == [value]


def test_find_looks_upwards(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = folder / "a" / "b"
    deep.mkdir(parents=True)
    with pytest.raises(ConfigError, match=r"no millrace\.yml in") as caught:
        find(deep)
    assert "millrace init" in caught.value.hint
    (folder / "millrace.yaml").write_text(SMALL)
    assert find(deep) == folder.resolve() / "millrace.yaml"
    monkeypatch.chdir(deep)
    assert load().service == "pets"


def test_files_that_cannot_be_read(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"no millrace\.yml in"):
        load(folder)
    with pytest.raises(ConfigError, match="there is no file"):
        load(folder / "nowhere.yml")
    target = folder / "loop.yml"
    target.symlink_to(target)
    with pytest.raises(ConfigError, match="cannot read"):
        load(target)


def test_faults_name_a_far_file_by_its_whole_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    (tmp_path / "millrace.yml").write_text("x: 1\nservice: a")
    with pytest.raises(ConfigError) as caught:
        load(tmp_path)
    assert str(caught.value.faults[0].place) == f"{tmp_path}{os.sep}millrace.yml:1:1"


def test_examine_lists_stages_and_warnings(folder: Path) -> None:
    (folder / "millrace.yml").write_text(STAGED)
    found = examine(folder)
    assert found.stages == ["prod"]
    assert [str(each) for each in found.warnings] == [
        "millrace.yml:3:3: warning: functions.f has no events; expected `events:` "
        "(`millrace invoke` and `millrace send` reach it all the same)"
    ]
    assert found.warnings[0].as_dict() == {
        "file": "millrace.yml", "line": 3, "column": 3, "what": "functions.f has no events",
        "expected": "`events:` (`millrace invoke` and `millrace send` reach it all the same)",
        "got": "", "near": "", "severity": "warning",
    }  # fmt: skip


def test_examine_places_sinks_that_get_nothing(folder: Path) -> None:
    (folder / "millrace.yml").write_text(
        "service: a\ntables: {rows: {}}\nfunctions:\n  f:\n    handler: a.f\n    events: [{http: GET /f}]\n"
        "    to: [{table: rows}]\n"
    )
    (warning,) = examine(folder).warnings
    assert str(warning) == (
        "millrace.yml:7:5: warning: functions.f is a handler with http events alone, whose answers go to the caller "
        "and never to `to:`; expected no `to:`, or a `model:`, whose results go to both"
    )


WORDS = st.sampled_from(
    ["service", "functions", "queues", "tables", "stages", "f", "model", "handler", "events", "http", "queue", "to",
     "batch", "size", "wait", "30s", "POST /x", "${env:A}", "${env:A, 3}", "-", ":", "{", "}", "[", "]", "&", "*", "a",
     "<<:", "!Ref", "'", '"', "|", ">", "#", "?", ",", "~", "1", "-1", "1e9", "true", "null", "---", "...", "%", "@"]
)  # fmt: skip


@given(st.one_of(st.text(), st.lists(st.tuples(WORDS, st.sampled_from(["", " ", "\n", ": ", "\n  ", "\n- "]))).map(
    lambda pairs: "".join(word + space for word, space in pairs)
)))  # fmt: skip
def test_any_text_is_a_project_or_a_config_error(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    file = tmp_path_factory.getbasetemp() / "any.yml"
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    found = examine(file)
    assert isinstance(found.project, Project) != bool(found.faults)


LEAVES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.sampled_from(
    ["a", "images", "30s", "POST /x", "lake/{id}", "app.F", "{", "dev"]
))  # fmt: skip
KEYS = st.sampled_from(
    ["service", "functions", "queues", "tables", "buckets", "gateway", "stages", "f", "images", "model", "handler",
     "events", "to", "http", "queue", "table", "bucket", "webhook", "push", "schedule", "batch", "lease", "url",
     "memory", "replicas", "environment", "prod"]
)  # fmt: skip
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=4)),
    max_leaves=25,
)


@given(st.dictionaries(KEYS, TREES, max_size=6), st.sampled_from([None, "dev", "prod"]))
def test_any_tree_is_a_project_or_a_config_error(
    tmp_path_factory: pytest.TempPathFactory, tree: dict[str, object], stage: str | None
) -> None:
    import json

    file = tmp_path_factory.getbasetemp() / "tree.yml"
    file.write_text(json.dumps({"service": "x"} | tree))
    found = examine(file, stage=stage)
    assert isinstance(found.project, Project) != bool(found.faults)
