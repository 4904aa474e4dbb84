"""Where deliveries go: one function a kind, each all or nothing as far as the other side allows.

What belongs here: the choice of the destination, and folders. What does not: the other kinds (`sftp`, `bucket`,
`webhook`, `database`), and what is in the files.

Files arrive under a temporary name and get their own once they are whole; the manifest comes last. Who waits
for the manifest never reads half a delivery.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from orchestration.activation.files import WrittenFile
from orchestration.contracts.activation import Activation
from orchestration.errors import RcuError
from orchestration.settings import Workspace


class DeliveryFailed(RcuError):
    """A destination could not be reached or refused; nothing counts as delivered, and it is tried again."""


@dataclass(frozen=True)
class Parcel:
    """A prepared delivery. `tables`: action -> rows, as the files hold them; `keys`: their member keys.

    `gone`: member keys that are no longer in the list (delta). `is_whole`: the rows are the whole list.
    """

    activation: Activation
    workspace: Workspace
    version: str
    key: str
    stem: str
    files: tuple[WrittenFile, ...]
    manifest: WrittenFile
    tables: dict[str, pa.Table]
    keys: dict[str, list[str]]
    is_whole: bool

    @property
    def in_order(self) -> Sequence[WrittenFile]:
        """The files, the manifest last."""
        return (*self.files, self.manifest)


def send(parcel: Parcel) -> str:
    """Deliver; returns where to, in words without secrets. Raises DeliveryFailed."""
    deliver = parcel.activation.deliver
    if deliver.folder is not None:
        return _to_folder(parcel)
    if deliver.sftp is not None:
        from orchestration.activation.sftp import to_sftp

        return to_sftp(parcel, deliver.sftp)
    if deliver.s3 is not None:
        from orchestration.activation.bucket import to_bucket

        return to_bucket(parcel, deliver.s3)
    if deliver.webhook is not None:
        from orchestration.activation.webhook import to_webhook

        return to_webhook(parcel, deliver.webhook)
    if deliver.postgres is not None:
        from orchestration.activation.database import to_postgres

        return to_postgres(parcel, deliver.postgres)
    raise DeliveryFailed(f"{parcel.activation.activation}: no destination is declared")


def folder_of(activation: Activation, workspace: Workspace) -> Path:
    """Where a folder delivery goes."""
    declared = activation.deliver.folder
    path = Path(declared.path) if declared is not None and declared.path else Path(activation.activation)
    return path.expanduser() if path.is_absolute() else workspace.exports / path


def _to_folder(parcel: Parcel) -> str:
    declared = parcel.activation.deliver.folder
    folder = folder_of(parcel.activation, parcel.workspace)
    temporary: list[tuple[Path, Path]] = []
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o750)
        for file in parcel.in_order:
            part = folder / f".{file.name}.part"
            temporary.append((part, folder / file.name))
            shutil.copyfile(file.path, part)
            part.chmod(0o600)
            _sync(part)
        for part, target in temporary:
            part.replace(target)
        _sync(folder)
    except OSError as error:
        for part, _ in temporary:
            part.unlink(missing_ok=True)
        raise DeliveryFailed(
            f"{parcel.activation.activation}: {folder} cannot be written ({error.strerror}); nothing was put there"
        ) from None
    if declared is not None and parcel.workspace.exports in folder.parents:
        _drop_older(folder, parcel.activation.activation, declared.keep)
    return str(folder)


def _drop_older(folder: Path, name: str, keep: int) -> None:
    """Lists of people are not kept for longer than they are of use."""
    manifests = sorted(folder.glob(f"{name}-*.manifest.json"))
    for manifest in manifests[: max(0, len(manifests) - keep)]:
        stem = manifest.name.removesuffix(".manifest.json")
        for file in sorted(folder.glob(f"{stem}-*")):
            file.unlink(missing_ok=True)
        manifest.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
