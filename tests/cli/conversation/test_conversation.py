"""A conversation from a pipe: every command, every mistake, and what the server is asked in the end."""

from __future__ import annotations

import contextlib
import json
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adaptrix_core.cli.conversation.commands import COMMANDS
from adaptrix_core.cli.conversation.sampling import NAMES
from tests.cli.stand_in_server import StandIn, stand_in

Adaptrix = Callable[..., Result]


@pytest.fixture
def server() -> Iterator[StandIn]:
    with stand_in() as state:
        yield state


@pytest.fixture
def talk(adaptrix: Adaptrix, server: StandIn) -> Callable[..., str]:
    """``talk("hi", "/undo", …)`` -> what was noted on stderr."""

    def run(*entries: str, arguments: tuple[object, ...] = ()) -> str:
        lines = "".join(f"{entry}\n" for entry in entries)
        done = adaptrix("query", "--url", server.url, *arguments, input=lines)
        assert done.exit_code == 0, done.output
        return done.stderr

    return run


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        ("/sav x", "no command '/sav'; did you mean /save"),
        ("/", "no command '/'; /help lists the commands"),
        ("/use", "/use needs an argument: /use MODEL"),
        ("/use math_reasonin", "did you mean 'math_reasoning'?"),
        ("/use math_reasoning*x", "'x' is not a weight"),
        ("/use math_reasoning+math_reasoning", "twice"),
        ("/use math_reasoning*0.5+nobody", "'nobody' does not exist"),
        ("/use ../../etc/passwd?x=#", "does not exist"),
        ("/set temp 1", "no setting temp; did you mean temperature?"),
        ("/set x", "no setting x; there are: max_tokens, temperature"),
        ("/set temperature 2.5", "temperature is 2.5; it must be a number from 0.0 to 2.0"),
        ("/set temperature nan", "temperature is nan; it must be a number from 0.0 to 2.0"),
        ("/set temperature warm", "temperature is warm; it must be"),
        ("/set top_p 0", "a number above 0.0 and at most 1.0"),
        ("/set top_k 1.5", "a whole number from 0"),
        ("/set max_tokens 0", "a whole number from 1"),
        ("/set max_tokens " + "9" * 5000, "it must be a whole number"),
        ("/set stop []x", "stop is []x; it must be at most 16 texts"),
        ('/set stop ["a", 1]', "it must be at most 16 texts"),
        ("/set stop " + "x" * 300, "1 to 256 characters"),
        ("/undo", "no question has been asked yet"),
        ("/again", "no question has been asked yet"),
        ("/load", "/load needs an argument: /load FILE"),
        ("/load /no/such/file", "/no/such/file.json: No such file or directory"),
        ("/load a\0b", "null"),
        ("/save /no/such/directory/x", "/no/such/directory/x.json: No such file or directory"),
        ("/save /", "/ is a directory; name a file in it"),
        ("/save ~nobody-of-that-name/x", "~nobody-of-that-name"),
        ("/reset now", "/reset takes no argument, 'now' was given"),
    ],
)
def test_a_bad_command_says_what_is_wrong_and_changes_nothing(
    talk: Callable[..., str], server: StandIn, entry: str, complaint: str
) -> None:
    plain = talk("hi")
    before = server.bodies[-1]
    noted = talk(entry, "hi")
    assert complaint in noted
    assert noted.count("warning:") == plain.count("warning:") + 1
    assert server.bodies[-1] == before


def test_settings_reach_the_server_and_can_be_unset(talk: Callable[..., str], server: StandIn) -> None:
    noted = talk(
        "/use base", "/set temperature 0.7", "/set top_k 5", '/set stop ["END", "\\n"]', "/set seed -3", "/set seed",
        "/set repetition_penalty 1.1", "/set max_tokens default", "/set", "hi",
    )  # fmt: skip
    body = server.bodies[-1]
    assert body["model"] == "stand-in"
    assert (body["temperature"], body["top_k"], body["stop"], body["seed"]) == (0.7, 5, ["END", "\n"], -3)
    assert body["repetition_penalty"] == 1.1
    assert "max_tokens" not in body
    assert "seed is -3; it may be a whole number from" in noted
    assert "temperature         0.7" in noted
    talk("/set stop END", "/set stop default", "hi")
    assert "stop" not in server.bodies[-1]


