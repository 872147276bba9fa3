"""The daemon's life: start, reload, stop. Everything that is not per packet.

Order of a start: what may be refused comes first (configuration, policy, queues, files, addresses), then the kernel's
table, then the packet loops. Order of a reload: register, kernel, classifiers, so that a class's chains exist before
its number is handed out. The end leaves the table in place: named flows stay under policy (but see ``stopped``).
"""

from __future__ import annotations

import faulthandler
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import CancelledError
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from citygate import config, events, flows, metrics, systemd, watch, watchdog
from citygate.config import Config
from citygate.control import Answer, Command, Control, Refused
from citygate.datapath.batch import LATENCY_SECONDS, Queue, Worker
from citygate.datapath.classifier import Classifier
from citygate.datapath.endpoints import Shared
from citygate.enforcer import Enforcer
from citygate.inforce import InForce
from citygate.kernel import Changes, KernelError, queue_stats
from citygate.mailbox import Letter, Mailbox
from citygate.policy.problem import PolicyError, Problem
from citygate.register import Register, RegisterError
from citygate.rehearsal import Rehearsal
from citygate.status import Facts, Status
from citygate.tracked import tracked
from citygate.web import front, overview
from citygate.web.answer import Page
from citygate.web.server import Server
from citygate.web.work import Work

FLOWS = 65536  # places in each queue's flow table, which holds only flows not yet named
K = TypeVar("K")
T = TypeVar("T")

log = logging.getLogger(__name__)

GUARD_SECONDS = 0.25  # between two looks after the table, at least
CLOCK_SECONDS = 1.0  # between two looks at the clock, at most: it may be set
CLOCK_SET_BACK = timedelta(seconds=2)
TORN_SECONDS = 1.0  # between two attempts to make the table again
SCRAPE_REST, OVERVIEW_REST = 0.5, 2.0  # so each kind of page takes two thirds or a third of one core at most
TAKE_SECONDS = 2.0  # that a packet loop may need to take new names: it looks every 0.2 s


