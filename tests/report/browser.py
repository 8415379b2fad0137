"""Headless Chromium, driven over its DevTools pipe (https://chromedevtools.github.io/devtools-protocol)."""

import json
import os
import select
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

CHROMIUM = "chromium"
PATIENCE = 60
"""Seconds that Chromium may be silent while it owes an answer: a busy machine starts it slowly."""

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
    "--remote-debugging-pipe",
)


def find_obstacle() -> str:
    """Why there is no browser here, or nothing. In continuous integration it has to be there."""
    if shutil.which(CHROMIUM) is None and not os.environ.get("CI"):
        return f"{CHROMIUM} is missing: `scripts/setup --tests` installs it where there is a package of it"
    return ""


class Browser:
    """One running Chromium with one page, which keeps what it complained of and asked for."""

    def __init__(self, profile: Path) -> None:
        their_in, self._out = os.pipe()
        self._in, their_out = os.pipe()
        # Chromium reads commands from its descriptor 3 and answers on 4, whatever ours are called.
        renamed = ["bash", "-c", f'exec "$@" 3<&{their_in} 4>&{their_out}', "browser"]
        self._process = subprocess.Popen(
            [*renamed, CHROMIUM, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            pass_fds=(their_in, their_out),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"HOME": str(profile)},
            start_new_session=True,
        )
        os.close(their_in)
        os.close(their_out)
        self._unread = b""
        self._number = 0
        self._session = ""
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError, AssertionError):
            self._session = ""
            self.call("Browser.close")
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        os.close(self._in)
        os.close(self._out)

    def call(self, method: str, **parameters: Any) -> Any:
        """Run one command and give its result; events that come meanwhile are kept."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._unread:
            readable, _, _ = select.select([self._in], [], [], PATIENCE)
            assert readable, "Chromium says nothing any more"
            piece = os.read(self._in, 1 << 20)
            assert piece, "Chromium has ended"
            self._unread += piece
        text, _, self._unread = self._unread.partition(b"\0")
        answer: dict[str, Any] = json.loads(text)
        if "method" in answer:
            self.events.append(answer)
        return answer

    def open(self, page: Path) -> None:
        """Load a file and wait until it stands; what was complained of before is forgotten."""
        self.events.clear()
        self.call("Page.navigate", url=page.as_uri())
        while not any(one["method"] == "Page.loadEventFired" for one in self.events):
            self._read()

    def complaints(self) -> list[str]:
        """Errors and warnings of the page, from its console, its policy and its script."""
        self.run("0")  # what was said before this answer has arrived, too
        found = {"Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled"}
        return [json.dumps(one["params"]) for one in self.events if one["method"] in found]

    def requests(self) -> list[str]:
        """The schemes of all that was asked for."""
        urls = [one for one in self.events if one["method"] == "Network.requestWillBeSent"]
        return [one["params"]["request"]["url"].partition(":")[0] for one in urls]

    def run(self, script: str) -> Any:
        """The value of an expression, or of the promise that it is."""
        result = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def press(self, key: str, text: str = "") -> None:
        """A key goes down and up."""
        codes = {"Tab": 9, "Enter": 13, " ": 32}
        named = {"key": key, "windowsVirtualKeyCode": codes[key]}
        self.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **named)
        self.call("Input.dispatchKeyEvent", type="keyUp", **named)

    def show(self, *, width: int = 1280, height: int = 900, scheme: str = "light", media: str = "") -> None:
        """How the page is looked at."""
        mobile = width < 600
        self.call(
            "Emulation.setDeviceMetricsOverride",
            **{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile},
        )
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", media=media, features=features)
