"""A prompt as a file, whatever is in it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from enprompta.cli.prompts_as_code import frontmatter
from enprompta.cli.prompts_as_code.document import Document, DocumentError, of_prompt, parse, render, with_identity
from enprompta.models import Prompt, PromptVariable

HOSTILE = [
    "", "\n", "\r", "\r\n", "\n\n\n", " ", "\t", "a\rb", "a\r\nb\n", "---", "---\n", "---\n---\n", "\n---\n",
    "--- \r\n",
    "\ufeff", "\ufeff---\nid: x\n---\n", "trailing  \n \n\t", "no end", "😀 ❤️ 👩‍👩‍👧", "\x01\x02\x1b[31m\x7f\x85\xa0",
    "\u2028\u2029\ufffe", "id: pmt_other\n---\nx", "{{ topic }} {{", "yes", "null", "12:30", "08", "1e5", "~",
    "# no comment",
    "- a", "a: b", "'", '"', "\\", "%YAML 1.2", "...", "&a *a", "!!python/object:os.system", "| \n  x", "@", "`",
]  # fmt: skip
texts = st.one_of(st.sampled_from(HOSTILE), st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
floats = st.floats(allow_nan=False, allow_infinity=False)
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(allow_nan=False, allow_infinity=False), texts
)
variables = st.builds(
    PromptVariable, name=texts, type=texts | st.none(), required=st.booleans() | st.none(), default=scalars,
    description=texts | st.none(), options=st.lists(scalars, max_size=3),
)  # fmt: skip
prompts = st.builds(
    Prompt, id=texts.filter(bool), title=texts, content=texts, description=texts | st.none(),
    category=texts | st.none(), tags=st.lists(texts, max_size=3), variables=st.lists(variables, max_size=3),
    visibility=texts.filter(bool) | st.none(),
    version=st.integers(0) | st.none(), team_id=texts | st.none(),
)  # fmt: skip


def document(content: str = "Hello", **fields: Any) -> Document:
    """Read a small file."""
    lines = "".join(f"{name}: {value}\n" for name, value in {"title": "T", **fields}.items())
    return parse(f"---\n{lines}---\n{content}\n", "a.prompt.md")


@settings(max_examples=200, deadline=None)
@given(prompts)
@example(Prompt(id="p", title="08", content="", tags=["yes", "1e5", "0x1f", "1_000", "2024-01-17"]))
def test_every_prompt_survives_its_file(prompt: Prompt) -> None:
    """A rendered document parses to the same document, byte for byte, and renders the same again."""
    there = of_prompt(prompt)
    text = render(there)
    here = parse(text.encode().decode(), "x")
    assert here == there
    assert here.digest() == there.digest()
    assert here.differs_from(there) == []
    assert render(here) == text
    assert text.encode().endswith(prompt.content.encode() + b"\n")


@settings(max_examples=100, deadline=None)
@given(prompts, texts.filter(bool), st.integers(0))
def test_an_identity_is_written_into_any_file(prompt: Prompt, prompt_id: str, version: int) -> None:
    """A new id and version change nothing else."""
    before = parse(render(of_prompt(prompt)), "x")
    after = parse(with_identity(before, prompt_id, version), "x")
    assert (after.id, after.version, after.fields) == (prompt_id, version, before.fields)


@pytest.mark.parametrize("content", HOSTILE)
def test_the_text_begins_after_the_second_line_of_dashes(content: str) -> None:
    """Whatever it is, and whatever it looks like."""
    assert document(content).fields["content"] == content


def test_an_identity_leaves_comments_and_style_alone() -> None:
    """The author's formatting is kept: comments, quotes, line endings, a byte order mark."""
    text = "\ufeff---\r\n# ours\r\ntitle: 'T' # short\r\ntags: [a, b]\r\n---\r\nHello\r\n"
    here = parse(text, "x")
    assert here.fields["content"] == "Hello\r"
    once = with_identity(here, "pmt_1", 1)
    assert once == text.replace("---\r\n#", "---\r\nid: pmt_1\r\n#").replace("b]\r\n", "b]\r\nversion: 1\r\n")
    assert with_identity(parse(once, "x"), "pmt_1", 2) == once.replace("version: 1", "version: 2")


def test_an_identity_is_written_into_unusual_yaml() -> None:
    """If a line cannot be edited in place, the front matter is rewritten."""
    here = parse("---\n{title: T, tags: [a]}\n---\nHello\n", "x")
    assert with_identity(here, "pmt_1", 1) == "---\nid: pmt_1\ntitle: T\ntags:\n  - a\nversion: 1\n---\nHello\n"


def test_an_identity_that_spans_two_lines() -> None:
    """If editing a line would change its meaning, the front matter is rewritten."""
    here = parse("---\nid: pmt_1\n  more\ntitle: T\n---\nHello\n", "x")
    assert here.id == "pmt_1 more"
    assert with_identity(here, "pmt_2", 1) == "---\nid: pmt_2\ntitle: T\nversion: 1\n---\nHello\n"


