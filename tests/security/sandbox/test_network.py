"""Code in the sandbox reaches nobody: neither by TCP, nor by UDP, nor by sockets of this machine."""

from __future__ import annotations

import secrets
import socket

import pytest

from tests.sandboxes import needs_bubblewrap
from tests.security.sandbox.hostile import value_of

pytestmark = [needs_bubblewrap, pytest.mark.usefixtures("_walls")]

REFUSED = {"EPERM", "ECONNREFUSED", "ENETUNREACH", "EADDRNOTAVAIL"}


def test_a_server_on_loopback_is_not_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        body = "return tried(lambda: socket.create_connection(('127.0.0.1', a), timeout=2) and 'connected')"
        assert value_of(body, server.getsockname()[1]) in REFUSED
        with pytest.raises(BlockingIOError):
            server.accept()


def test_no_question_leaves_for_a_name_server() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as name_server:
        name_server.bind(("127.0.0.1", 0))
        name_server.setblocking(False)
        body = """
        question = b'\\x00\\x01\\x01\\x00\\x00\\x01' + bytes(6) + b'\\x06secret\\x04test\\x00\\x00\\x01\\x00\\x01'
        return tried(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(question, ('127.0.0.1', a)))
        """
        value_of(body, name_server.getsockname()[1])  # into the sandbox's own loopback, at most
        with pytest.raises(BlockingIOError):
            name_server.recv(512)


def test_a_socket_without_a_file_is_not_reached() -> None:
    name = f"\0adaptrix-{secrets.token_hex(8)}"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(name)
        server.listen()
        server.setblocking(False)
        body = "return tried(lambda: socket.socket(socket.AF_UNIX).connect(a) or 'connected')"
        assert value_of(body, name) in REFUSED
        with pytest.raises(BlockingIOError):
            server.accept()
