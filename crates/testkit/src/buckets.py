"""Buckets on loopback until standard input closes: `s3` by moto, `gs` by gcp-storage-emulator.

Prints its port once it answers. The emulator stores objects with their generations and answers JSON; our client speaks
the XML interface (https://cloud.google.com/storage/docs/xml-api/overview), of which it knows two calls. The rest is here,
over the emulator's own storage.
"""

import email.utils
import hashlib
import sys
import threading
import time
from datetime import datetime, timezone
from http.server import ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree import ElementTree
from xml.sax.saxutils import escape

# As the stores do it: no part but the last is smaller, and a list has an end.
SMALLEST_PART = 5 << 20
PAGE = 100


def s3():
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    return server.get_host_and_port()[1]


def gs():
    from gcp_storage_emulator import server as emulator
    from gcp_storage_emulator.exceptions import NotFound
    from gcp_storage_emulator.handlers.objects import _checksums, _make_object_resource
    from gcp_storage_emulator.storage import Storage

    storage, lock, uploads = Storage(use_memory_fs=True), threading.Lock(), {}

    class Xml(emulator.RequestHandler):
        protocol_version = "HTTP/1.1"

        def parts(self):
            url = urlsplit(self.path)
            bucket, _, name = unquote(url.path).lstrip("/").partition("/")
            return bucket, name, parse_qs(url.query, keep_blank_values=True)

        def body(self):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))

        def say(self, status, body=b"", **headers):
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key.replace("_", "-"), value)
            if "Content_Length" not in headers:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def refuse(self, status, code):
            self.say(status, f"<Error><Code>{code}</Code></Error>".encode())

        def store(self, bucket, name, data):
            made = _make_object_resource("", bucket, name, "application/octet-stream", str(len(data)))
            storage.create_file(bucket, name, data, _checksums(data, made))
            return made

        def known(self, made):
            return {"ETag": f'"{made["etag"]}"', "x_goog_generation": made["generation"]}

        def do_GET(self):
            bucket, name, query = self.parts()
            if not bucket or bucket in ("storage", "b", "upload", "download"):
                return super().do_GET()
            with lock:
                try:
                    if not name:
                        return self.list(bucket, query)
                    made, data = storage.get_file_obj(bucket, name), storage.get_file(bucket, name)
                except NotFound:
                    return self.refuse(404, "NoSuchKey")
            when = datetime.fromisoformat(made["updated"].replace("Z", "+00:00"))
            headers = {**self.known(made), "Last_Modified": email.utils.format_datetime(when, usegmt=True)}
            asked = self.headers.get("Range")
            if asked is None:
                return self.say(200, data, Content_Length=str(len(data)), **headers)
            first, _, last = asked.removeprefix("bytes=").partition("-")
            first, last = int(first), min(int(last or len(data)), len(data) - 1)
            if first > last:
                return self.refuse(416, "InvalidRange")
            some = data[first : last + 1]
            where = f"bytes {first}-{last}/{len(data)}"
            return self.say(206, some, Content_Length=str(len(some)), Content_Range=where, **headers)

        do_HEAD = do_GET

        def list(self, bucket, query):
            prefix = query.get("prefix", [""])[0]
            after = query.get("continuation-token", query.get("start-after", [""]))[0]
            found, _ = storage.get_file_list(bucket, prefix)
            found = [one for one in found if one["name"] > after]
            text = "".join(
                f"<Contents><Key>{escape(one['name'])}</Key><LastModified>{one['updated']}</LastModified>"
                f"<ETag>&quot;{one['etag']}&quot;</ETag><Size>{one['size']}</Size></Contents>"
                for one in found[:PAGE]
            )
            if len(found) > PAGE:
                text += f"<NextContinuationToken>{escape(found[PAGE - 1]['name'])}</NextContinuationToken>"
            self.say(200, f"<ListBucketResult>{text}</ListBucketResult>".encode())

        def do_PUT(self):
            bucket, name, query = self.parts()
            if not name:
                return super().do_PUT()
            data = self.body()
            with lock:
                if "uploadId" in query:
                    parts = uploads.get(query["uploadId"][0])
                    if parts is None:
                        return self.refuse(404, "NoSuchUpload")
                    parts[int(query["partNumber"][0])] = data
                    return self.say(200, ETag=f'"{hashlib.md5(data).hexdigest()}"')
                exists = name in storage.objects.get(bucket, {})
                if self.headers.get("x-goog-if-generation-match") == "0" and exists:
                    return self.refuse(412, "PreconditionFailed")
                try:
                    return self.say(200, **self.known(self.store(bucket, name, data)))
                except NotFound:
                    return self.refuse(404, "NoSuchBucket")

        def do_POST(self):
            bucket, name, query = self.parts()
            if "uploads" in query:
                self.body()
                with lock:
                    if bucket not in storage.buckets:
                        return self.refuse(404, "NoSuchBucket")
                    key = f"{time.time_ns()}-{len(uploads)}"
                    uploads[key] = {}
                text = f"<InitiateMultipartUploadResult><UploadId>{key}</UploadId></InitiateMultipartUploadResult>"
                return self.say(200, text.encode())
            if "uploadId" in query:
                wanted = [int(n.text) for n in ElementTree.fromstring(self.body()).iter("PartNumber")]
                with lock:
                    parts = uploads.get(query["uploadId"][0])
                    if parts is None or any(n not in parts for n in wanted):
                        return self.refuse(404, "NoSuchUpload")
                    if any(len(parts[n]) < SMALLEST_PART for n in wanted[:-1]):
                        return self.refuse(400, "EntityTooSmall")
                    made = self.store(bucket, name, b"".join(parts[n] for n in wanted))
                    del uploads[query["uploadId"][0]]
                etag = f"<ETag>&quot;{made['etag']}&quot;</ETag>"
                text = f"<CompleteMultipartUploadResult>{etag}</CompleteMultipartUploadResult>"
                return self.say(200, text.encode(), **self.known(made))
            return super().do_POST()

        def do_DELETE(self):
            bucket, name, query = self.parts()
            with lock:
                if "uploadId" in query:
                    uploads.pop(query["uploadId"][0], None)
                    return self.say(204)
                try:
                    storage.delete_file(bucket, name)
                except NotFound:
                    return self.refuse(404, "NoSuchKey")
            return self.say(204)

    server = ThreadingHTTPServer(("127.0.0.1", 0), lambda *rest: Xml(storage, *rest))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


if __name__ == "__main__":
    print({"s3": s3, "gs": gs}[sys.argv[1]](), flush=True)
    sys.stdin.read()
