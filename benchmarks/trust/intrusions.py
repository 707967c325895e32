"""What intruders send to the explorer's server: requests as they go out, values of settings."""

STREAM = "/api/write/text?run=lstm&length=2000"
CHEAP = "/api/write/text?run=lstm&length=1"
VALUES = [
    "", "../../etc/passwd", "..%2f..", "/etc/passwd", "%00", "lstm%00", "%0d%0aSet-Cookie:a=b",
    "%1b[31m", "%ff%fe", "%ed%a0%80", "%E2%80%AE", "1000000000", "-1", "0", "nan", "inf", "1e309",
    "%D9%A3", "%C2%B2", "0x10", "1_000", "a" * 3000, "1" * 5000, "lstm@", "lstm@../1", "@",
    "lstm@best", "0.55296", "0.1114112", "%F0%9F%92%A5", "1*2*", "*", "0*nan", "9_1e99", ",,,",
    "%3Cscript%3E",
]  # fmt: skip
HEADS = {
    "a foreign Host": [
        f"GET {path} HTTP/1.1\r\n{host}\r\n"
        for path in ("/", "/api/runs", CHEAP, "http://127.0.0.1/api/runs")
        for host in ("Host: example.org\r\n", "Host: 127.0.0.1.example.org:80\r\n", "Host: \r\n",
                     "Host: 127.0.0.1@example.org\r\n", "", "Host: [::1]\r\n", "Host: 0.0.0.0\r\n",
                     "Host: 127.0.0.1\r\nHost: example.org\r\n", "Host: localhost.example\r\n")
    ],
    "addresses that look like paths": [
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        for path in ("/../README.md", "/%2e%2e/README.md", "/views/../../app.py", "//etc/passwd",
                     "/..%5c..%5cREADME.md", "/%00", "/app.js%00.html", "/app.js/..", "/./app.py",
                     "/api/../app.py", "/api", "/api/write", "/api/write/text/..", "/%ff", "/*",
                     "/static/app.js", "/.git/config", "/" + "a" * 100_000, "*", "?",
                     "/%c0%ae%c0%ae/")
    ],
    "pages of another site": [
        f"{method} {CHEAP} HTTP/1.1\r\nHost: 127.0.0.1\r\n{site}\r\nContent-Length: 0\r\n\r\n"
        for method in ("GET", "POST")
        for site in ("Origin: https://example.org", "Origin: null", "Sec-Fetch-Site: cross-site",
                     "Sec-Fetch-Site: same-site", "Origin: http://127.0.0.1.example.org",
                     "Origin: http://127.0.0.1:1", "Origin: file://", "Origin: http://[")
    ],
    "methods": [
        f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "PROPFIND",
                       "get", "HEAD")
        for path in ("/", "/api/runs", CHEAP)
    ],
    "what is no request, and upgrades": [
        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + "\x00" * 200, "\x00" * 1000,
        "GET /\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET / HTTP/9.9\r\nHost: 127.0.0.1\r\n\r\n",
        "\r\n" * 5000,
        "GET / HTTP/1.1\nHost: 127.0.0.1\n\n", "GET  / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        *(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\n{how}\r\n\r\n"
          for path in ("/", STREAM.replace("2000", "1"))
          for how in ("Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
                      "dGhlIHNhbXBsZSBub25jZQ==",
                      "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAA")),
        *(f"POST /api/runs HTTP/1.1\r\nHost: 127.0.0.1\r\n{length}\r\n\r\n{body}"
          for length, body in (("Content-Length: -1", ""), ("Content-Length: 99999999999999", "x"),
                               ("Content-Length: 5\r\nContent-Length: 6", "abcdef"),
                               ("Transfer-Encoding: chunked", "zz\r\nabc\r\n"),
                               ("Transfer-Encoding: chunked", "ffffffffffff\r\nabc"),
                               ("Transfer-Encoding: chunked\r\nContent-Length: 3", "0\r\n\r\n"),
                               ("Transfer-Encoding: gzip", "abc"), ("Expect: 100-continue", "")))
    ],
    "too much at once": [
        f"GET /?{'a' * 10**6} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        f"GET {CHEAP}&prompt={'a' * 10**6} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        f"GET {CHEAP}&prompt={'a' * 70_000} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        f"GET {CHEAP}{'&a=1' * 15_000} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: {'a' * 10**6}\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n" + "X: a\r\n" * 100_000 + "\r\n",
        f"POST {CHEAP} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {30 * 10**6}\r\n\r\n"
        + "a" * (21 * 10**6),
        *(f"GET {CHEAP.replace('length=1', f'length={n}')} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
          for n in (10**9, 10**20, "9" * 4000, "1e9")),
    ],
}  # fmt: skip
REFUSED = (
    "a foreign Host",
    "addresses that look like paths",
    "pages of another site",
    "too much at once",
)
