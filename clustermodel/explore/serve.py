"""Serve the explorer on the loopback address until it is interrupted."""

import contextlib
import socket
from collections.abc import Callable

import uvicorn

from clustermodel.catalog import Catalog, ConfigError
from clustermodel.explore.answer import PARTS, Answers
from clustermodel.explore.app import HOST, application
from clustermodel.explore.state import read_state

_PORTS = 65_535


def serve(catalog: Catalog, port: int, say: Callable[[str], None]) -> str:
    """Compile the chain, listen, say the address and serve; returns the address when Ctrl-C has ended it."""
    listening = listener(port)
    address = f"http://{HOST}:{listening.getsockname()[1]}/"
    say("compiling the chain once ...")
    warm(catalog)
    say(f"open {address} (Ctrl-C stops)")
    with contextlib.suppress(KeyboardInterrupt):  # which uvicorn raises again once it has stopped
        uvicorn.Server(uvicorn.Config(application(catalog), log_level="warning", lifespan="off")).run(
            [listening]
        )
    return address


def warm(catalog: Catalog) -> None:
    """Answer the first page once, so that no slider waits for a compiler."""
    state, answers = read_state(catalog, {}), Answers(catalog)
    for part in PARTS:
        getattr(answers, part)(state)


def listener(port: int) -> socket.socket:
    """A socket that listens on the loopback address: who comes before it is served waits; a sentence where none is."""
    if not 0 <= port <= _PORTS:
        raise ConfigError(f"--port {port}: write a number from 0 to {_PORTS}; 0 takes a free one")
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((HOST, port))
        listening.listen()
    except OSError as error:
        listening.close()
        raise ConfigError(f"--port {port} cannot be had ({error.strerror}); choose another, or 0") from error
    return listening
