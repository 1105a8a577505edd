"""The line to the predicting process, with a stand-in that knows a few words: what it is told, it does."""

import asyncio
import os
import signal
import threading
from pathlib import Path

import pytest
import service_fakes

from backend.contracts.serving import Answer, Ask, BatchNote
from backend.errors import BusyError, ImageError, UnavailableError
from backend.execution.answer_line import CallerGone
from backend.execution.inference_pool import InferencePool
from tests.waiting import PATIENCE_S, has_ended


class Puppet:
    """Answers at once; questions that say `wait` are answered when another says `go`."""

    def __init__(self, settings, replies):
        self.replies = replies
        self.waiting = {}
        self.withdrawn = set()

    def greeting(self):
        return {"device": "puppet", "pid": os.getpid()}

    def take(self, number, content):
        if not isinstance(content, Ask):
            self.replies.answer([(number, None)])
            return
        word, _, rest = content.image.decode().partition(" ")
        getattr(self, word, self.shout)(number, content.image, rest)

    def shout(self, number, image, rest):
        self.replies.answer([(number, answer(image))])

    def wait(self, number, image, rest):
        self.waiting[number] = image

    def go(self, number, image, rest):
        numbers = [*self.waiting, number]
        self.waiting.clear()
        self.replies.answer([(one, answer(image)) for one in numbers], about=BatchNote(len(numbers), 0.1, ()))

    def die(self, number, image, rest):
        os._exit(3)

    def fall(self, number, image, rest):
        """Die at the first time."""
        if not Path(rest).exists():
            Path(rest).touch()
            os._exit(3)
        self.shout(number, image, rest)

    def count(self, number, image, rest):
        self.replies.answer([(number, answer(str(len(self.withdrawn)).encode()))])

    def refuse(self, number, image, rest):
        self.replies.answer([(number, ImageError("no picture"))])

    def stumble(self, number, image, rest):
        self.replies.answer([(number, UnicodeDecodeError("ascii", b"x", 0, 1, "strange"))])

    def withdraw(self, number):
        self.waiting.pop(number, None)
        self.withdrawn.add(number)

    def close(self):
        pass


def answer(text):
    return Answer(text.upper(), ("label",), 1.0, False)


async def ask(pool, words, **how):
    return (await pool.ask(Ask("folder", words.encode()), **how)).body.decode()


def with_pool(settings, story, **changes):
    """Tell a story about a pool in an event loop of its own; the pool's processes are gone afterwards."""

    async def tell():
        chosen = settings.model_copy(update=changes)
        pool = InferencePool(chosen, open_answerer=Puppet, warm_up=service_fakes.do_nothing)
        try:
            async with asyncio.timeout(2 * PATIENCE_S):
                return await story(pool)
        finally:
            pool.close()

    return asyncio.run(tell())


async def until(fact):
    while not fact():  # noqa: ASYNC110 - the facts are of other processes
        await asyncio.sleep(0.01)


def test_questions_are_answered_by_one_other_process_that_ends_with_the_pool(settings):
    async def story(pool):
        hello = await pool.hello()
        assert hello["pid"] != os.getpid()
        assert pool.process_ids() == [hello["pid"]]
        notes = []
        pool.watch(batch=notes.append, state=lambda _: None)
        waiting = [asyncio.create_task(ask(pool, "wait")) for _ in range(3)]
        await until(lambda: pool.waiting == 3)
        assert await ask(pool, "go") == "GO"
        assert await asyncio.gather(*waiting) == ["GO"] * 3
        assert pool.waiting == 0
        await until(lambda: notes)
        assert [note.size for note in notes] == [4]
        await pool.prepare("folder")
        return hello["pid"]

    assert has_ended(with_pool(settings, story))


def test_errors_arrive_as_they_were_raised_and_strange_ones_as_text(settings):
    async def story(pool):
        with pytest.raises(ImageError, match="no picture"):
            await ask(pool, "refuse")
        with pytest.raises(RuntimeError, match="UnicodeDecodeError"):
            await ask(pool, "stumble")

    with_pool(settings, story)


