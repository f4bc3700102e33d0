"""Puts the handlers of the extension into a running Jupyter server."""

from pathlib import Path
from typing import Any

from jupyter_server.utils import url_path_join
from tornado.ioloop import IOLoop

from jupyter_mlplat.server_extension.builds import BuildHandler, BuildPreviewHandler
from jupyter_mlplat.server_extension.environment import follow_flavor, leave_token
from jupyter_mlplat.server_extension.environments import (
    EnvironmentFilesHandler,
    EnvironmentHandler,
    EnvironmentsHandler,
    EnvironmentWorkHandler,
    sweep_environments,
)
from jupyter_mlplat.server_extension.execution import ExecHandler
from jupyter_mlplat.server_extension.forward import ForwardHandler
from jupyter_mlplat.server_extension.object_uploads import ObjectUploadHandler
from jupyter_mlplat.server_extension.objects import (
    GoneObjectsHandler,
    ObjectBucketHandler,
    ObjectBucketsHandler,
    ObjectContentHandler,
    ObjectCopyHandler,
    ObjectCountHandler,
    ObjectFactsHandler,
    ObjectLinkHandler,
    ObjectsHandler,
    ObjectVersionsHandler,
)
from jupyter_mlplat.server_extension.readings import InstanceHandler, ReadingsHandler
from jupyter_mlplat.server_extension.sshd import keep_sshd
from jupyter_mlplat.server_extension.submit import PreviewHandler, SubmitHandler
from jupyter_mlplat.server_extension.transfers import TransferHandler, TransfersHandler, transfers_of
from jupyter_mlplat.server_extension.work_folder import report_work_folder

ROUTES: list[tuple[str, type]] = [
    (r"v1/.+", ForwardHandler),
    (r"instance", InstanceHandler),
    (r"readings", ReadingsHandler),
    (r"submit/preview", PreviewHandler),
    (r"submit", SubmitHandler),
    (r"builds/preview", BuildPreviewHandler),
    (r"builds", BuildHandler),
    (r"exec", ExecHandler),
    (r"environments", EnvironmentsHandler),
    (r"environments/files", EnvironmentFilesHandler),
    (r"environments/work(?:/([a-z0-9-]+))?", EnvironmentWorkHandler),
    (r"environments/named/([^/]+)", EnvironmentHandler),
    (r"objects", ObjectsHandler),
    (r"objects/facts", ObjectFactsHandler),
    (r"objects/count", ObjectCountHandler),
    (r"objects/link", ObjectLinkHandler),
    (r"objects/versions", ObjectVersionsHandler),
    (r"objects/gone", GoneObjectsHandler),
    (r"objects/bucket", ObjectBucketHandler),
    (r"objects/buckets", ObjectBucketsHandler),
    (r"objects/copy", ObjectCopyHandler),
    (r"objects/content", ObjectContentHandler),
    (r"objects/upload", ObjectUploadHandler),
    (r"transfers", TransfersHandler),
    (r"transfers/([a-z0-9-]+)", TransferHandler),
]


def load(serverapp: Any) -> None:
    """Add the handlers below `mlplat/`, take over the CPUs of the flavor, and leave the token for terminals."""
    base = url_path_join(serverapp.web_app.settings["base_url"], "mlplat/")
    serverapp.web_app.add_handlers(".*$", [(base + pattern, handler) for pattern, handler in ROUTES])
    follow_flavor()
    leave_token()
    report_work_folder(serverapp)
    keep_sshd(serverapp)
    IOLoop.current().add_callback(sweep_environments)
    IOLoop.current().add_callback(transfers_of, serverapp.web_app.settings, Path(serverapp.root_dir).expanduser())
