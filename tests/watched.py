"""A watch that goes on in a thread, for tests."""

import threading
import time

from homerange.run.watch import watch


class Watched:
    """A watch that goes on in a thread."""

    def __init__(self, folder, package, out, **options):
        self.said, self.warned, self.error = [], [], None
        self._stop = threading.Event()
        arguments = {
            "model": package,
            "output": out,
            "stop": self._stop,
            "say": self.said.append,
            "warn": self.warned.append,
            "every_s": 0.05,
        }
        self._thread = threading.Thread(target=self._run, args=(folder, arguments | options))
        self._thread.start()

    def _run(self, folder, arguments):
        try:
            self.count = watch(folder, **arguments)
        except Exception as error:
            self.error = error

    def until(self, condition, *, within_s=60):
        end = time.monotonic() + within_s
        while not condition() and self._thread.is_alive() and time.monotonic() < end:
            time.sleep(0.02)
        assert self.error is None
        assert condition()

    def stop(self):
        self._stop.set()
        self._thread.join(60)
        assert not self._thread.is_alive()
        assert self.error is None