def run(config_file: Path) -> int:
    """Filter until SIGTERM or SIGINT. Gives the exit status: 0 after a clean stop, else 1 and the reason is logged."""
    systemd.start_logging()
    faulthandler.enable()  # a crash, and the watchdog's SIGABRT, leave every thread's place in the log
    try:
        with ExitStack() as ending:
            mailbox = ending.enter_context(Mailbox())
            return Daemon(config.load(config_file), mailbox, ending).serve()
    except PolicyError as error:  # of the configuration or the policy
        for problem in error.problems:
            log.error("%s", problem)
    except (KernelError, RegisterError, OSError) as error:
        log.error("citygate cannot run: %s", error)
    return 1


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a reload."""

    revision: str  # of the policy now in force
    refused: str = ""  # why, when it is the one from before
    problems: tuple[Problem, ...] = ()


class Daemon:
    """A running citygate. What it opens is closed by ``ending``, last opened first."""

    def __init__(self, settings: Config, mailbox: Mailbox, ending: ExitStack) -> None:
        """Everything that may be refused, before anything is changed but the register."""
        self._settings = settings
        self._mailbox = mailbox
        self._ending = ending
        self._seen = watch.fingerprint(settings.policies)
        self._register = Register(settings.state / "register.jsonl")
        ending.callback(self._register.close)
        self._enforcer = Enforcer(settings.policies, self._register, settings.queues.numbers)
        ending.callback(self._enforcer.close)
        self._rehearsal = Rehearsal(
            self._enforcer, settings.policies, self._on_main_thread, lambda: mailbox.put(Letter.CHANGED)
        )
        ending.callback(self._rehearsal.release)
        self._ended: InForce | None = None  # the policy in force whose moment is over, by the clock's thread
        self._reloads = metrics.Reloads()
        self._open_queues()
        self._events = events.EventLog(
            settings.events,
            [classifier.take_named for classifier in self._classifiers],
            lambda: self._enforcer.in_force,
        )
        self._sources = self._make_sources()
        # Who looks at the status page holds up no scrape.
        self._scrapes, self._overviews = Work(rest=SCRAPE_REST), Work(rest=OVERVIEW_REST)
        self._web = self._open_web()
        self._control = self._open_control()

    def serve(self) -> int:
        """Start, tell that it is ready, and do what the letters say until the end."""
        adopted = self._enforcer.start()
        self._applied()
        self._start_threads(adopted)
        where = f"{'adopted' if adopted else 'new'} table, {self._enforcer.step} queue step"
        log.info("ready: %s, %s, metrics %s", self._policy(), where, f"on {self._web.listens}" if self._web else "off")
        self._tell_ready()
        acts: dict[Letter, Callable[[], object]] = {
            Letter.HANGUP: self._hang_up,
            Letter.CHANGED: self._changed,
            Letter.REMOVED: self._restore,
            Letter.TIME: self._turn,
            Letter.ERRAND: self._mailbox.run_errands,
        }
        while act := acts.get(letter := self._mailbox.get()):
            act()
        systemd.notify("STOPPING=1")
        removed = self._settings.on_stop == "remove" and systemd.is_manager_there()
        unless = " unless the service is stopped for good" if removed else ""
        log.info("stopping (%s): the table stays in place%s", letter.name.lower(), unless)
        return 1 if letter is Letter.FAILED else 0

    def _hang_up(self) -> None:
        self._events.reopen()
        self._changed()

    def _changed(self) -> None:
        """Not while somebody writes files that belong together: a letter comes when that is over."""
        if not self._rehearsal.held:
            self._reload()

    def _reload(self) -> Outcome:
        systemd.notify("RELOADING=1")
        self._rehearsal.release()
        naming = self._enforcer.in_force.naming
        try:
            self._enforcer.reload()
        except PolicyError as error:
            for problem in error.problems:
                log.error("%s", problem)
            self._refused(f"the new one's problems: {len(error.problems)}", error.problems)
        except (KernelError, RegisterError, OSError) as error:
            self._refused(str(error))
        else:
            # All at once, then each is waited for: "reloaded" is to be true. A loop that died has ended the daemon.
            new = self._enforcer.in_force.naming
            if new is not naming:
                for taken in [worker.use(new) for worker in self._workers]:
                    taken.wait(TAKE_SECONDS)
            self._applied()
            log.info("reloaded: %s", self._policy())
        self._tell_ready()
        revision, refusal = self._enforcer.in_force.policy.revision, self._reloads.refusal
        return Outcome(revision, refusal.why, refusal.problems) if refusal else Outcome(revision)

    def _restore(self) -> None:
        """Make the table and the queue rule again, from the policy in force. Conntrack has kept the flows' names."""
        try:
            if not self._enforcer.restore():  # told twice of one thing
                return
        except (KernelError, OSError) as error:
            self._refused(f"somebody removed the table, and it cannot be made again: {error}")
            return
        self._reloads.results["restored"] += 1
        log.warning("somebody removed the table or its queue rule: made again, %s", self._policy())
        refusal = self._reloads.refusal
        if refusal and not refusal.problems:  # it was the table that was in the way
            self._changed()

    def _turn(self) -> None:
        """Time windows and licences as of now."""
        if self._ended is not self._enforcer.in_force:  # told twice of one thing, or an edit came between
            return
        try:
            zones = self._enforcer.turn()
        except (KernelError, RegisterError, OSError) as error:
            log.error("what the time changed cannot be put in force, it is tried again: %s", error)
            return
        self._reloads.results["timed"] += 1
        log.info("by the time of day, rules or licences changed in zones: %d; %s", zones, self._policy())

    def _applied(self) -> None:
        self._reloads.results["applied"] += 1
        self._reloads.last_time = time.time()
        self._reloads.refusal = None

    def _refused(self, why: str, problems: tuple[Problem, ...] = ()) -> None:
        self._reloads.results["refused"] += 1
        self._reloads.refusal = metrics.Refusal(time.time(), why, problems)
        log.error("reload refused, policy %s stays in force: %s", self._enforcer.in_force.policy.revision, why)

    def _policy(self) -> str:
        policy, zones = self._enforcer.in_force.policy, len(self._enforcer.in_force.table.zones)
        return f"policy {policy.revision}, regions: {len(policy.regions)}, zones: {zones}"

    def _tell_ready(self) -> None:
        refusal, words = self._reloads.refusal, ""
        if refusal:
            first, *more = refusal.problems or (refusal.why,)
            words = f"; the last reload was refused: {first}" + (f" (problems: {1 + len(more)})" if more else "")
        systemd.notify(f"READY=1\nSTATUS={systemd.brief(self._policy() + words)}")

    def _open_queues(self) -> None:
        self._classifiers: list[Classifier] = []
        self._workers: list[Worker] = []
        endpoints = Shared()
        length = self._settings.queues.length
        self._flows = max(FLOWS, 2 * length)  # a named flow stays until all that waited behind it has passed
        for number in self._settings.queues.numbers:
            try:
                opened = Queue(number, length)
            except OSError as error:
                hint = "is another program bound to it, or CAP_NET_ADMIN missing?"
                raise OSError(f"queue {number} cannot be opened ({error}): {hint}") from error
            self._ending.callback(opened.close)
            classifier = Classifier(
                self._enforcer.in_force.naming, endpoints=endpoints, flows=self._flows, queue_length=length
            )
            self._classifiers.append(classifier)
            self._workers.append(Worker(opened.fd, number, classifier))

    def _make_sources(self) -> metrics.Sources:
        return metrics.Sources(
            in_force=lambda: self._enforcer.in_force,
            kernel=self._enforcer.counters,
            licensed=self._enforcer.licensed,
            queues=queue_stats,
            tracked=tracked,
            files_changed=lambda: watch.newest(self._settings.policies),
            named=self._named,
            classifiers=lambda: _sum(classifier.counts() for classifier in self._classifiers),
            workers=lambda: _sum(worker.counts() for worker in self._workers),
            latency=self._latency,
            events=self._event_counts,
            reloads=self._reloads,
        )

    def _open_web(self) -> Server | None:
        if self._settings.metrics is None:
            return None
        try:
            server = Server(self._settings.metrics)
        except OSError as error:
            raise OSError(f"metrics cannot be served on {self._settings.metrics}: {error.strerror}") from error
        self._ending.callback(server.close)
        for work in (self._scrapes, self._overviews):  # before: clients may wait for a page
            self._ending.callback(work.end)
        return server

    def _open_control(self) -> Control | None:
        if self._settings.control is None:
            return None
        try:
            control = Control(self._settings.control)
        except OSError as error:
            why = error.strerror or error
            raise OSError(f"the control socket {self._settings.control.socket} cannot be made: {why}") from error
        self._ending.callback(control.close)
        self._ending.callback(self._mailbox.end_errands)  # before: a client may wait for one
        return control

    def _pages(self, status: Status) -> dict[str, Page]:
        """What anybody who reaches the metrics port may read."""
        return {
            "/": front.page(),
            "/status.json": overview.page(status, self._sources, self._overviews),
            "/metrics": metrics.page(self._sources, self._scrapes),
        }

    def _commands(self, status: Status) -> dict[str, Command]:
        """What operators' tools may ask for."""
        return {
            "status": Command(status.status),
            "counters": Command(status.counters, dict.fromkeys(("region", "service"), str)),
            "events": Command(self._follow, dict.fromkeys(("region", "service", "verdict"), str)),
            "flows": Command(lambda arguments: flows.answer(arguments, self._enforcer.in_force), flows.TAKES),
            "reload": Command(self._reload_asked),
            **self._rehearsal.commands(),
        }

    def _reload_asked(self, arguments: Mapping[str, Any]) -> Answer:
        """Problems of the new policy, if it has any, then what came of it."""
        outcome = self._on_main_thread(self._reload)
        for problem in outcome.problems:
            yield asdict(problem)
        return {"applied": not outcome.refused, "revision": outcome.revision, "why": outcome.refused}

    def _on_main_thread(self, errand: Callable[[], T]) -> T:
        """For a command that changes the policy or the kernel's table."""
        try:
            return self._mailbox.ask(errand)
        except CancelledError:
            raise Refused("the daemon is stopping") from None

    def _follow(self, arguments: Mapping[str, Any]) -> Answer:
        return events.follow(self._events, self._enforcer.in_force, arguments)

    def _latency(self) -> metrics.Latency:
        packets, seconds = zip(*(worker.latency() for worker in self._workers), strict=True)
        return metrics.Latency(LATENCY_SECONDS, [sum(of) for of in zip(*packets, strict=True)], sum(seconds))

    def _named(self) -> Counter[tuple[int, int]]:
        return _sum(classifier.named_flows() for classifier in self._classifiers)

    def _event_counts(self) -> dict[str, int]:
        if self._settings.events.to == "off":
            # The classifiers keep a tally of all namings, whoever reads their rings.
            uncounted = sum(classifier.counts()["tally_overflow"] for classifier in self._classifiers)
            return {"written": 0, "off": self._named().total() + uncounted}
        ring_full = sum(classifier.counts()["events_left_out"] for classifier in self._classifiers)
        return self._events.counts() | {"ring_full": ring_full}

    def _start_threads(self, adopted: bool) -> None:
        facts = Facts(
            policies=self._settings.policies,
            queues=self._settings.queues,
            flows=self._flows * len(self._classifiers),
            step=self._enforcer.step,
            adopted=adopted,
        )
        status = Status(facts, self._sources)
        if self._control:
            self._control.start(self._commands(status))
        if self._web:
            self._web.start(self._pages(status))
        self._events.start()
        self._ending.callback(self._events.stop)
        for number, worker in zip(self._settings.queues.numbers, self._workers, strict=True):
            self._start_thread(f"queue {number}", worker.run)
        for worker in self._workers:  # all are told to stop before the first is waited for
            self._ending.callback(worker.stop)
        stop = threading.Event()
        looks = {"watch": self._watch, "guard": self._guard, "time": self._keep_time, "watchdog": self._feed}
        for name, look in looks.items():
            self._start_thread(name, look, stop)
        self._ending.callback(stop.set)

    def _start_thread(self, name: str, target: Callable[..., None], *arguments: object) -> None:
        """It is waited for at the end."""
        thread = threading.Thread(target=target, args=arguments, name=name)
        thread.start()
        self._ending.callback(thread.join)
        with suppress(OSError):  # it has ended already
            # Its name for `top -H` too, which Python gives by itself from 3.14 on.
            Path(f"/proc/self/task/{thread.native_id}/comm").write_text(name)

    def _watch(self, stop: threading.Event) -> None:
        for _ in watch.changes(self._settings.policies, self._seen, stop):
            self._mailbox.put(Letter.CHANGED)

    def _feed(self, stop: threading.Event) -> None:
        """The service manager's watchdog, where it watches."""
        if every := watchdog.pause():
            numbers = self._settings.queues.numbers
            loops = zip(numbers, self._workers, strict=True)
            watchdog.feed({f"the packet loop of queue {number}": worker.turns for number, worker in loops}, every, stop)

    def _keep_time(self, stop: threading.Event) -> None:
        """Tell when a time window or a licence begins or ends, or somebody has set the clock back."""
        known, edge = None, None
        pause = 0.0
        while not stop.wait(pause):
            now, in_force = datetime.now(UTC), self._enforcer.in_force
            if in_force is not known:
                known, edge = in_force, self._enforcer.next_edge(in_force)
            if (edge and now >= edge) or now < in_force.at - CLOCK_SET_BACK:
                self._ended = in_force
                self._mailbox.put(Letter.TIME)
                pause = CLOCK_SECONDS
            else:
                pause = min(CLOCK_SECONDS, (edge - now).total_seconds()) if edge else CLOCK_SECONDS

    def _guard(self, stop: threading.Event) -> None:
        """Tell when the table or the queue rule is gone, as after `nft flush ruleset`."""
        changes = Changes()
        due = True  # at once: somebody may have come between the start and this
        pause = GUARD_SECONDS  # many edits are one look
        while not stop.wait(pause):
            pause = GUARD_SECONDS
            due = changes.wait(GUARD_SECONDS) or due or self._enforcer.torn
            if not due:
                continue
            try:
                whole = self._enforcer.is_whole()
            except KernelError as error:  # looked at again the next time round
                log.warning("cannot look after the table: %s", error)
                continue
            due = not whole
            if due:
                self._mailbox.put(Letter.REMOVED)
                pause = TORN_SECONDS
        changes.close()


def _sum(counts: Iterable[Mapping[K, int]]) -> Counter[K]:
    total: Counter[K] = Counter()
    for count in counts:
        total.update(count)
    return total
