"""stranger.py INSTANCE [--high-port] < BOOT.JSON: claims, from a machine of a rehearsed Azure, to be an instance, with the token that the metadata service gives to anybody there.

Prints "welcomed" when the daemon said its hello, which it says to those alone whose claim it believes; else "refused". Root speaks from a port below 1024, as an agent does."""
import base64
import ctypes
import json
import os
import secrets
import socket
import struct
import sys
import urllib.parse
import urllib.request

boot = json.load(sys.stdin)
instance = sys.argv[1]
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def token():
    query = {"api-version": "2018-02-01", "resource": "https://management.azure.com/"}
    if boot["identity"]:
        query["msi_res_id" if boot["identity"].startswith("/") else "client_id"] = boot["identity"]
    url = "http://169.254.169.254/metadata/identity/oauth2/token?" + urllib.parse.urlencode(query)
    return json.load(opener.open(urllib.request.Request(url, headers={"Metadata": "true"}), timeout=5))["access_token"]


def seal(plain, key):
    sodium = ctypes.CDLL("libsodium.so.23")
    assert sodium.sodium_init() >= 0
    out = ctypes.create_string_buffer(len(plain) + 48)
    assert sodium.crypto_box_seal(out, plain, ctypes.c_ulonglong(len(plain)), key) == 0
    return out.raw


claim = {"v": 1, "secret": secrets.token_hex(32), "instance": instance, "kind": "azure_token", "document": token()}
sealed = base64.b64encode(seal(json.dumps(claim).encode(), bytes.fromhex(boot["daemon_key"]))).decode()
hello = json.dumps({"v": 1, "instance": instance, "nonce": secrets.token_hex(32), "claim": sealed}).encode()

daemon = socket.socket()
daemon.settimeout(12)
if os.geteuid() == 0 and "--high-port" not in sys.argv:
    for port in range(1000, 600, -1):
        try:
            daemon.bind(("", port))
            break
        except OSError:
            continue
address, port = boot["daemon"].rsplit(":", 1)
daemon.connect((address, int(port)))
try:
    daemon.sendall(struct.pack(">I", len(hello)) + hello)
    answer = daemon.recv(4096)
except (ConnectionError, TimeoutError):
    answer = b""
print("welcomed" if answer else "refused")
