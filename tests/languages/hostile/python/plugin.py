"""Misbehaves as the payload says: {"do": "spin"}."""

import os
import random
import socket
import sys
import time

from relay_sdk import Event, Message, drop, keep, log, secrets

COUNT = {"calls": 0}


def transform(event: Event):
    COUNT["calls"] += 1
    return DEEDS[event.get("/do")](event)


def spin(event: Event):
    while True:
        pass


def sleep(event: Event):
    time.sleep(3600)


def eat_memory(event: Event):
    eaten = []
    while True:
        eaten.append(bytearray(1 << 20))


def eat_and_hide(event: Event):
    try:
        eat_memory(event)
    except MemoryError:
        return drop("hidden")


def recurse(event: Event):
    return recurse(event)


def recurse_deeper(event: Event):
    sys.setrecursionlimit(1 << 30)
    return nested(event)


def nested(event: Event):
    # Through C, so that the stack is used up before any count is.
    return max([event], key=nested)


def exit_softly(event: Event):
    sys.exit(3)


def exit_hard(event: Event):
    os._exit(3)


def abort(event: Event):
    os.abort()


def raise_error(event: Event):
    raise ValueError("the payload is not to my taste")


def raise_base(event: Event):
    raise KeyboardInterrupt


def raise_odd(event: Event):
    class Odd(Exception):
        def __str__(self):
            raise RuntimeError("not even a text")

    raise Odd


def print_flood(event: Event):
    while True:
        print("again " * 100)


def print_some(event: Event):
    print("to stdout", end="")
    print("to stderr", file=sys.stderr)
    return keep()


def flood_log(event: Event):
    while True:
        log.info("again")


def log_secret(event: Event):
    raise ValueError(f"the secret is {secrets.get('token')}")


def remember(event: Event):
    return drop(f"calls={COUNT['calls']}")


def lose_memory(event: Event):
    # What goes over as bytes is lost to the runtime, each time.
    return Message.bytes(event.bytes() + b"x" * 200_000)


def late_import(event: Event):
    import decimal

    return drop(str(decimal.Decimal(1)))


def read_files(event: Event):
    found = []
    for path in ("/etc/passwd", "/1/plugin.py", "/python/os.py", "."):
        try:
            found.append(str(len(os.listdir(path) if path == "." else open(path).read())))
        except OSError as error:
            found.append(type(error).__name__)
    return drop(" ".join(found) + f" {dict(os.environ)}")


def open_socket(event: Event):
    return drop(str(socket.create_connection(("127.0.0.1", 80))))


DEEDS = {
    "nothing": lambda event: keep(),
    "spin": spin,
    "sleep": sleep,
    "eat-memory": eat_memory,
    "eat-and-hide": eat_and_hide,
    "recurse": recurse,
    "recurse-deeper": recurse_deeper,
    "exit": exit_softly,
    "exit-hard": exit_hard,
    "abort": abort,
    "raise": raise_error,
    "raise-base": raise_base,
    "raise-odd": raise_odd,
    "print-flood": print_flood,
    "print-some": print_some,
    "flood-log": flood_log,
    "log-secret": log_secret,
    "huge-output": lambda event: Message.text("x" * (1200 << 10)),
    "huge-drop": lambda event: drop("x" * (3 << 20)),
    "many-messages": lambda event: [Message.same()] * 101,
    "half-character": lambda event: Message.text("\ud800"),
    "half-reason": lambda event: drop("\ud800"),
    "wrong-type": lambda event: Message.same().set_header("x-a", 7),
    "wrong-answer": lambda event: 7,
    "deep-json": lambda event: Message.text("[" * 100_000),
    "remember": remember,
    "random": lambda event: drop(str(random.random())),
    "lose-memory": lose_memory,
    "late-import": late_import,
    "read-files": read_files,
    "open-socket": open_socket,
}
