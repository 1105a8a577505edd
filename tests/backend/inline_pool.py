"""A pool for the API's tests, in place of a process that holds networks."""

import os

from anyio import to_thread

from backend.contracts.serving import NOTHING_LOADED


class InlinePool:
    """Calls at once in this process: what crosses the process boundary is tested in tests/backend/execution."""

    def call(self, function, *args, **kwargs):
        return function(*args, **kwargs)

    call_patiently = call

    waiting = 0
    state = NOTHING_LOADED

    async def ask(self, question, *, gone=None):
        import service_fakes

        return await to_thread.run_sync(service_fakes.answer_of, question, 100_000_000)

    async def prepare(self, model_folder):
        pass

    async def hello(self):
        return {"device": "cpu"}

    def check_room(self):
        pass

    def watch(self, *, batch, state):
        pass

    def process_ids(self):
        return [os.getpid()]

    def close(self):
        pass
