"""The reference lists in `data/` (names and communes with their weights), as numpy arrays."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files

import numpy as np

_PARTICLES = {"de", "du", "des", "la", "le", "les", "en", "sur", "sous", "et", "aux", "lès"}


@dataclass(frozen=True)
class Reference:
    """Names in the case people write them (`Jean-Pierre`), last names in capitals without accents."""

    last_names: np.ndarray
    last_name_weights: np.ndarray
    first_names: np.ndarray
    first_name_weights: np.ndarray
    #: (is_woman, decade) -> positions in `first_names`
    first_names_of: dict[tuple[bool, int], slice]
    cities: np.ndarray
    postal_codes: np.ndarray
    commune_weights: np.ndarray


def proper_case(name: str) -> str:
    """`JEAN-PIERRE` -> `Jean-Pierre`."""
    return "-".join(part.capitalize() for part in name.split("-"))


def read_reference() -> Reference:
    from pyarrow import parquet

    def table(name: str) -> dict[str, np.ndarray]:
        with files("orchestration.samples").joinpath("data").joinpath(f"{name}.parquet").open("rb") as file:
            columns = parquet.ParquetFile(file).read()  # read_table would import pandas
        return {
            name: np.array(columns[name].to_pylist(), dtype=object)
            if str(columns.schema.field(name).type).endswith("string")
            else columns[name].to_numpy()
            for name in columns.column_names
        }

    last, first, communes = table("last_names"), table("first_names"), table("communes")
    slices: dict[tuple[bool, int], slice] = {}
    groups = first["sex"].astype(int) * 10_000 + first["decade"]  # sorted in the file
    starts = np.flatnonzero(np.diff(groups, prepend=-1))
    for start, stop in zip(starts, [*starts[1:], len(groups)], strict=True):
        slices[bool(first["sex"][start] == 2), int(first["decade"][start])] = slice(int(start), int(stop))
    return Reference(
        last_names=last["last_name"],
        last_name_weights=last["n"].astype(float),
        first_names=np.array([proper_case(name) for name in first["first_name"]], dtype=object),
        first_name_weights=first["n"].astype(float),
        first_names_of=slices,
        cities=communes["city"],
        postal_codes=communes["postal_code"],
        commune_weights=communes["n"].astype(float),
    )
