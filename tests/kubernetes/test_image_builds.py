"""Images built on the real cluster: what comes of them, what is refused, and what the steps of a user cannot see."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from builds_stage import Builder, building
from jobs_stage import until
from kubectl import Kubectl
from release import Images, Release
from test_main_job import WHEEL, wheel

from jupyter_mlplat.instances.models import Instance
from jupyter_mlplat.jobs.models import Phase
from jupyter_mlplat.sdk import Client

WITH_PACKAGE = f"""
ARG BASE=python:3.11
FROM ${{BASE}}
COPY {WHEEL} /tmp/
RUN pip install --no-index --no-cache-dir /tmp/{WHEEL}
USER 0
RUN rm /tmp/{WHEEL} && install -d -o 1000 -g 1000 /opt/data && id -u > /opt/data/who
USER 1000:1000
"""
GREET = "import greeter, pathlib\nprint(greeter.WORDS, pathlib.Path('/opt/data/who').read_text())\n"
SEARCH = """
FROM python:3.11
USER 0
RUN echo begins; env; cat /proc/[0-9]*/environ | tr '\\0' '\\n'; \\
    for root in / /proc/[0-9]*/root; do \\
      ls -laR $root/run/mlplat $root/var/run/secrets $root/run/secrets $root/build; \\
      cat $root/run/mlplat/token $root/root/.docker/config.json $root/etc/containers/auth.json; \\
    done; grep -r mlplat /proc/[0-9]*/cmdline; cat /proc/self/status; mount; \\
    /usr/sbin/chroot /proc/1/root /bin/sh -c 'cat /run/mlplat/token'; echo; echo ends