def test_the_system_message_undo_again_and_reset(talk: Callable[..., str], server: StandIn) -> None:
    answer = ("assistant", "fourty two")
    noted = talk("one", "/system be kind", "/system", "two", arguments=("--system", "be brief"))
    assert "be kind\n" in noted
    assert server.last_messages == [("system", "be kind"), ("user", "one"), answer, ("user", "two")]
    noted = talk("one", "two", "/undo", "three", "/again")
    assert "taken back: two" in noted
    assert server.last_messages == [("user", "one"), answer, ("user", "three")]
    assert "the same answer: nothing was left to chance" in noted
    talk(
        "one", "/system be kind", "/reset", "two", "/system none", "/undo", "three", arguments=("--system", "be brief")
    )
    assert server.bodies[-2]["messages"][0] == {"role": "system", "content": "be brief"}
    assert server.last_messages == [("user", "three")]


def test_a_question_that_failed_can_be_asked_again_and_is_not_part_of_the_conversation(
    talk: Callable[..., str], server: StandIn
) -> None:
    server.refuse = {"message": "not now", "code": "overloaded"}
    assert "warning: not now" in talk("one", "two")
    assert server.last_messages == [("user", "two")]
    talk("one", "/again")
    assert server.last_messages == [("user", "one")]


def test_again_keeps_the_old_answer_where_no_new_one_comes(
    talk: Callable[..., str], server: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.cli import stand_in_server

    answers = iter([None, {"message": "not now", "code": "overloaded"}, None])
    real = stand_in_server._Handler.do_POST

    def post(handler: stand_in_server._Handler) -> None:
        server.refuse = next(answers)
        real(handler)

    monkeypatch.setattr(stand_in_server._Handler, "do_POST", post)
    talk("one", "/again", "two")
    assert server.last_messages == [("user", "one"), ("assistant", "fourty two"), ("user", "two")]


def test_several_lines_and_questions_that_begin_with_a_slash(talk: Callable[..., str], server: StandIn) -> None:
    talk('"""one', "two", 'three"""', " /use what?")
    assert server.bodies[-2]["messages"][-1]["content"] == "one\ntwo\nthree"
    assert server.last_messages[-1] == ("user", "/use what?")


def test_saved_conversations_go_on_where_they_were(talk: Callable[..., str], server: StandIn, tmp_path: Path) -> None:
    path = tmp_path / "talk"
    talk(f"/save {path}", "/use math_reasoning", "/system be kind", "/set top_p 0.5", "one", f"/save {path}")
    saved = path.with_suffix(".json")
    assert stat.S_IMODE(saved.stat().st_mode) == 0o600
    assert list(tmp_path.glob(".talk*")) == [], "no drafts are left"
    noted = talk(f"/load {path}", "two")
    assert "loaded 1 answers, talking to math_reasoning" in noted
    body = server.bodies[-1]
    assert (body["model"], body["top_p"]) == ("math_reasoning", 0.5)
    assert server.last_messages == [
        ("system", "be kind"), ("user", "one"), ("assistant", "fourty two"), ("user", "two"),
    ]  # fmt: skip
    document = json.loads(saved.read_text())
    assert set(document) <= {"model", "messages", "max_tokens", "temperature", "top_p"}, "a body for the HTTP API"


MESSAGES = '[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]'


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "needs an object with messages"),
        ('{"messages": [], "x": 1}', "unknown field 'x'"),
        ('{"messages": [{"role": "user"}]}', "messages must be a list of"),
        ('{"messages": [{"role": "user", "content": "a"}]}', "ends with a question"),
        ('{"messages": [{"role": "assistant", "content": "a"}]}', "expected 'user'"),
        (f'{{"messages": {MESSAGES}, "temperature": 9}}', "temperature is 9; it must be a number from 0.0 to 2.0"),
        (f'{{"messages": {MESSAGES}, "seed": true}}', "seed is true"),
        (f'{{"messages": {MESSAGES}, "model": 1}}', "model must be a text"),
        ("\udcff", "not JSON"),
    ],
)
def test_a_file_that_is_no_conversation_is_refused_and_never_overwritten(
    talk: Callable[..., str], server: StandIn, tmp_path: Path, content: str, complaint: str
) -> None:
    path = tmp_path / "x.json"
    path.write_text(content, errors="surrogateescape")
    noted = talk("one", f"/load {path}", "two", f"/save {path}")
    assert complaint in noted
    assert "is no saved conversation; choose another name" in noted
    assert server.last_messages[0] == ("user", "one")
    assert path.read_text(errors="surrogateescape") == content


