#!/usr/bin/env python3
"""A server that answers as Google documents version 3 of the Drive interface, as far as a mailbox needs it.

It forgives nothing: unknown parameters, fields and metadata, queries that are not escaped, expired tokens, parts
of the wrong size. It pages at 100 whatever was asked for, lets names be doubled, compares names without regard to
case, and keeps what is in the trash readable by id.

    python3 tests/drive_server.py [PORT]       prints its address, and serves on 127.0.0.1 until it is ended

Tests steer it by POST /control/NAME with JSON, and by GET /control/log, /control/files
and /control/token.
"""
import base64
import datetime
import email.parser
import email.policy
import hashlib
import http.server
import json
import re
import secrets
import sys
import threading
import time
import urllib.parse

FOLDER = "application/vnd.google-apps.folder"
FILE_FIELDS = {
    "id", "name", "mimeType", "size", "createdTime", "modifiedTime", "headRevisionId", "md5Checksum", "parents",
    "trashed",
}
SMALL_MAX = 5 * 1024 * 1024
PART_UNIT = 256 * 1024


class Refusal(Exception):
    """An error of the interface."""

    def __init__(self, status, reason, message="", retry_after=None):
        super().__init__(message or reason)
        self.status, self.reason, self.message, self.retry_after = status, reason, message or reason, retry_after


class CutOff(Exception):
    """Ends the connection without an answer."""


def bad(message):
    return Refusal(400, "badRequest", message)


def now():
    time_ = datetime.datetime.now(datetime.timezone.utc)
    return time_.strftime("%Y-%m-%dT%H:%M:%S.") + f"{time_.microsecond // 1000:03}Z"


# Queries: 'id' in parents, name = '…', mimeType =/!= '…', trashed = true/false, with and, or, not and brackets.

TOKEN = re.compile(r"\s*(?:(?P<string>'(?:[^'\\]|\\['\\])*')|(?P<word>[A-Za-z]+)|(?P<sign>!=|=|\(|\)))")


def tokens(query):
    at, found = 0, []
    while query[at:].strip():
        match = TOKEN.match(query, at)
        if not match:
            raise Refusal(400, "invalid", f"Invalid Value: q, at {query[at:]!r}")
        found.append((match.lastgroup, match.group(match.lastgroup)))
        at = match.end()
    return found


class Query:
    """A parsed query; `holds` is the test."""

    def __init__(self, text, drive):
        self.rest, self.drive = tokens(text), drive
        self.holds = self.either()
        if self.rest:
            self.fail()

    def fail(self):
        raise Refusal(400, "invalid", "Invalid Value: q")

    def take(self, kind, *values):
        if not self.rest or self.rest[0][0] != kind or (values and self.rest[0][1] not in values):
            self.fail()
        return self.rest.pop(0)[1]

    def next_is(self, *values):
        return bool(self.rest) and self.rest[0][1] in values

    def either(self):
        parts = [self.both()]
        while self.next_is("or"):
            self.take("word")
            parts.append(self.both())
        return lambda item: any(part(item) for part in parts)

    def both(self):
        parts = [self.one()]
        while self.next_is("and"):
            self.take("word")
            parts.append(self.one())
        return lambda item: all(part(item) for part in parts)

    def text(self):
        return re.sub(r"\\(.)", r"\1", self.take("string")[1:-1])

    def one(self):
        if self.next_is("("):
            self.take("sign")
            inner = self.either()
            self.take("sign", ")")
            return inner
        if self.next_is("not"):
            self.take("word")
            inner = self.one()
            return lambda item: not inner(item)
        if self.rest and self.rest[0][0] == "string":
            parent = self.drive.known(self.text())["id"]
            self.take("word", "in")
            self.take("word", "parents")
            return lambda item: parent in item["parents"]
        field = self.take("word", "name", "mimeType", "trashed")
        sign = self.take("sign", "=", "!=") if field != "name" else self.take("sign", "=")
        if field == "trashed":
            wanted = self.take("word", "true", "false") == "true"
            equal = lambda item: self.drive.is_trashed(item) == wanted
        elif field == "name":
            wanted = self.text().lower()
            equal = lambda item: item["name"].lower() == wanted
        else:
            wanted = self.text()
            equal = lambda item: item["mimeType"] == wanted
        return equal if sign == "=" else lambda item: not equal(item)