USER 1000:1000
"""


@pytest.fixture(scope="module")
def builder(kubectl: Kubectl, images: Images, hub: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Builder]:
    with building(kubectl, images, hub, tmp_path_factory.mktemp("builds")) as platform:
        yield platform


def test_a_package_that_is_built_in_is_there_in_a_job(builder: Builder, kubectl: Kubectl) -> None:
    image_id = builder.begin(WITH_PACKAGE, {WHEEL: wheel()})
    image = builder.end(image_id)
    assert image["status"] == "ACTIVE", (image["status_message"], builder.log(image_id))
    preset = builder.alice.get("/images", params={"name": "python"}).json()["data"][0]
    assert [parent["name"] for parent in image["parents"]] == ["python:3.11"]
    assert image["parent_digest"] == preset["digest"] and 0 < image["added"] < image["size"]
    assert [package["name"] for package in image["changes"]["added"]] == ["greeter"] and not image["changes"]["removed"]
    below = builder.now(preset["id"])["layers"]
    assert [layer["digest"] for layer in image["layers"][:-1]] == [layer["digest"] for layer in below]
    assert "STEP 5/6: RUN rm" in builder.log(image_id)
    above = builder.end(builder.begin(f"FROM {image['name']}:1\nRUN pip uninstall -y greeter\n"))
    assert above["status"] == "ACTIVE", above["status_message"]
    assert [parent["name"] for parent in above["parents"]] == [f"{image['name']}:1", "python:3.11"]
    assert [package["name"] for package in above["changes"]["removed"]] == ["greeter"]
    job = builder.submit({"greet.py": GREET}, "greet.py", image_id=image_id)
    assert job.end()["phase"] == "Completed", job.log()
    assert "hello from a package of my own 0" in job.log()
    until(lambda: not builder.left(kubectl), 60)


def test_a_containerfile_that_fails_says_where_and_leaves_nothing(builder: Builder, kubectl: Kubectl) -> None:
    image_id = builder.begin("FROM python:3.11\nRUN echo first words && sh -c 'echo the reason; exit 7'\n")
    image = builder.end(image_id)
    assert image["status"] == "CREATE_FAILED"
    assert "failed at STEP 2/2: RUN echo first words" in image["status_message"]
    assert "the reason" in image["status_message"] and "the reason" in builder.log(image_id)
    assert builder.tags(image) == []
    until(lambda: not builder.left(kubectl), 60)


@pytest.mark.parametrize(
    ("last", "words"),
    [("USER 0", "end its Containerfile with USER 1000:1000"), ("FROM scratch\nCOPY . /", "was not made for instances")],
)
def test_what_is_unfit_for_instances_is_not_kept(builder: Builder, last: str, words: str) -> None:
    image = builder.end(builder.begin(f"FROM python:3.11\n{last}\n"))
    assert image["status"] == "CREATE_FAILED" and words in image["status_message"]
    assert builder.tags(image) == []


def test_what_may_not_be_built_on_and_taken_tags_are_refused_before_the_start(
    builder: Builder, kubectl: Kubectl
) -> None:
    before = builder.left(kubectl)
    for first, words in [
        ("FROM nowhere:1", "the catalogue has no such image"),
        ("FROM registry.example.org/team/base:1", "registry.example.org is not allowed"),
        ("FROM docker.io/library/python:3", "docker.io is not allowed"),
    ]:
        answer = builder.build(f"{first}\n")
        assert answer.status_code == 422 and words in answer.json()["error_msg"], answer.text
    answer = builder.build("FROM python:3.11\n", name="python", tag="3.11")
    assert answer.status_code == 409 and "already" in answer.json()["error_msg"]
    assert builder.left(kubectl) == before


def test_an_allowed_registry_may_be_built_on(builder: Builder, kubectl: Kubectl) -> None:
    name = f"{kubectl.registry}/mlplat/python:dev"
    image_id = builder.begin(f"FROM {name}\nRUN echo on it\n")
    image = builder.end(image_id)
    assert image["status"] == "ACTIVE", (image["status_message"], builder.log(image_id))
    copies = f"http://{builder.registry}/v2/{builder.prefix}/registered/for-builds/{image_id}/tags/list"
    until(lambda: not (httpx.get(copies).json().get("tags") or []), 30)


def test_a_build_that_is_given_up_leaves_nothing(builder: Builder, kubectl: Kubectl) -> None:
    image_id = builder.begin("FROM python:3.11\nRUN echo sleeps && sleep 600\n")
    builder.logs(image_id, "\nsleeps")
    image = builder.now(image_id)
    builder.alice.post(f"/images/{image_id}/cancel").raise_for_status()
    until(lambda: builder.alice.get(f"/images/{image_id}").status_code == 404, 30)
    until(lambda: not builder.left(kubectl), 60)
    assert builder.tags(image) == []


def test_a_platform_that_is_killed_goes_on_with_it(builder: Builder, kubectl: Kubectl) -> None:
    image_id = builder.begin("FROM python:3.11\nRUN echo sleeps && sleep 12 && echo woke\n")
    builder.logs(image_id, "\nsleeps")
    builder.kill()
    builder.start()
    image = builder.end(image_id)
    assert image["status"] == "ACTIVE", image["status_message"]
    assert builder.log(image_id).count("\nwoke") == 1


def test_a_pod_that_is_removed_is_told_of(builder: Builder, kubectl: Kubectl) -> None:
    image_id = builder.begin("FROM python:3.11\nRUN echo sleeps && sleep 600\n")
    builder.logs(image_id, "\nsleeps")
    kubectl.run("delete", "pods", "-n", builder.builds, "-l", f"mlplat.io/image={image_id}", "--wait=false")
    image = builder.end(image_id)
    assert image["status"] == "CREATE_FAILED" and "Build again" in image["status_message"], image["status_message"]
    until(lambda: not builder.left(kubectl), 60)


def test_the_steps_of_a_user_see_no_token_and_no_key_of_a_registry(builder: Builder) -> None:
    image_id = builder.begin(SEARCH)
    image = builder.end(image_id)
    log = builder.log(image_id)
    assert image["status"] == "ACTIVE", (image["status_message"], log)
    assert "\nbegins" in log and "\nends" in log
    assert builder.token(image_id) not in log
    for words in ("MLPLAT_TOKEN", "MLPLAT_API", "jupyter_mlplat", "serviceaccount", "eyJhbGciOi"):
        assert words not in log, words


def test_through_the_installed_chart_and_from_an_instance(
    release: Release, alice: Client, alices_instance: Instance, kubectl: Kubectl, tmp_path: Path
) -> None:
    lab = release.lab(alice, alices_instance)
    lab.put(WHEEL, wheel())
    lab.put("Containerfile", WITH_PACKAGE.encode())
    named = ["--name", "charted", "--tag", "1", "--build-arg", "BASE=python:3.11"]
    command = ["mlplat", "image", "build", ".", *named, "--wait"]
    assert alice.instances.exec(alices_instance.id, command) == 0
    image = alice.images.find("charted:1")
    assert "STEP 1/6: FROM python:3.11" in "".join(alice.images.log(image.id))
    assert 'ARG BASE="python:3.11"' in alice.images.get(image.id).containerfile
    script = tmp_path / "greet.py"
    script.write_text(GREET)
    job = alice.jobs.wait(alice.jobs.submit(script, image=image.id, flavor="t.small").id, timeout=120)
    assert job.phase is Phase.COMPLETED, job.phase_message
    builds = f"{release.namespace}-builds"
    until(lambda: not kubectl.run("get", "jobs,secrets", "-n", builds, "-o", "name").split(), 60)