def test_an_identity_without_a_version_leaves_the_old_one() -> None:
    """If the service does not report a version, the file keeps its version."""
    here = parse("---\nid: pmt_1\ntitle: T\nversion: 3\n---\nHello\n", "x")
    assert with_identity(here, "pmt_2", None) == "---\nid: pmt_2\ntitle: T\nversion: 3\n---\nHello\n"


def test_an_identity_of_what_was_never_a_file() -> None:
    """It is written as a new file is."""
    there = of_prompt(Prompt(id="pmt_1", title="T", content="Hello"))
    assert with_identity(there, "pmt_2", 1) == "---\nid: pmt_2\ntitle: T\nversion: 1\n---\nHello\n"


def test_yaml_means_what_people_mean() -> None:
    """Words, times and dates are text; `true`, digits and `null` are what they look like."""
    text = "a: yes\nb: 12:30\nc: 2024-01-17\nd: 010\ne: true\nf: 1.5\ng:\nh: 1e3\ni: 0x10\nj: 1_000\nk: =\nl: <<\n"
    read = {"a": "yes", "b": "12:30", "c": "2024-01-17", "d": 10, "e": True, "f": 1.5, "g": None, "h": 1000.0}
    assert frontmatter.load(text) == {**read, "i": "0x10", "j": "1_000", "k": "=", "l": "<<"}


def test_lines_are_written_as_lines() -> None:
    """A description of several lines is readable in a review."""
    assert frontmatter.dump({"description": "One.\n  Two.\n"}) == "description: |\n  One.\n    Two.\n"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("Hello", "must start with front matter"),
        ("---\ntitle: T\nHello", "must start with front matter"),
        ("---\n---\n", "must be `name: value` lines"),
        ("---\n- a\n---\n", "must be `name: value` lines"),
        ("---\ntitle: T\ntitel: T\n---\n", r"unknown field 'titel': use id, title,"),
        ("---\ntitle: T\ntitle: U\n---\n", r"line 3: 'title' is given twice"),
        ("---\ntitle: [\n---\n", r"line 3: "),
        ("---\ntitle: !!python/name:os\n---\n", r"line 2: tags such as"),
        ("---\ntitle: \x01\n---\n", "control characters|special characters"),
        ("---\ntags: [a]\n---\n", "title is missing"),
        ("---\ntitle: 404\n---\n", "title must be text; put it in quotes"),
        ("---\ntitle: T\nversion: yes\n---\n", "version must be a whole number"),
        ("---\ntitle: T\nversion: true\n---\n", "version must be a whole number"),
        ("---\ntitle: T\ntags: a\n---\n", "tags must be a list of texts"),
        ("---\ntitle: T\ntags: [1]\n---\n", "tags must be a list of texts"),
        ("---\ntitle: T\nvariables: {}\n---\n", None),
        ("---\ntitle: T\nvariables: {a: b}\n---\n", "variables must be a list"),
        ("---\ntitle: T\nvariables: [a]\n---\n", "must have a name"),
        ("---\ntitle: T\nvariables: [{type: text}]\n---\n", "must have a name"),
    ],
)
def test_what_is_no_prompt_is_refused(text: str, problem: str | None) -> None:
    """The error names the file, where there is a line the line, and what is wrong."""
    if problem is None:
        assert parse(text, "a.prompt.md").fields["title"] == "T"
        return
    with pytest.raises(DocumentError, match=problem) as caught:
        parse(text, "a.prompt.md")
    assert str(caught.value).startswith("a.prompt.md")


def test_what_the_service_chooses_is_no_difference() -> None:
    """A file that leaves out a variable's type, its visibility or all variables matches the service's values."""
    there = parse(
        "---\ntitle: T\nvisibility: TEAM\nvariables: [{name: a, type: text, required: true}]\n---\nHi {{a}}\n", "x"
    )
    for declared in (
        "",
        "variables: [{name: a}]\n",
        "variables: [{name: a, required: true, default: null, options: []}]\n",
    ):
        assert parse(f"---\ntitle: T\n{declared}---\nHi {{{{a}}}}\n", "x").differs_from(there) == []
    for declared in (
        "variables: []\n",
        "variables: [{name: b}]\n",
        "variables: [{name: a, default: 1}]\n",
        "tags: [a]\n",
    ):
        assert len(parse(f"---\ntitle: T\n{declared}---\nHi {{{{a}}}}\n", "x").differs_from(there)) == 1


def test_a_whole_float_equals_an_integer() -> None:
    """1.0 is 1, but true is not 1."""
    one, whole, true = (document(variables=f"[{{name: a, default: {value}}}]") for value in ("1", "1.0", "true"))
    assert one.digest() == whole.digest() != true.digest()
    assert one.differs_from(whole) == []
    assert one.differs_from(true) == ["variables"]
