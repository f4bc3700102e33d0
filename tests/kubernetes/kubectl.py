"""The cluster as an administrator sees it: kubectl and helm as functions."""

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx

Json = dict[str, Any]
MANIFESTS = ", ".join(
    f"application/vnd.{kind}+json" for kind in ("oci.image.manifest.v1", "docker.distribution.manifest.v2")
)


class CommandFailed(AssertionError):
    """A command ended with an error; the message is what it wrote."""


@dataclass(frozen=True)
class Question:
    """May a service account (NAMESPACE:NAME) do this? `what` is RESOURCE, RESOURCE/SUBRESOURCE or RESOURCE.GROUP."""

    account: str
    verb: str
    what: str
    namespace: str

    def review(self) -> Json:
        """The question in the words of the API server."""
        path, _, group = self.what.partition(".")
        resource, _, subresource = path.partition("/")
        asked = {"verb": self.verb, "resource": resource, "subresource": subresource, "group": group}
        return {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {
                "user": f"system:serviceaccount:{self.account}",
                "groups": ["system:serviceaccounts", f"system:serviceaccounts:{self.account.partition(':')[0]}"],
                "resourceAttributes": {**asked, "namespace": self.namespace},
            },
        }


@dataclass(frozen=True)
class Kubectl:
    """The cluster of KUBECONFIG. `registry` is the one that its nodes pull from, at plain HTTP."""

    registry: str

    def run(self, *words: str, body: object = None, timeout: float = 300) -> str:
        """What `kubectl …` prints; `body` goes to it as JSON (`-f -`). CommandFailed with its words."""
        return command("kubectl", *words, body=body, timeout=timeout)

    def json(self, *words: str) -> Json:
        """An object or a list."""
        answer: Json = json.loads(self.run(*words, "--output=json"))
        return answer

    @property
    def server(self) -> str:
        """The address of the API server."""
        address: str = self.json("config", "view", "--minify")["clusters"][0]["cluster"]["server"]
        return address

    def look(self, *words: str) -> str:
        """The same, or why it cannot be shown: for the message of a test that has failed already."""
        try:
            return self.run(*words)
        except CommandFailed as error:
            return str(error)

    def warnings(self, *words: str) -> list[str]:
        """What the API server warns of, line by line."""
        done = subprocess.run(["kubectl", *words], capture_output=True, text=True)
        return done.stderr.splitlines()

    def may(self, questions: Sequence[Question]) -> list[bool]:
        """What service accounts may do, asked at once and answered in the same order."""
        reviews = [question.review() for question in questions]
        listed = {"apiVersion": "v1", "kind": "List", "items": reviews}
        answer = self.run("create", "-f", "-", "-o", 'jsonpath={.status.allowed}{"\\n"}', body=listed)
        return [line == "true" for line in answer.split()]

    def digest(self, repository: str, tag: str = "dev") -> str:
        """What a tag of the registry stands for now."""
        host, _, prefix = self.registry.partition("/")
        path = "/".join(filter(None, [prefix, repository]))
        url = f"http://{host}/v2/{path}/manifests/{tag}"
        answer = httpx.head(url, headers={"Accept": MANIFESTS}).raise_for_status()
        return str(answer.headers["Docker-Content-Digest"])

    @contextmanager
    def namespace(self, prefix: str, **labels: str) -> Iterator[str]:
        """A namespace of one's own, removed afterwards with all that is in it."""
        name = f"{prefix}-{uuid4().hex[:6]}"
        self.run("create", "-f", "-", body=_namespace(name, labels))
        try:
            yield name
        finally:
            self.remove_namespace(name)

    def remove_namespace(self, name: str) -> None:
        """Without waiting for what is in it to end."""
        self.run("delete", "namespace", name, "--ignore-not-found", "--wait=false")


def command(*words: str, body: object = None, timeout: float = 300) -> str:
    """What a command prints. CommandFailed with what it wrote where it fails."""
    text = None if body is None else json.dumps(body)
    done = subprocess.run(words, input=text, capture_output=True, text=True, timeout=timeout, env=os.environ)
    if done.returncode:
        raise CommandFailed(f"{' '.join(words[:6])} …: {done.stderr or done.stdout}")
    return done.stdout


def _namespace(name: str, labels: dict[str, str]) -> Json:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
