"""What ends the program before its time: Ctrl-C, SIGTERM, and SIGHUP when its terminal goes away."""

import contextlib
import signal
from collections.abc import Iterator

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def heeded() -> list[signal.Signals]:
    """Those that are listened to: nohup starts us with SIGHUP ignored, and means it."""
    return [one for one in ENDING if one is signal.SIGINT or signal.getsignal(one) is not signal.SIG_IGN]


def heed_signals() -> None:
    """Let all of them be a KeyboardInterrupt: what was begun is ended in order, whichever it was."""
    for one in heeded():
        if signal.getsignal(one) is signal.SIG_DFL:
            signal.signal(one, signal.default_int_handler)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Inside, each is a KeyboardInterrupt at once, and an event loop around it does not hear of it."""
    before = {one: signal.signal(one, signal.default_int_handler) for one in heeded()}
    wakeup = signal.set_wakeup_fd(-1)
    try:
        yield
    finally:
        signal.set_wakeup_fd(wakeup)
        for one, handler in before.items():
            signal.signal(one, handler)
