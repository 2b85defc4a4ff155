"""The two READMEs say the same: same headings, same code, same links to files that exist."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?://|#|mailto:)([^)#]+)")


def text(name):
    return (ROOT / name).read_text(encoding="utf-8")


def headings(name):
    """Levels of the headings in order; the words are in two languages."""
    return [len(mark) for mark in re.findall(r"^(#+) ", FENCE.sub("", text(name)), re.MULTILINE)]


def tables(name):
    """Rows of every table, in order."""
    lines = FENCE.sub("", text(name)).splitlines()
    return [line.count("|") for line in lines if line.startswith("|")]


def test_same_structure():
    assert headings("README.md") == headings("README.zh.md")
    assert tables("README.md") == tables("README.zh.md")


def test_same_code():
    english, chinese = FENCE.findall(text("README.md")), FENCE.findall(text("README.zh.md"))
    assert len(english) >= 6
    assert english == chinese


def test_one_is_english_and_one_is_chinese():
    def chinese(name):
        return len(re.findall(r"[\u4e00-\u9fff]", text(name)))

    assert chinese("README.md") < 20
    assert chinese("README.zh.md") > 1000


def test_links_lead_somewhere():
    for name in ("README.md", "README.zh.md", "CONTRIBUTING.md", "CHANGELOG.md"):
        missing = [path for path in LINK.findall(text(name)) if not (ROOT / path).exists()]
        assert missing == [], f"{name} links to files that do not exist"