def test_a_saved_model_that_is_gone_leaves_the_one_that_is_talked_to(
    talk: Callable[..., str], server: StandIn, tmp_path: Path
) -> None:
    path = tmp_path / "x.json"
    path.write_text(f'{{"messages": {MESSAGES}, "model": "gone"}}')
    noted = talk("/use math_reasoning", f"/load {path}", "two")
    assert "'gone' does not exist; did you mean 'math_reasoning'?; going on with math_reasoning" in noted
    assert server.bodies[-1]["model"] == "math_reasoning"
    assert len(server.last_messages) == 3


def test_conversations_are_logged_and_continued(talk: Callable[..., str], adaptrix: Adaptrix, server: StandIn) -> None:
    talk("one", "/set top_p 0.5", "two", "/again", "/undo", "/reset", "other", arguments=("--system", "be brief"))
    logged = json.loads(adaptrix("logs", "--json").stdout)
    assert [(entry["first_question"], entry["turns"]) for entry in logged] == [("other", 1), ("one", 1)]
    first = logged[-1]["id"]
    asked = adaptrix("query", "--url", server.url, "--continue", first, "--model", "math_reasoning", "three")
    assert asked.exit_code == 0, asked.output
    said = [("system", "be brief"), ("user", "one"), ("assistant", "fourty two"), ("user", "three")]
    assert server.last_messages == said
    assert server.bodies[-1]["model"] == "math_reasoning"
    for arguments in (("--continue", "four"), ("-c", "last", "five"), ("four", "-c")):
        assert adaptrix("query", "--url", server.url, *arguments).exit_code == 0
    assert [content for role, content in server.last_messages if role == "user"] == [
        "one", "three", "four", "five", "four",
    ]  # fmt: skip
    assert server.bodies[-1]["model"] == "math_reasoning", "what it was asked with last"
    assert "going on after 5 answers" in talk("/quit", arguments=("--continue",))
    found = json.loads(adaptrix("logs", "--search", "FIVE", "--json").stdout)
    assert [(entry["conversation"], entry["question"]) for entry in found] == [(first, "five")]
    assert "> three\nfourty two" in adaptrix("logs", first).stdout


def test_what_is_not_to_be_logged_is_not(
    adaptrix: Adaptrix, server: StandIn, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("one\n")
    for arguments in (("--no-log", "hi"), ("--file", prompts)):
        assert adaptrix("query", "--url", server.url, *arguments).exit_code == 0
    monkeypatch.setenv("ADAPTRIX_LOGS", "off")
    assert adaptrix("query", "--url", server.url, "hi").exit_code == 0
    refused = adaptrix("logs")
    assert (refused.exit_code, "switched off" in refused.output) == (2, True)
    assert adaptrix("query", "--url", server.url, "--continue", "hi").exit_code == 2
    monkeypatch.setenv("ADAPTRIX_LOGS", str(tmp_path / "logs.db"))
    assert adaptrix("logs", "--json").stdout == "[]\n"


def test_a_damaged_log_costs_a_warning_and_no_answer(
    talk: Callable[..., str], adaptrix: Adaptrix, server: StandIn, tmp_path: Path
) -> None:
    (tmp_path / "logs.db").write_bytes(b"not a database at all\n" * 100)
    noted = talk("one", "two")
    assert noted.count("is damaged") == 1
    assert len(server.bodies) == 2
    for command in (("logs",), ("query", "--url", server.url, "--continue", "hi")):
        refused = adaptrix(*command)
        assert refused.exit_code == 1
        assert "[log_unusable]" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("logs", "1", "--search", "x"), "ID or --search, not both"),
        (("logs", "--search", " "), "at least one word"),
        (("logs", "--delete"), "needs the ID"),
        (("logs", "--search", "x", "--clear"), "not both"),
        (("query", "--continue=x", "hi"), "'x' is not the number of a conversation"),
        (("query", "--continue", "1", "--file", __file__), "--continue or --file"),
        (("query", " "), "TEXT is empty"),
        (("query", "hi", "--schema", __file__), "is not JSON"),
    ],
)
def test_wrong_usage(adaptrix: Adaptrix, arguments: tuple[object, ...], complaint: str) -> None:
    done = adaptrix(*arguments)
    assert done.exit_code == 2
    assert complaint in done.output


def test_input_that_is_no_text_is_refused_without_a_traceback(adaptrix: Adaptrix, server: StandIn) -> None:
    where = ("--url", server.url)
    for command in (("query", "\udcff"), ("show", "\udcff"), ("embed", "a\udcff"), ("route", "\udcff")):
        refused = adaptrix(*command, *where)
        assert (refused.exit_code, "[not_utf8]" in refused.stderr) == (1, True), refused.output
    piped = adaptrix("query", *where, input=b"good\n\xff\xfe\n")
    assert (piped.exit_code, "[not_utf8]" in piped.stderr) == (1, True)


