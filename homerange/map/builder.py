"""The thread that makes the packages, one at a time, by the very function of ``homerange get``."""

import logging
import threading
import time
import traceback

from homerange import __version__
from homerange.errors import HomerangeError
from homerange.map.builds import Build, Builds, Task
from homerange.map.order import Order
from homerange.map.problems import INTERNAL, Problem
from homerange.specialize.specialize import specialize
from homerange.world.world import World

__all__ = ["Builder"]

LOG = logging.getLogger(__name__)
REST_S = 1.0
"""After a mistake in the queue itself, for example a full disk."""


class Builder:
    """Makes what is ordered from one world; use it in a ``with`` block."""

    def __init__(self, world: World, builds: Builds) -> None:
        """Take a world and a queue; the thread begins with the ``with`` block."""
        self.world = world
        self.builds = builds
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="builder", daemon=True)

    @staticmethod
    def origin(world: World) -> str:
        """Name what packages are cut from: the world and this version of homerange."""
        return f"{world.sha256} {__version__}"

    @property
    def alive(self) -> bool:
        """Whether what is ordered will be made."""
        return self._thread.is_alive()

    def __enter__(self) -> "Builder":
        """Begin, with what an earlier server left over."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Finish the package at hand and stop."""
        self._stop.set()
        self._wake.set()
        self._thread.join()

    def order(self, order: Order) -> Build:
        """Order a package, or find it where the same was ordered before.

        Raises:
            QueueFull: If it is new and too many wait.
        """
        build = self.builds.submit(
            order.identity(self.world),
            origin=self.origin(self.world),
            name=order.package_name(self.world),
            wish=order.to_text(),
        )
        self._wake.set()
        return build

    def _run(self) -> None:
        while not self._stop.is_set():
            self._wake.clear()
            try:
                while not self._stop.is_set() and (task := self.builds.take()):
                    self._make(task)
            except Exception as error:
                LOG.error("the queue of builds cannot be used: %s", type(error).__name__)
                self._stop.wait(REST_S)
                continue
            self._wake.wait()

    def _make(self, task: Task) -> None:
        """Make one package; whatever goes wrong is the end of this build only."""
        start = time.perf_counter()
        try:
            order = Order.from_text(task.wish)
            specialize(
                self.world,
                order.place,
                task.path,
                name=task.name,
                include=order.include,
                exclude=order.exclude,
                experts=order.experts,
                on_progress=lambda share: self.builds.report(task.id, share),
            )
        except HomerangeError as error:
            problem = Problem.of(error, private=(self.world.path, task.path.parent))
            self.builds.fail(task.id, problem.error)
            LOG.info("build %s failed: %s", task.id, problem.code)
        except Exception as error:
            # Where, but not what: the message may hold the place.
            where = "".join(traceback.format_tb(error.__traceback__))
            LOG.error("build %s failed: %s\n%s", task.id, type(error).__name__, where)
            self.builds.fail(task.id, INTERNAL.error)
        else:
            self.builds.finish(task.id)
            LOG.info("build %s done in %.2f s", task.id, time.perf_counter() - start)