def test_a_question_that_kills_takes_nobody_along(settings, tmp_path):
    async def story(pool):
        await pool.hello()
        words = [f"fall {tmp_path / 'fell'}", "die", *(f"word {place}" for place in range(5))]
        found = await asyncio.gather(*(ask(pool, one) for one in words), return_exceptions=True)
        deadly = found.pop(1)
        assert isinstance(deadly, UnavailableError)
        assert "died twice" in deadly.detail
        assert [one.split(" ")[0] for one in found] == ["FALL", *["WORD"] * 5]
        assert await ask(pool, "alive") == "ALIVE"

    with_pool(settings, story)


def test_a_process_killed_while_idle_is_replaced_unnoticed(settings):
    async def story(pool):
        hello = await pool.hello()
        os.kill(hello["pid"], signal.SIGKILL)
        assert await ask(pool, "first") == "FIRST"
        assert await ask(pool, "second") == "SECOND"
        assert pool.process_ids() != [hello["pid"]]

    with_pool(settings, story)


def test_a_full_queue_refuses_and_is_open_again_at_once(settings):
    async def story(pool):
        waiting = [asyncio.create_task(ask(pool, "wait")) for _ in range(2)]
        await until(lambda: pool.waiting == 2)
        with pytest.raises(BusyError):
            pool.check_room()
        with pytest.raises(BusyError):
            await ask(pool, "go")
        await pool.prepare("folder")  # takes no place
        waiting[0].cancel()
        await until(lambda: pool.waiting == 1)
        assert await ask(pool, "count") == "1"  # the process knows that nobody waits for that one
        assert await ask(pool, "go") == "GO"
        assert await waiting[1] == "GO"

    with_pool(settings, story, serving_queue=2)


def test_a_caller_that_hangs_up_frees_its_place(settings):
    async def story(pool):
        async def has_hung_up():
            return True

        leaving = [asyncio.create_task(ask(pool, "wait", gone=has_hung_up)) for _ in range(2)]
        staying = asyncio.create_task(ask(pool, "wait"))
        for one in leaving:
            with pytest.raises(CallerGone):
                await one
        assert pool.waiting == 1
        assert await ask(pool, "count") == "2"
        assert await ask(pool, "go") == "GO"
        assert await staying == "GO"

    with_pool(settings, story)


def test_a_process_that_says_nothing_is_replaced_and_asked_once_more(settings, monkeypatch):
    async def story(pool):
        first = (await pool.hello())["pid"]
        monkeypatch.setattr(pool._line, "_timeout_s", 0.3)
        with pytest.raises(UnavailableError, match="twice"):
            await ask(pool, "wait")
        monkeypatch.undo()
        assert await ask(pool, "word") == "WORD"
        await until(lambda: has_ended(first))

    with_pool(settings, story)


def test_closing_ends_who_waits_and_starts_nothing_new(settings):
    async def story(pool):
        waiting = asyncio.create_task(ask(pool, "wait"))
        await until(lambda: pool.waiting == 1)
        pool.close()
        with pytest.raises(UnavailableError, match="shutting down"):
            await waiting
        with pytest.raises(UnavailableError, match="shutting down"):
            await ask(pool, "word")
        assert pool.process_ids() == []

    with_pool(settings, story)


def test_slow_calls_run_beside_and_stand_in_nobody_s_way(settings):
    def slow(pool):
        with pytest.raises(UnavailableError):
            pool.call(service_fakes.sleep_long)

    async def story(pool):
        await pool.hello()
        calling = threading.Thread(target=slow, args=(pool,))
        calling.start()
        await until(lambda: len(pool.process_ids()) == 2)
        assert await ask(pool, "word") == "WORD"
        pool.close()
        calling.join()

    with_pool(settings, story)