def fields_of(text, outer):
    """The fields asked for: of a file where `outer` is None, else {name: None or the fields inside}."""
    parts = re.findall(r"([A-Za-z0-9]+)(?:\(([A-Za-z0-9,]*)\))?(?:,|$)", text or "")
    spelled = ",".join(name + (f"({inside})" if inside else "") for name, inside in parts)
    if not parts or spelled != text:
        raise Refusal(400, "invalidParameter", f"Invalid field selection {text}")
    found = {}
    for name, inside in parts:
        if name not in (outer or FILE_FIELDS):
            raise Refusal(400, "invalidParameter", f"Invalid field selection {name}")
        if inside and not set(inside.split(",")) <= FILE_FIELDS:
            raise Refusal(400, "invalidParameter", f"Invalid field selection {inside}")
        found[name] = set(inside.split(",")) if inside else None
    return found


class Drive:
    """The content, and how the server behaves."""

    def __init__(self):
        self.lock = threading.RLock()
        self.generation = 1
        self.page_max = 100
        self.lag = 0.0
        self.faults = []
        self.cuts = []
        self.log = []
        self.sessions = {}
        self.pages = {}
        self.items = {}
        self.root = self.add({"name": "My Drive", "mimeType": FOLDER}, None, parents=[])["id"]

    def add(self, metadata, content, parents):
        time_ = now()
        item = {
            "id": secrets.token_urlsafe(24), "mimeType": "application/octet-stream", "createdTime": time_,
            "modifiedTime": time_, "trashed": False, "born": time.monotonic(), **metadata, "parents": parents,
        }
        if content is not None:
            self.fill(item, content)
        self.items[item["id"]] = item
        return item

    @staticmethod
    def fill(item, content):
        item.update(
            content=content, size=str(len(content)), headRevisionId=secrets.token_urlsafe(24),
            md5Checksum=hashlib.md5(content).hexdigest(),
        )

    def known(self, identity):
        item = self.items.get(self.root if identity == "root" else identity)
        if item is None:
            raise Refusal(404, "notFound", f"File not found: {identity}.")
        return item

    def is_trashed(self, item):
        return item["trashed"] or any(
            self.is_trashed(self.items[parent]) for parent in item["parents"] if parent in self.items
        )

    def shown(self, item, fields):
        told = {**item, "trashed": self.is_trashed(item)}
        return {name: told[name] for name in fields if name in told}

    def parents_of(self, metadata):
        parents = metadata.get("parents", ["root"])
        if len(parents) != 1:
            raise Refusal(403, "cannotAddParent", "A file has one parent.")
        parent = self.known(parents[0])
        if parent["mimeType"] != FOLDER:
            raise Refusal(403, "parentNotAFolder", "The parent is no folder.")
        return [parent["id"]]

    def delete(self, item):
        for other in [other for other in self.items.values() if item["id"] in other["parents"]]:
            self.delete(other)
        self.items.pop(item["id"], None)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    drive = None

    def log_message(self, *_):
        pass

    def setup(self):
        super().setup()
        self.connection.settimeout(60)

    # The parts of a request.

    def parameters(self, allowed):
        pairs = urllib.parse.parse_qsl(self.query, keep_blank_values=True, strict_parsing=bool(self.query))
        given = dict(pairs)
        if len(given) != len(pairs) or not set(given) <= set(allowed):
            raise Refusal(400, "invalidParameter", f"Invalid parameters: {sorted(given)}")
        return given

    def metadata(self, text, allowed):
        try:
            metadata = json.loads(text or "{}")
        except ValueError:
            raise Refusal(400, "parseError", "Parse Error") from None
        if not isinstance(metadata, dict) or not set(metadata) <= allowed:
            raise bad(f"unknown metadata: {metadata}")
        return metadata

    def answer(self, status, body=b"", content_type="application/json; charset=UTF-8", headers=()):
        if self.is_lost:
            raise CutOff
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def answer_json(self, value, status=200, headers=()):
        self.answer(status, json.dumps(value).encode(), headers=headers)

    def serve(self):
        address = urllib.parse.urlsplit(self.path)
        self.query, path = address.query, urllib.parse.unquote(address.path)
        length = int(self.headers.get("Content-Length") or 0)
        self.is_lost = False
        try:
            if path.startswith("/control/"):
                with self.drive.lock:
                    return self.control(path.removeprefix("/control/"), json.loads(self.rfile.read(length) or "{}"))
            with self.drive.lock:
                is_part = self.command == "PUT" and path == "/upload/drive/v3/files"
                self.drive.log.append(f"{self.command} {path}?{self.query}" if self.query else f"{self.command} {path}")
                cut = self.drive.cuts.pop(0) if is_part and length and self.drive.cuts else None
            if cut is not None:
                self.receive(self.rfile.read(min(cut, length)), is_whole=False)
                raise CutOff
            self.body = self.rfile.read(length)
            if len(self.body) != length:
                raise CutOff
            with self.drive.lock:
                self.check()
                if "Content-Length" not in self.headers and self.command in ("POST", "PUT", "PATCH"):
                    raise Refusal(411, "lengthRequired", "Length Required")
                self.route(path)
        except Refusal as refusal:
            detail = {"domain": "global", "reason": refusal.reason, "message": refusal.message}
            report = {"error": {"code": refusal.status, "errors": [detail], "message": refusal.message}}
            wait = [("Retry-After", refusal.retry_after)] if refusal.retry_after else []
            self.answer_json(report, refusal.status, wait)
        except CutOff:
            self.close_connection = True

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = serve

    def check(self):
        if self.headers.get("Authorization") != f"Bearer token-{self.drive.generation}":
            raise Refusal(401, "authError", "Invalid Credentials")
        for fault in self.drive.faults:
            if fault["times"] > 0 and re.search(fault.get("match", ""), self.drive.log[-1]):
                fault["times"] -= 1
                if fault.get("isLost"):
                    # Carried out, but nobody is told.
                    self.is_lost = True
                    return
                raise Refusal(fault["status"], fault.get("reason", ""), "as told", fault.get("retryAfter"))

    def route(self, path):
        match = re.fullmatch(r"/(upload/)?drive/v3/files(?:/([A-Za-z0-9_-]+))?", path)
        kind = (self.command, bool(match and match[1]), bool(match and match[2]))
        if path == "/drive/v3/about" and self.command == "GET":
            if self.parameters(["fields"]) != {"fields": "user"}:
                raise Refusal(400, "required", "The 'fields' parameter is required for this method.")
            return self.answer_json({"user": {"displayName": "Somebody"}})
        routes = {
            ("GET", False, False): self.list, ("POST", False, False): self.create,
            ("GET", False, True): self.get, ("PATCH", False, True): self.change,
            ("DELETE", False, True): self.delete, ("POST", True, False): self.upload_new,
            ("PATCH", True, True): self.upload_over, ("PUT", True, False): self.upload_part,
            ("DELETE", True, False): self.upload_end,
        }
        if not match or kind not in routes:
            raise Refusal(404, "notFound", "Not Found")
        routes[kind](*([match[2]] if match[2] else []))

    # The calls.

    def list(self):
        drive = self.drive
        given = self.parameters(["q", "fields", "pageSize", "pageToken", "orderBy", "spaces"])
        fields = fields_of(given.get("fields", "files(id,name,mimeType)"), {"files", "nextPageToken", "incompleteSearch"})
        size = int(given.get("pageSize", "100"))
        if not 1 <= size <= 1000:
            raise Refusal(400, "invalidParameter", "Invalid value for pageSize")
        query, start = given.get("q", ""), 0
        if "pageToken" in given:
            expected, start = drive.pages.get(given["pageToken"], (None, 0))
            if expected != query:
                raise Refusal(400, "invalid", "Invalid Value: pageToken")
        holds = Query(query, drive).holds if query else lambda item: True
        visible = time.monotonic() - drive.lag
        # By the last change, the newest first, as Drive is seen to do without `orderBy`.
        found = [item for item in drive.items.values() if item["parents"] and item["born"] <= visible and holds(item)]
        found.sort(key=lambda item: (item["modifiedTime"], item["id"]), reverse=True)
        end = start + min(size, drive.page_max)
        page = {"incompleteSearch": False, "files": [drive.shown(item, fields.get("files") or set()) for item in found[start:end]]}
        if end < len(found):
            page["nextPageToken"] = secrets.token_urlsafe(40)
            drive.pages[page["nextPageToken"]] = (query, end)
        self.answer_json({name: value for name, value in page.items() if name in fields})

    def create(self):
        fields = fields_of(self.parameters(["fields"]).get("fields", "id,name,mimeType"), None)
        metadata = self.metadata(self.body, {"name", "mimeType", "parents"})
        content = None if metadata.get("mimeType") == FOLDER else b""
        item = self.drive.add(metadata, content, self.drive.parents_of(metadata))
        self.answer_json(self.drive.shown(item, fields))

    def get(self, identity):
        given = self.parameters(["fields", "alt"])
        item = self.drive.known(identity)
        if given.get("alt") == "media":
            if "content" not in item:
                raise Refusal(403, "fileNotDownloadable", "Only files with binary content can be downloaded.")
            return self.answer(200, item["content"], item["mimeType"])
        if "alt" in given:
            raise Refusal(400, "invalidParameter", "Invalid value for alt")
        self.answer_json(self.drive.shown(item, fields_of(given.get("fields", "id,name,mimeType"), None)))

    def change(self, identity):
        given = self.parameters(["fields", "addParents", "removeParents"])
        item = self.drive.known(identity)
        metadata = self.metadata(self.body, {"name", "trashed"})
        if "addParents" in given:
            if given.get("removeParents") not in item["parents"]:
                raise Refusal(403, "cannotAddParent", "Increasing the number of parents is not allowed.")
            item["parents"] = self.drive.parents_of({"parents": [given["addParents"]]})
        item.update(metadata)
        self.answer_json(self.drive.shown(item, fields_of(given.get("fields", "id,name,mimeType"), None)))

    def delete(self, identity):
        self.parameters([])
        self.drive.delete(self.drive.known(identity))
        self.answer(204)

    # Uploads.

    def upload(self, identity):
        given = self.parameters(["uploadType", "fields"])
        fields = fields_of(given.get("fields", "id,name,mimeType"), None)
        kind = given.get("uploadType")
        if kind != "resumable" and len(self.body) > SMALL_MAX + 2000:
            raise Refusal(413, "uploadTooLarge", "Use a resumable upload.")
        allowed = {"name", "mimeType"} if identity else {"name", "mimeType", "parents"}
        if kind == "media":
            return {}, self.body, fields
        if kind == "multipart":
            head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
            message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + self.body)
            parts = message.get_payload() if message.is_multipart() else []
            if message.get_content_type() != "multipart/related" or len(parts) != 2:
                raise bad("Malformed multipart body.")
            if parts[0].get_content_type() != "application/json":
                raise bad("The metadata come first.")
            # The parser may change line ends: the bytes are cut out of the body as they came.
            boundary = b"--" + message.get_boundary().encode()
            content = self.body.split(boundary)[2].split(b"\r\n\r\n", 1)[1].removesuffix(b"\r\n")
            return self.metadata(parts[0].get_payload(decode=True), allowed), content, fields
        if kind == "resumable":
            metadata = self.metadata(self.body, allowed)
            if self.headers.get("X-Upload-Content-Type") is None:
                raise bad("X-Upload-Content-Type is missing")
            session = secrets.token_urlsafe(40)
            self.drive.sessions[session] = {
                "identity": identity, "metadata": metadata, "fields": fields, "received": b"",
                "length": int(self.headers["X-Upload-Content-Length"]),
            }
            host, port = self.server.server_address
            place = f"http://{host}:{port}/upload/drive/v3/files?uploadType=resumable&upload_id={session}"
            self.answer(200, headers=[("Location", place)])
            return None
        raise Refusal(400, "invalidParameter", f"Invalid value for uploadType: {kind}")

    def store(self, identity, metadata, content):
        if identity is None:
            return self.drive.add(metadata, content, self.drive.parents_of(metadata))
        item = self.drive.known(identity)
        item.update(metadata, modifiedTime=now())
        self.drive.fill(item, content)
        return item

    def upload_new(self):
        if (upload := self.upload(None)) is not None:
            metadata, content, fields = upload
            self.answer_json(self.drive.shown(self.store(None, metadata, content), fields))

    def upload_over(self, identity):
        self.drive.known(identity)
        if (upload := self.upload(identity)) is not None:
            metadata, content, fields = upload
            self.answer_json(self.drive.shown(self.store(identity, metadata, content), fields))

    def session(self):
        given = dict(urllib.parse.parse_qsl(self.query))
        session = self.drive.sessions.get(given.get("upload_id"))
        if session is None:
            raise Refusal(404, "notFound", "The upload session is not known.")
        return given["upload_id"], session

    def receive(self, part, is_whole):
        """Takes a part in; of one that is cut off what is there."""
        with self.drive.lock:
            _, session = self.session()
            match = re.fullmatch(r"bytes (?:\*|(\d+)-(\d+))/(\d+)", self.headers.get("Content-Range", ""))
            if not match or int(match[3]) != session["length"]:
                raise bad("Content-Range")
            if match[1] is None:
                return session
            start, end = int(match[1]), int(match[2]) + 1
            is_last = end == session["length"]
            if start != len(session["received"]) or end > session["length"]:
                raise bad(f"expected from {len(session['received'])}")
            if is_whole and (len(part) != end - start or not (is_last or len(part) % PART_UNIT == 0)):
                raise bad("the part has a wrong size")
            kept = part if is_whole else part[: len(part) // PART_UNIT * PART_UNIT]
            session["received"] += kept
            return session

    def upload_part(self):
        session = self.receive(self.body, is_whole=True)
        if len(session["received"]) < session["length"]:
            told = [("Range", f"bytes=0-{len(session['received']) - 1}")] if session["received"] else []
            return self.answer(308, headers=told)
        self.drive.sessions.pop(self.session()[0])
        item = self.store(session["identity"], session["metadata"], session["received"])
        self.answer_json(self.drive.shown(item, session["fields"]))

    def upload_end(self):
        self.drive.sessions.pop(self.session()[0])
        self.answer(499)

    # What tests tell the server.

    def control(self, name, told):
        drive = self.drive
        if name == "token":
            return self.answer_json(f"token-{drive.generation}")
        if name == "log":
            log, drive.log = drive.log, []
            return self.answer_json(log)
        if name == "files":
            keys = FILE_FIELDS - {"md5Checksum"}
            return self.answer_json([drive.shown(item, keys) for item in drive.items.values()])
        if name == "expire":
            drive.generation += 1
        elif name == "fail":
            drive.faults.append(told)
        elif name == "cut":
            drive.cuts.append(told["bytes"])
        elif name == "sessions":
            return self.answer_json(len(drive.sessions))
        elif name == "forget-sessions":
            drive.sessions.clear()
        elif name == "lag":
            drive.lag = told["seconds"]
        elif name == "pages":
            drive.page_max = told["max"]
        elif name == "add":
            parents = [drive.known(told.pop("parent", "root"))["id"]]
            content = None if told.get("mimeType") == FOLDER else base64.b64decode(told.pop("content", ""))
            return self.answer_json(drive.add(told, content, parents)["id"])
        elif name == "age":
            for item in drive.items.values():
                item.update(createdTime="2020-01-01T00:00:00.000Z", modifiedTime="2020-01-01T00:00:00.000Z")
        elif name == "set":
            drive.known(told["id"]).update(told)
        else:
            return self.answer(404)
        return self.answer_json(None)


def main():
    Handler.drive = Drive()
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