def test_the_first_time_it_is_said_where_answers_are_kept(adaptrix: Adaptrix, server: StandIn, tmp_path: Path) -> None:
    said = [adaptrix("query", "hi", "--url", server.url).stderr.count(str(tmp_path / "logs.db")) for _ in range(2)]
    assert said == [1, 0]


def test_deleting_asks_first(adaptrix: Adaptrix, server: StandIn) -> None:
    for question in ("one", "two", "three"):
        adaptrix("query", "--url", server.url, question)
    assert adaptrix("logs", "2", "--delete").exit_code == 0
    assert adaptrix("logs", "2").exit_code == 1
    assert adaptrix("logs", "--clear", input="n\n").exit_code == 1
    assert len(json.loads(adaptrix("logs", "--json").stdout)) == 2
    assert "deleted 2" in adaptrix("logs", "--clear", "--yes").stdout


def test_embed_prints_a_line_for_each_text(adaptrix: Adaptrix, server: StandIn, tmp_path: Path) -> None:
    where = ("--url", server.url)
    assert adaptrix("embed", "a", "bc", *where).stdout == "[1.0, 0.5]\n[2.0, 0.5]\n"
    assert adaptrix("embed", *where, input="abc\n\nd\n").stdout == "[3.0, 0.5]\n[1.0, 0.5]\n"
    file = tmp_path / "texts.txt"
    file.write_text("".join(f"{'x' * (1 + n % 3)}\n" for n in range(1200)))
    document = json.loads(adaptrix("embed", "--file", file, "--json", *where).stdout)
    assert document["model"] == "lengths"
    assert [entry["embedding"][0] for entry in document["data"]] == [1 + n % 3 for n in range(1200)]
    assert server.paths.count("/v1/embeddings") == 5
    for arguments, complaint in (
        ((" ",), "text 1 is empty"),
        ((), "nothing to embed"),
        (("a", "--file", file), "not both"),
    ):
        refused = adaptrix("embed", *arguments, *where)
        assert (refused.exit_code, complaint in refused.output) == (2, True)


def test_a_schema_goes_to_the_server(adaptrix: Adaptrix, server: StandIn, tmp_path: Path) -> None:
    schema = tmp_path / "schema.json"
    schema.write_text('{"type": "object"}')
    assert adaptrix("query", "hi", "--schema", schema, "--url", server.url).exit_code == 0
    wanted = {"name": "answer", "schema": {"type": "object"}, "strict": True}
    assert server.bodies[-1]["response_format"] == {"type": "json_schema", "json_schema": wanted}
    schema.write_text("[]")
    assert "holds a list; a JSON schema is an object" in adaptrix("query", "hi", "--schema", schema).output


def test_help_and_the_documentation_name_every_command_and_setting(talk: Callable[..., str]) -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "conversation.md").read_text()
    shown = talk("/help")
    for command in COMMANDS:
        assert command.usage in shown
        assert f"`{command.name}" in page
    for name in NAMES:
        assert f"`{name}`" in page


# No slashes: what /save writes stays in the working directory.
ARGUMENTS = st.text(st.characters(exclude_characters="/\n\r", exclude_categories=["Cs"]), max_size=30)
ENTRIES = st.tuples(st.sampled_from([c.name for c in COMMANDS if c.name not in ("/quit", "/exit")]), ARGUMENTS)
SETTINGS = st.tuples(st.just("/set"), st.builds("{} {}".format, st.sampled_from(NAMES), ARGUMENTS))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(entries=st.lists(st.one_of(ENTRIES, SETTINGS), max_size=15))
def test_no_command_ends_the_conversation_or_shows_a_traceback(
    adaptrix: Adaptrix, server: StandIn, tmp_path_factory: pytest.TempPathFactory, entries: list[tuple[str, str]]
) -> None:
    lines = "".join(f"{name} {argument}\n" for name, argument in entries)
    before = len(server.bodies)
    with contextlib.chdir(tmp_path_factory.mktemp("talk")):
        done = adaptrix("query", "--no-log", "--url", server.url, input=f"hello\n{lines}bye\n")
    assert done.exit_code == 0, done.output
    assert "Traceback" not in done.stderr
    assert server.bodies[before]["messages"][-1]["content"] == "hello"
    assert server.last_messages[-1] == ("user", "bye")
