"""A real S3 server (moto's) on a free port of this machine, for the tests. Its objects live in this process's memory."""

import secrets
import threading

from tests.ports import free_port

BUCKET = "sightglass-tests"


class ObjectStorageServer:
    """Started with its first use; `pause` lets it vanish, as a store that is down does."""

    def __init__(self):
        from moto.server import DomainDispatcherApplication, create_backend_app
        from werkzeug.serving import WSGIRequestHandler, make_server

        class Quiet(WSGIRequestHandler):
            def log(self, *_):
                pass

        self.requests = []

        def counted(environment, start_response, app=DomainDispatcherApplication(create_backend_app)):
            self.requests.append((environment["REQUEST_METHOD"], environment["PATH_INFO"]))
            return app(environment, start_response)

        self._make = lambda port: make_server("127.0.0.1", port, counted, threaded=True, request_handler=Quiet)
        self._start(free_port())  # none that the system hands out: while it is paused nobody else may be given it
        self.environment = {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_ACCESS_KEY_ID": "nobody",
            "AWS_SECRET_ACCESS_KEY": "s3cr3t-of-nobody",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        self._client().create_bucket(Bucket=BUCKET)

    def new_folder(self):
        return f"s3://{BUCKET}/{secrets.token_hex(4)}"

    def keys(self, url):
        """All objects below an address, relative to it."""
        prefix = url.removeprefix(f"s3://{BUCKET}/") + "/"
        pages = self._client().get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        return [entry["Key"].removeprefix(prefix) for page in pages for entry in page.get("Contents", [])]

    def overwrite(self, url, key, data):
        prefix = url.removeprefix(f"s3://{BUCKET}/")
        self._client().put_object(Bucket=BUCKET, Key=f"{prefix}/{key}", Body=data)

    def read(self, url, key):
        prefix = url.removeprefix(f"s3://{BUCKET}/")
        return self._client().get_object(Bucket=BUCKET, Key=f"{prefix}/{key}")["Body"].read()

    def pause(self):
        self.stop()

    def resume(self):
        self._start(self.port)

    def stop(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _start(self, port):
        self._server = self._make(port)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True, name="s3")
        self._thread.start()

    def _client(self):
        import boto3

        return boto3.client(
            "s3",
            endpoint_url=self.environment["AWS_ENDPOINT_URL"],
            aws_access_key_id=self.environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.environment["AWS_SECRET_ACCESS_KEY"],
            region_name=self.environment["AWS_DEFAULT_REGION"],
        )
