"""What wakes the main thread: nothing sent to it may be lost, whenever it comes."""

from __future__ import annotations

import os
import signal
import threading
from concurrent.futures import CancelledError, ThreadPoolExecutor

import pytest

from citygate.mailbox import Letter, Mailbox


def test_signals_are_letters() -> None:
    with Mailbox() as mailbox:
        for number, letter in ((1, Letter.HANGUP), (2, Letter.INTERRUPT), (15, Letter.TERMINATE)):
            os.kill(os.getpid(), number)
            assert mailbox.get() is letter


def test_letters_come_in_order_from_any_thread() -> None:
    with Mailbox() as mailbox:

        def put() -> None:
            mailbox.put(Letter.CHANGED)
            mailbox.put(Letter.TERMINATE)

        thread = threading.Thread(target=put)
        thread.start()
        assert [mailbox.get(), mailbox.get()] == [Letter.CHANGED, Letter.TERMINATE]
        thread.join()


def test_a_thread_s_death_is_a_letter(caplog: pytest.LogCaptureFixture) -> None:
    with Mailbox() as mailbox:
        thread = threading.Thread(target=lambda: 1 // 0, name="queue 7")
        thread.start()
        assert mailbox.get() is Letter.FAILED
        thread.join()
    assert "thread queue 7 failed" in caplog.text
    assert "ZeroDivisionError" in caplog.text


def test_no_signal_is_lost_whenever_it_comes() -> None:
    # Sent without a pause while the main thread goes in and out of its wait: a lost one would leave it there.
    count = 3000
    answered = threading.Semaphore(1)

    def send() -> None:
        for _ in range(count):
            assert answered.acquire(timeout=10)
            os.kill(os.getpid(), signal.SIGHUP)

    with Mailbox() as mailbox:
        sender = threading.Thread(target=send)
        sender.start()
        for _ in range(count):
            assert mailbox.get() is Letter.HANGUP
            answered.release()
        sender.join()


def test_an_errand_is_run_by_the_owner() -> None:
    with Mailbox() as mailbox, ThreadPoolExecutor(2) as others:
        owner = others.submit(mailbox.ask, threading.current_thread)
        assert mailbox.get() is Letter.ERRAND
        mailbox.run_errands()
        assert owner.result(10) is threading.current_thread()


def test_what_an_errand_raises_is_the_asker_s() -> None:
    with Mailbox() as mailbox, ThreadPoolExecutor(1) as others:
        asker = others.submit(mailbox.ask, lambda: 1 // 0)
        assert mailbox.get() is Letter.ERRAND
        mailbox.run_errands()
        with pytest.raises(ZeroDivisionError):
            asker.result(10)


def test_errands_end_with_their_owner() -> None:
    with Mailbox() as mailbox, ThreadPoolExecutor(1) as others:
        asker = others.submit(mailbox.ask, int)
        assert mailbox.get() is Letter.ERRAND
        mailbox.end_errands()
        with pytest.raises(CancelledError):
            asker.result(10)
        with pytest.raises(CancelledError):
            mailbox.ask(int)


def test_a_full_box_still_wakes_and_never_blocks() -> None:
    with Mailbox() as mailbox:
        for _ in range(100_000):  # a pipe holds 65,536 bytes
            mailbox.put(Letter.CHANGED)
        assert mailbox.get() is Letter.CHANGED


def test_what_was_there_before_comes_back() -> None:
    before = [signal.getsignal(number) for number in (1, 2, 15)]
    hook = threading.excepthook
    with Mailbox():
        assert [signal.getsignal(number) for number in (1, 2, 15)] != before
    assert [signal.getsignal(number) for number in (1, 2, 15)] == before
    assert threading.excepthook is hook
