"""The prose in the sources: docstrings begin with a verb, and no text uses the words of a house dialect."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.house_words import HOUSE_WORDS

ROOT = Path(__file__).parents[2]
PRODUCT = ("margin_platform", "assets", "jobs", "sensors", "resources", "spark", "bench")
SOURCES = {
    path: path.read_text(encoding="utf-8")
    for folder in PRODUCT
    for path in sorted((ROOT / folder).rglob("*.py"))
}
# What ruff's D401 lets pass, because it knows verbs only: "Whether the account is held" is no sentence.
NO_VERB = re.compile(
    r"(?:The|An?|What|Whether|Which|Who|Where|When|Why|How|One|Each|Every|All|Some|No|Nothing|Everything"
    r"|Accounts?|Positions?|Records|Rows|Events?|Dollars|Shares|Seconds|Epoch|Signed|JSON-able)\b"
)

NOUN_FIRST = re.compile(rf'^ +r?"""{NO_VERB.pattern}', re.MULTILINE)


def functions(source: str) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def is_property(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any("property" in ast.unparse(decorator) for decorator in function.decorator_list)


def comments_and_texts(source: str) -> Iterator[str]:
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT or (token.type == tokenize.STRING and " " in token.string):
            yield token.string


def test_docstrings_of_functions_begin_with_a_verb() -> None:
    nouns = [
        f"{path.relative_to(ROOT)}:{function.lineno}: {text.splitlines()[0]}"
        for path, source in SOURCES.items()
        if NOUN_FIRST.search(source)  # of a class, or of a function
        for function in functions(source)
        if (text := ast.get_docstring(function)) and not is_property(function) and NO_VERB.match(text)
    ]
    assert nouns == []


def test_comments_docstrings_and_messages_use_plain_words() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {match.group()}: {text.strip()[:80]}"
        for path, source in SOURCES.items()
        if HOUSE_WORDS.search(source)  # in a name, or in prose
        for text in comments_and_texts(source)
        if (match := HOUSE_WORDS.search(text))
    ]
    assert found == []


@pytest.mark.parametrize(
    "text", ["What is told.", "of which nobody hears", "It hands over the message.", "read anew"]
)
def test_the_words_are_found(text: str) -> None:
    assert HOUSE_WORDS.search(text)
