"""Odd words for every part of a request."""

from __future__ import annotations

METHODS = [
    b"GET",
    b"POST",
    b"PUT",
    b"DELETE",
    b"HEAD",
    b"OPTIONS",
    b"PATCH",
    b"TRACE",
    b"CONNECT",
    b"PRI",
    b"get",
    b"FOO",
    b"",
    b"G\x00T",
]
METHODS += [b"PROPFIND", b"M-SEARCH", b"POST" * 20]
VERSIONS = [
    b"HTTP/1.0",
    b"HTTP/0.9",
    b"HTTP/1.2",
    b"HTTP/2.0",
    b"HTTP/2",
    b"http/1.1",
    b"HTTP/11",
    b"",
    b"HTTP/1.1 ",
    b"RTSP/1.0",
    b"ICE/1.0",
]
NUMBERS = [
    b"",
    b"0",
    b"-1",
    b"+5",
    b"0x5",
    b"5, 5",
    b"5,6",
    b" 7",
    b"1e2",
    b"\xd9\xa3",
    b"00",
    b"9223372036854775808",
    b"18446744073709551616",
]
NUMBERS += [b"9" * 30, b"134217729", b"1048577", b"5 5", b"5\t"]
CODINGS = [
    b"chunked",
    b"Chunked",
    b"chunked, chunked",
    b"gzip, chunked",
    b"chunked, gzip",
    b"identity",
    b"xchunked",
    b"\x0bchunked",
    b"chunked\x00",
    b"",
]
CODINGS += [b"chunked;q=1", b"gzip", b"chunked,", b",chunked", b'"chunked"']
TYPES = [
    b"application/json",
    b"application/x-npy",
    b"application/x-npz",
    b"text/csv",
    b"text/csv; header=present",
    b"image/png",
    b"image/webp",
]
TYPES += [
    b"multipart/form-data",
    b"multipart/form-data; boundary=",
    b"multipart/form-data; boundary=b",
    b"",
    b"a/b",
    b";",
    b"\xff/\xff",
]
TYPES += [
    b"text/csv; header=",
    b"text/plain; charset=utf-16",
    b"application/octet-stream",
    b"application/vnd.x+json",
    b"x" * 2000,
    b"image/jpeg;a",
]
ACCEPTS = [
    b"",
    b"*/*",
    b"text/csv",
    b"application/x-npy",
    b"application/x-npy;output=none",
    b"application/x-npz;output=y",
    b"text/html",
    b";q=",
    b",",
]
ACCEPTS += [
    b"*/*;q=0",
    b"application/json;q=2",
    b"text/*, a/b;q=0.5",
    b'a/b;x="\\',
    b"text/csv;header=present;output=b",
    b"," * 3000,
    b"\x80",
]
ENCODINGS = [
    b"",
    b"gzip",
    b"deflate",
    b"identity",
    b"br",
    b"gzip, gzip",
    b"gzip,gzip,gzip,gzip",
    b"x-gzip",
    b"GZIP",
    b"gzip;q=1",
    b"\xff",
    b"*",
]
ENCODINGS += [b"gzip;q=0, deflate", b"identity;q=0", b"*;q=0", b"deflate, gzip", b"," * 500]
TARGETS = [
    b"*",
    b"",
    b"/",
    b"//",
    b"/v1/",
    b"/v2/",
    b"/v1/models",
    b"/v1/models/",
    b"/v1/models/:predict",
    b"/v1/models/rows:none",
    b"localhost:80",
]
TARGETS += [
    b"/v1/models/rows/versions/99999999999999999999:predict",
    b"/v1/models/rows/versions/9:predict",
    b"/v1/models/rows/labels/none:predict",
]
TARGETS += [
    b"/v1/models/%72ows:predict",
    b"/v1/models/%:predict",
    b"/v1/models/%ff%00:predict",
    b"/v1/models/\xc3\xa4:predict",
    b"/V1/models/rows",
]
TARGETS += [
    b"/v1/models/rows%2Fversions%2F3:predict",
    b"/v2/models//infer",
    b"/v2/models/rows/versions/x/infer",
    b"/v2/models/rows/versions/9/stats",
]
TARGETS += [
    b"/v2/models/rows/versions/-1/ready",
    b"/v2/models/rows/none",
    b"/v2/repository/models//load",
    b"/v1/models/rows:predict#frag",
    b"/../healthz",
]
TARGETS += [
    b"/v1/models/rows/versions/\xd9\xa3:predict",
    b"/v2/models/" + b"a" * 5000,
    b"http://",
    b"http://[::1/",
    b"/\x7f",
    b"/a\x00b",
    b"?x",
]
TARGETS += [
    b"/v1/models/classes:regress",
    b"/v1/models/rows:classify",
    b"/v2/models/rows/infer/",
    b"/v2/models/rows:predict",
    b"/ping",
    b"/invocations",
]
TARGETS += [b"/openapi.json", b"/score", b"/models", b"/models/rows/invoke", b"/v1/models/rows/labels//metadata"]
EXTRA = [
    *((b"Expect", b"100-continue"), (b"Expect", b"100-Continue"), (b"Expect", b"200-ok"), (b"Expect", b"")),
    *(
        (b"Connection", b"close"),
        (b"Connection", b"keep-alive"),
        (b"Connection", b"upgrade"),
        (b"Connection", b"close, keep-alive, \xff"),
    ),
    *((b"Upgrade", b"h2c"), (b"Upgrade", b"websocket"), (b"Upgrade", b""), (b"HTTP2-Settings", b"AAMAAABkAAQAAP__")),
    *((b"Inference-Header-Content-Length", number) for number in NUMBERS),
    *((b"Content-Encoding", name) for name in ENCODINGS),
    *((b"Accept-Encoding", name) for name in ENCODINGS),
    *(
        (b"X-Request-Id", b"a b"),
        (b"X-Request-Id", b"\xff\x80"),
        (b"X-Request-Id", b"a" * 3000),
        (b"X-Skylift-Key", b"\xff"),
    ),
    *((b"traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"), (b"traceparent", b"\xff-1")),
    *((b"X-Amzn-SageMaker-Custom-Attributes", b"skylift-key=a,b"), (b"X-Amzn-SageMaker-Custom-Attributes", b",=,,")),
    *(
        (b"Authorization", b"Bearer x"),
        (b"X-API-Key", b"a b"),
        (b"Cookie", b"a=b; c"),
        (b"Range", b"bytes=0-1"),
        (b"If-None-Match", b"*"),
    ),
    *(
        (b"", b"x"),
        (b"A B", b"x"),
        (b"A\x00", b"x"),
        (b"\xc3\xa4", b"x"),
        (b" Folded", b"x"),
        (b"X", b"a\r\n b"),
        (b"X", b"a\nb"),
        (b"X", b"a\rb"),
    ),
    *(
        (b"X", b"\x00"),
        (b"X", b"y" * 40_000),
        (b"Host", b"other"),
        (b"Host", b""),
        (b"Trailer", b"X"),
        (b"TE", b"trailers"),
    ),
]
TRAILERS = [
    b"",
    b"X: y\r\n",
    b"Content-Length: 3\r\n",
    b"Content-Encoding: gzip\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"X-Request-Id: t\r\n",
]
TRAILERS += [
    b"Content-Type: text/csv\r\n",
    b"Inference-Header-Content-Length: 0\r\n",
    b"Expect: 100-continue\r\n",
    b"X: " + b"y" * 40_000 + b"\r\n",
]
TRAILERS += [b"X: y\r\n" * 8000, b"bad\r\n"]
EXTENSIONS = [b"", b"", b"", b";a=b", b';a="\\""', b";" + b"e" * 3000, b" ", b";\x00", b"\n"]
