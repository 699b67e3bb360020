"""Reads an export of Interocitor by core/FORMAT.md alone: a folder, or an archive with its passphrase or mesh passphrase.

    python3 read_export.py FOLDER
    python3 read_export.py ARCHIVE PASSPHRASE

Prints {"meshId", "tables": {T: {ROW: {..}}}, "tombstones": {T: [ROW]}, "files": {PATH: {"size", "sha256", "contentType"}}}.
Needs Python 3.9 and, for archives, the package cryptography (44 or newer).
"""

import base64
import hashlib
import hmac
import io
import json
import os
import sys
import tarfile

ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def hkdf(secret, info):
    """HKDF-SHA-256 (RFC 5869) with an empty salt, 32 bytes."""
    pseudorandom = hmac.new(bytes(32), secret, hashlib.sha256).digest()
    return hmac.new(pseudorandom, info.encode() + b"\x01", hashlib.sha256).digest()


def mesh_key(passphrase):
    number = 0
    for letter in passphrase.strip():
        number = number * 58 + ALPHABET.index(letter)
    return number.to_bytes(32, "big")


def entries_of_archive(path, passphrase):
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

    with open(path, "rb") as file:
        line, envelope = file.read().split(b"\n", 1)
    head = json.loads(line)
    assert head["format"] == "interocitor-archive" and head["version"] == 1
    if head["key"] == "passphrase":
        assert head["kdf"] == "argon2id"
        salt = base64.b64decode(head["salt"])
        cost = {"iterations": head["passes"], "lanes": head["lanes"], "memory_cost": head["memory"]}
        base = Argon2id(salt=salt, length=32, **cost).derive(passphrase.encode())
    else:
        base = mesh_key(passphrase)
    check = hkdf(base, "interocitor/native/archive-check/v1/" + head["salt"])[:16].hex()
    if check != head["check"]:
        sys.exit("the passphrase is another one")
    key = hkdf(base, "interocitor/native/archive/v1/" + hashlib.sha256(line).hexdigest())
    envelope = json.loads(envelope)
    assert envelope["v"] == 1
    plain = AESGCM(key).decrypt(base64.b64decode(envelope["iv"]), base64.b64decode(envelope["ct"]), None)
    with tarfile.open(fileobj=io.BytesIO(plain)) as tar:
        members = tar.getmembers()
        assert all(member.isfile() for member in members)
        names = [member.name for member in members]
        assert names[0] == "export.json" and names[-1] == "SHA256SUMS" and len(set(names)) == len(names)
        return {member.name: tar.extractfile(member).read() for member in members}


def entries_of_folder(root):
    entries = {}
    for folder, _, names in os.walk(root):
        for name in names:
            path = os.path.join(folder, name)
            with open(path, "rb") as file:
                entries[os.path.relpath(path, root).replace(os.sep, "/")] = file.read()
    return entries


def clock(text):
    """Clocks compare by time, counter and then device, by UTF-16 code unit."""
    time, counter, device = text.split("-", 2)
    return int(time), int(counter, 16), device.encode("utf-16-be", "surrogatepass")


def read(entries):
    sums = dict(reversed(line.split("  ", 1)) for line in entries["SHA256SUMS"].decode().splitlines())
    assert set(sums) == set(entries) - {"SHA256SUMS"}, "something is missing, or too much"
    for name, digest in sums.items():
        assert hashlib.sha256(entries[name]).hexdigest() == digest, name
    head = json.loads(entries["export.json"])
    assert head["format"] == "interocitor-export" and head["version"] == 1
    tables, tombstones = {}, {}
    for table in head["tables"]:
        lines = entries[table["file"]].split(b"\n")[:-1]
        assert len(lines) == table["rows"], table["file"]
        last = None
        for line in lines:
            row = json.loads(line)
            order = row["id"].encode("utf-8", "surrogatepass")
            assert last is None or last < order, "rows stand in the order of their ids"
            last = order
            deleted = row.get("deletedHlc")
            for column in row["columns"].values():
                assert deleted is None or clock(column["hlc"]) > clock(deleted)
            if row["columns"] or deleted is None:
                values = {name: column["value"] for name, column in row["columns"].items()}
                tables.setdefault(table["name"], {})[row["id"]] = values
            else:
                tombstones.setdefault(table["name"], []).append(row["id"])
    files = {}
    for line in entries["files.jsonl"].split(b"\n")[:-1]:
        file = json.loads(line)
        content = entries[file["file"]]
        assert len(content) == file["size"] and hashlib.sha256(content).hexdigest() == file["sha256"]
        files[file["path"]] = {name: file.get(name) for name in ("size", "sha256", "contentType")}
    return {"meshId": head.get("meshId"), "tables": tables, "tombstones": tombstones, "files": files}


if __name__ == "__main__":
    source = sys.argv[1]
    entries = entries_of_folder(source) if os.path.isdir(source) else entries_of_archive(source, sys.argv[2])
    print(json.dumps(read(entries)))
