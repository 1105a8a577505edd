import socket
import threading

import pytest

from backend.execution.frames import FrameReader, messages, packed

MESSAGES = [("ask", 1, b"x" * 5000), None, "", ("answers", [(1, {"a": 1.5})])]


@pytest.mark.parametrize("piece", [1, 7, 8, 9, 4096, 10**6])
def test_messages_come_whole_whatever_pieces_they_arrive_in(piece):
    data = b"".join(map(packed, MESSAGES))
    reader = FrameReader()
    found = [one for start in range(0, len(data), piece) for one in reader.feed(data[start : start + piece])]
    assert found == MESSAGES


def test_a_socket_is_read_until_the_other_end_is_gone():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        data = packed(b"y" * 10**6)
        sending = threading.Thread(target=lambda: (theirs.sendall(data + packed("last") + data[:100]), theirs.close()))
        sending.start()
        assert list(messages(ours)) == [b"y" * 10**6, "last"]
        sending.join()
