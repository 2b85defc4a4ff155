"""HTML as nested calls: text is always escaped, only `Safe` strings pass as they are.

A figure stays on one line with its error and its unit.
"""

import re
from html import escape
from typing import Any


class Safe(str):
    """Markup that needs no escaping because `tag` made it."""

    __slots__ = ()


VOID = frozenset({"img", "meta", "br", "col"})


def tag(element: str, *children: Any, **attributes: Any) -> Safe:
    """An element; `class_` and `aria_label` style names become `class` and `aria-label`.

    Children are strings (escaped), `Safe` strings or None (left out); attributes that are None
    are left out.
    """
    pairs = (
        f' {key.rstrip("_").replace("_", "-")}="{escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    opening = f"<{element}{''.join(pairs)}>"
    return Safe(opening) if element in VOID else Safe(f"{opening}{join(*children)}</{element}>")


def join(*children: Any) -> Safe:
    """Children side by side."""
    return Safe(
        "".join(
            child if isinstance(child, Safe) else _text(str(child))
            for child in children
            if child is not None
        )
    )


def _text(text: str) -> str:
    return escape(text).replace(" ± ", "\u00a0±\u00a0").replace(" %", "\u00a0%")


def hidden(text: str) -> Safe:
    """Text for those who listen to the page."""
    return tag("span", text, class_="listen")


def section(title: str, *children: Any, lead: str | None = None) -> Safe:
    """A part of the page under an h2, with an opening line."""
    identifier = slug(title)
    return tag(
        "section",
        tag("h2", title, id=identifier),
        None if lead is None else tag("p", lead, class_="lead"),
        *children,
        aria_labelledby=identifier,
    )


def table(caption: str, head: list[Any], bodies: list[list[Safe]], *, class_: str = "") -> Safe:
    """A table that scrolls by itself on narrow screens; `bodies` are its groups of rows."""
    columns = [tag("th", cell, scope="col") for cell in head]
    identifier = f"table-{slug(caption)[:48]}"
    return tag(
        "div",
        tag(
            "table",
            tag("caption", tag("span", caption, id=identifier)),
            tag("thead", tag("tr", *columns)),
            *(tag("tbody", *rows) for rows in bodies if rows),
        ),
        class_=f"scroll {class_}".strip(),
        role="region",
        tabindex="0",
        aria_labelledby=identifier,
    )


def slug(text: str) -> str:
    """Letters and digits of a text as an identifier."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "part"
