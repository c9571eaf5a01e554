"""Where rows come from and scores go to: paths and addresses, parsed once."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from mainline.errors import ConfigError
from pipeline.text import inert

S3 = "s3://"
OURS = ("table", "schema", "query")  # parameters that are ours; a server's own stay in its address
SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
REMEDY = "duckdb:///path/of.duckdb?table=NAME, postgresql://user@host/database?table=NAME; or ?query=SELECT…"


@dataclass(frozen=True, slots=True)
class Database:
    """`address`: the file, or what the PostgreSQL client takes. Exactly one of `table` and `query` is set."""

    kind: Literal["duckdb", "postgresql"]
    address: str
    table: str
    schema: str
    query: str
    label: str

    @property
    def relation(self) -> str:
        """What stands after FROM. A query is the caller's own SQL; names are quoted."""
        if self.query:
            return f"({self.query.rstrip().rstrip(';')}\n) AS source"  # its last line may be a comment
        return qualified(self.schema, self.table)


Place = str | Database


def quote(name: str) -> str:
    """A name as SQL takes it, whatever is in it. Raises ConfigError for one that no database takes."""
    if not name or "\0" in name:
        raise ConfigError(f"{inert(name)!r} cannot be a name in a database")
    return '"' + name.replace('"', '""') + '"'


def qualified(schema: str, table: str) -> str:
    return f"{quote(schema)}.{quote(table)}" if schema else quote(table)


def remote(text: str) -> bool:
    return text.startswith(S3)


def inside(text: str, folder: str) -> bool:
    """Whether a path or prefix is that folder, or lies in it; nothing lies in a file."""
    if remote(text) != remote(folder):
        return False
    if remote(text):
        return f"{text.rstrip('/')}/".startswith(f"{folder.rstrip('/')}/")
    target, root = Path(text).resolve(), Path(folder).resolve()
    return target == root or (root.is_dir() and target.is_relative_to(root))


def hidden(name: str) -> bool:
    """Files that start with . or _ are no data, nor is what lies in such a folder."""
    return any(part.startswith((".", "_")) for part in name.split("/"))


def parse(text: str) -> Place:
    """A path or s3:// prefix as it is, or a database's table. Raises ConfigError."""
    kind = re.match(r"(duckdb|postgresql|postgres):", text)
    if kind is None:
        if not text or (SCHEME.match(text) and not re.match(f"{S3}[^/]", text)):
            raise ConfigError(f"{_shown(text)!r} is no place that can be read or written", remedy=REMEDY)
        return text
    try:
        parts = urlsplit(text)
        given = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError:
        raise ConfigError("a database's address cannot be parsed", remedy=REMEDY) from None
    ours = {name: value for name, value in given if name in OURS}
    if bool(ours.get("table")) == bool(ours.get("query")):
        raise ConfigError("a database's address needs a table or a query", remedy=REMEDY)
    rest = urlencode([(name, value) for name, value in given if name not in OURS])
    table, schema, query = (ours.get(name, "") for name in OURS)
    if kind[1] == "duckdb":
        file = unquote(parts.netloc + parts.path)
        if not file or rest:
            raise ConfigError(f"{_shown(text)!r} names no DuckDB file", remedy=REMEDY)
        return Database("duckdb", file, table, schema, query, _label("duckdb", file, table, schema, query))
    address = urlunsplit(("postgresql", parts.netloc, parts.path, rest, ""))
    where = f"{parts.hostname or ''}{parts.path}"  # no user, no password
    return Database("postgresql", address, table, schema, query, _label("pg", where, table, schema, query))


def _shown(text: str) -> str:
    """Scheme and host of an address, for a message: anything else of it may be of a password."""
    try:
        parts = urlsplit(text)
        rest = f"{parts.path}{parts.query}{parts.fragment}"
        host = "" if "@" in rest else parts.hostname or ""
    except ValueError:
        host = ""
    scheme = SCHEME.match(text)
    return inert(f"{scheme[1].lower()}://{host}" if scheme else "", 200)


def _label(kind: str, where: str, table: str, schema: str, query: str) -> str:
    """By which runs know a source again."""
    what = (
        ".".join(filter(None, (schema, table))) or f"query {hashlib.sha256(query.encode()).hexdigest()[:12]}"
    )
    return f"{kind} {where} {what}"
