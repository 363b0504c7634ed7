# What somebody writes into a change who wants more than to have it built. It says each thing that it got, and at the end how
# much it tried. Arguments: the server's port, its folder, a builder's own key, a token of a machine.
import hashlib
import hmac
import http.client
import json
import os
import socket
import sys

port, folder, key, machine = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
tried = 0


def got(what):
    print("got", what, flush=True)


def look(what, see):
    global tried
    tried += 1
    try:
        seen = see()
    except (OSError, ValueError):
        return
    if seen:
        got(what)


# Secrets: in variables, in files, in other processes, in what was left open.
words = ("hunter2", "of-the-operator")
look("a variable", lambda: [name for name, value in os.environ.items() if any(word in value for word in words)])
names = ("TOKEN", "PASSWORD", "CREDENTIAL", "BUILDER_KEY", "ORDER")
look("a name", lambda: [name for name in os.environ if any(word in name.upper() for word in names)])
for file in ("admin-token", "order-key", "ssh-host-key", "builder.key", "bellwether.db", "lock", "../server.toml"):
    look(file, lambda: open(f"{folder}/data/{file}", "rb").read(1))
look("workers", lambda: [name for name in os.listdir(f"{folder}/data/workers") if not os.getcwd().count(name)])
for pid in filter(str.isdigit, os.listdir("/proc")):
    look(f"the environment of {pid}", lambda: any(word.encode() in open(f"/proc/{pid}/environ", "rb").read() for word in words))
for fd in os.listdir("/proc/self/fd"):
    look(f"descriptor {fd}", lambda: os.readlink(f"/proc/self/fd/{fd}").startswith(("socket:", folder)))

# Sockets: the network is the machine's, so names of the server's sockets are seen; none must take a connection.
for line in open("/proc/net/unix").read().splitlines()[1:]:
    path = line.split(" ", 7)[-1].split(" ")[-1]
    if folder in path:
        def connect():
            with socket.socket(socket.AF_UNIX) as one:
                one.settimeout(5)
                one.connect("\0" + path[1:] if path.startswith("@") else path)
            return True
        look(f"socket {path}", connect)


def ask(method, path, headers, body="{}"):
    global tried
    tried += 1
    # A connection for each: a server that refuses reads no body, and closes.
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, path, body, {"content-type": "application/json", **headers})
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    finally:
        connection.close()


# The API for those who may more than read: without a name, with names that proxies and browsers give, with a guess, as a machine.
near = {"x-forwarded-for": "127.0.0.1", "x-real-ip": "::1", "host": "localhost", "origin": f"http://127.0.0.1:{port}"}
for route in json.load(open("routes.json")):
    method = "POST" if route["method"] == "*" else route["method"]
    path = "/".join("1" if part.startswith("{") else part for part in route["path"].split("/"))
    for headers, wanted in (
        ({}, 401),
        (near, 401),
        ({"authorization": "Bearer x", "cookie": "session=x"}, 401),
        ({"authorization": f"Bearer {machine}"}, 403),
    ):
        status, text = ask(method, path, headers)
        if status != wanted:
            got(f"{status} of {method} {path} with {sorted(headers)}: {text[:200]}")

# The results of others, by the original's keys: without one, by an empty master key, by a builder's own.
commit = "1" * 40
none = hmac.new(b"", b"more", hashlib.md5).hexdigest()
for builder, by in (("more", ""), ("more", none), ("more", key), ("tests", "")):
    result = json.dumps({"Builder": builder, "Hash": commit, "OK": True, "Log": "mine"})
    for path in ("result?version=1&", "building?hash=1&", "clear-results?", "perf-result?"):
        for dash in ("/dash/", "/dash/gccgo/"):
            status, text = ask("POST", f"{dash}{path}builder={builder}&key={by}", {}, result)
            if "invalid key" not in text:
                got(f"{dash}{path}{builder} by {by!r}: {status} {text[:200]}")
other = json.dumps({"Builder": "more", "Hash": commit, "OK": True, "Log": "mine"})
for path in ("result?version=1&", "perf-result?"):
    status, text = ask("POST", f"/dash/{path}builder=tests&key={key}", {}, other)
    if "invalid key" not in text:
        got(f"{path} of another in the body: {text[:200]}")
status, text = ask("POST", f"/dash/building?builder=tests&key={key}", {})
print("own key", "holds" if '"Error":""' in text else text)
# A machine that is none.
status, _ = ask("GET", "/reverse", {"x-go-host-type": "local", "x-go-builder-key": key, "upgrade": "revdial"}, "")
if status < 400:
    got(f"a place among the machines: {status}")
print("tried", tried)
