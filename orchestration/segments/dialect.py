"""The few expressions of segment SQL that engines write differently; everything else is common SQL.

What belongs here: an expression whose text differs between DuckDB and Spark. What does not: what a rule
means.
"""

from __future__ import annotations

from orchestration.warehouse import literal

#: Draws lie in 0 .. DRAW_MODULUS - 1; a prime, so that a * draw + b permutes them.
DRAW_MODULUS = 2_147_483_647


class Dialect:
    """DuckDB's way."""

    name = "duckdb"

    def text(self, value: str) -> str:
        """A text literal."""
        return literal(value)

    def matches(self, expression: str, pattern: str) -> str:
        """True where the RE2 `pattern` is found anywhere."""
        return f"regexp_matches({expression}, {self.text(pattern)})"

    def contains(self, expression: str, part: str) -> str:
        return f"contains({expression}, {self.text(part)})"

    def json_text(self, expression: str, key: str) -> str:
        """The text under `key` of a JSON object in a string; null where there is none."""
        return f"json_extract_string({expression}, {self.text(self._path(key))})"

    def json_has(self, expression: str, element: str) -> str:
        """True where a JSON array of texts in a string holds `element`."""
        return f"list_contains(cast(cast({expression} as json) as varchar[]), {self.text(element)})"

    def json_length(self, expression: str) -> str:
        return f"json_array_length({expression})"

    def json_quoted(self, expression: str) -> str:
        """A text as a JSON text, quotes included."""
        return f"cast(to_json({expression}) as varchar)"

    def draw(self, expression: str) -> str:
        """A whole number in 0 .. DRAW_MODULUS - 1 that depends on the text only, the same for ever."""
        return f"cast('0x' || substr(md5({expression}), 1, 8) as bigint) % {DRAW_MODULUS}"

    def string_type(self) -> str:
        return "varchar"

    @staticmethod
    def _path(key: str) -> str:
        return f'$."{key}"'


class SparkDialect(Dialect):
    """Spark SQL's way."""

    name = "spark"

    def text(self, value: str) -> str:
        escaped = value.replace("\\", "\\\\").replace("'", "\\'")
        return f"'{escaped}'"

    def matches(self, expression: str, pattern: str) -> str:
        return f"regexp_like({expression}, {self.text(pattern)})"

    def json_text(self, expression: str, key: str) -> str:
        return f"get_json_object({expression}, {self.text(f'$[{key!r}]')})"

    def json_has(self, expression: str, element: str) -> str:
        return f"array_contains(from_json({expression}, 'array<string>'), {self.text(element)})"

    def json_quoted(self, expression: str) -> str:
        return f"concat('\"', replace(replace({expression}, '\\\\', '\\\\\\\\'), '\"', '\\\\\"'), '\"')"

    def draw(self, expression: str) -> str:
        return f"cast(conv(substr(md5({expression}), 1, 8), 16, 10) as bigint) % {DRAW_MODULUS}"

    def string_type(self) -> str:
        return "string"


DUCKDB = Dialect()
SPARK = SparkDialect()
