"""Frames of HTTP/2, for what a client library does not do: RFC 9113, header
fields by HPACK's static table (RFC 7541), without Huffman codes."""

DATA, HEADERS, RST_STREAM, SETTINGS, PING = 0, 1, 3, 4, 6
END_STREAM, END_HEADERS = 0x1, 0x4

_METHODS = {"GET": b"\x82", "POST": b"\x83"}


def frame(kind, stream, payload=b"", flags=0):
    return (len(payload).to_bytes(3, "big") + bytes([kind, flags])
            + stream.to_bytes(4, "big") + payload)


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0)


def _literal(index, value):
    return bytes([index, len(value)]) + value


def request(stream, path, method="GET"):
    """The header fields; a body follows where it is a POST."""
    return frame(HEADERS, stream,
                 _METHODS[method] + b"\x86" + _literal(4, path.encode())
                 + _literal(1, b"t"),
                 END_HEADERS | (END_STREAM if method == "GET" else 0))


def body(stream, text):
    """All of a request's."""
    return frame(DATA, stream, text, END_STREAM)


def settle(sock):
    """Returns when all that was sent has been read; what came meanwhile."""
    mark = b"settled!"
    sock.sendall(frame(PING, 0, mark))
    answer = b""
    while mark not in answer:
        got = sock.recv(65536)
        assert got, answer
        answer += got
    return answer
