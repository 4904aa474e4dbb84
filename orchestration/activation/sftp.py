"""Deliveries to a folder of an SFTP server, whose key must be the declared one."""

from __future__ import annotations

import base64
import binascii
import io
import socket

import paramiko  # type: ignore[import-untyped]

from orchestration.activation.destinations import DeliveryFailed, Parcel
from orchestration.contracts.activation import Sftp
from orchestration.settings import resolve_secret

_KEY_KINDS: tuple[type[paramiko.PKey], ...] = (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey)


def to_sftp(parcel: Parcel, declared: Sftp) -> str:
    """Put every file under a temporary name, then give each its own, the manifest last."""
    name = parcel.activation.activation
    place = f"sftp://{declared.host}:{declared.port}/{declared.path}"
    secret = resolve_secret(declared.password or declared.key or "", parcel.workspace)
    wanted = _public_key(declared.host_key)
    try:
        channel = socket.create_connection((declared.host, declared.port), timeout=declared.timeout_seconds)
    except OSError as error:
        raise DeliveryFailed(f"{name}: {place} cannot be reached ({error.strerror or 'timed out'})") from None
    transport = paramiko.Transport(channel)
    transport.banner_timeout = transport.auth_timeout = transport.handshake_timeout = declared.timeout_seconds
    # Asked for its declared kind of key, a server that has several shows the one we know.
    transport.get_security_options().key_types = _algorithms(wanted[0], transport.get_security_options().key_types)
    try:
        transport.start_client(timeout=declared.timeout_seconds)
        shown = transport.get_remote_server_key()
        if (shown.get_name(), shown.asbytes()) != wanted:
            raise DeliveryFailed(
                f"{name}: {declared.host} shows another key than host_key; nothing was sent: ask its owner before "
                "changing the declaration"
            )
        if declared.password is not None:
            transport.auth_password(declared.user, secret)
        else:
            transport.auth_publickey(declared.user, _private_key(secret))
        client = paramiko.SFTPClient.from_transport(transport)
        if client is None:
            raise DeliveryFailed(f"{name}: {place} offers no SFTP")
        client.get_channel().settimeout(declared.timeout_seconds)
        _put_all(parcel, client, declared.path)
    except (paramiko.SSHException, OSError, EOFError) as error:
        told = "it refused the login" if isinstance(error, paramiko.AuthenticationException) else type(error).__name__
        detail = f": {error.strerror}" if isinstance(error, OSError) and error.strerror else ""
        raise DeliveryFailed(f"{name}: {place} did not take the delivery ({told}{detail}); it is sent again") from None
    finally:
        transport.close()
    return place


def _put_all(parcel: Parcel, client: paramiko.SFTPClient, path: str) -> None:
    client.chdir(path)
    sent: list[str] = []
    try:
        for file in parcel.in_order:
            part = f".{file.name}.part"
            sent.append(part)
            client.put(str(file.path), part, confirm=True)
        for file in parcel.in_order:
            _rename(client, f".{file.name}.part", file.name)
            sent.remove(f".{file.name}.part")
    except (OSError, paramiko.SSHException, EOFError):
        for part in sent:
            try:
                client.remove(part)
            except (OSError, paramiko.SSHException, EOFError):
                break  # the connection is gone: the next attempt writes over what it left
        raise


def _rename(client: paramiko.SFTPClient, old: str, new: str) -> None:
    try:
        client.posix_rename(old, new)
    except OSError:
        # A server without the extension refuses to write over a file: only a repeated delivery meets one.
        try:
            client.remove(new)
        except FileNotFoundError:
            pass
        client.rename(old, new)


def _public_key(text: str) -> tuple[str, bytes]:
    kind, encoded = text.split()[:2]
    try:
        return kind, base64.b64decode(encoded, validate=True)
    except binascii.Error:
        raise DeliveryFailed(
            "host_key is no public key; copy the line of `ssh-keyscan` after the host's name"
        ) from None


def _algorithms(kind: str, offered: tuple[str, ...]) -> tuple[str, ...]:
    own = tuple(one for one in offered if one == kind or (kind == "ssh-rsa" and one.startswith("rsa-sha2-")))
    return own or offered


def _private_key(text: str) -> paramiko.PKey:
    for kind in _KEY_KINDS:
        try:
            return kind.from_private_key(io.StringIO(text))
        except (paramiko.SSHException, ValueError):
            continue
    raise DeliveryFailed("the private key cannot be read; give one without passphrase, in OpenSSH's format")
