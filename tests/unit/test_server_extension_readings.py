"""What an instance is said to use."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest
from server_extension_stage import V1, Platform, Server

from jupyter_mlplat.server_extension.accelerators import accelerator_readings, parse_npu_smi, parse_nvidia_smi
from jupyter_mlplat.server_extension.readings import Meter
from jupyter_mlplat.server_extension.work_folder import WorkFolderReports, is_news, use_of

pytest_plugins = ["server_extension_stage"]

MIB = 2**20

NPU_TABLE = """
+------------------------------------------------------------------------------------------------+
| npu-smi 23.0.rc2                 Version: 23.0.rc2                                             |
+---------------------------+---------------+----------------------------------------------------+
| NPU   Name                | Health        | Power(W)    Temp(C)           Hugepages-Usage(page)|
| Chip                      | Bus-Id        | AICore(%)   Memory-Usage(MB)  HBM-Usage(MB)        |
+===========================+===============+====================================================+
| 0     910B3               | OK            | 92.1        49                0    / 0             |
| 0                         | 0000:C1:00.0  | 17          0    / 0          3345 / 65536         |
+===========================+===============+====================================================+
| 1     910B3               | OK            | 91.0        48                0    / 0             |
| 0                         | 0000:C2:00.0  | 0           0    / 0          3344 / 65536         |
+===========================+===============+====================================================+
| NPU     Chip              | Process id    | Process name             | Process memory(MB)      |
+===========================+===============+====================================================+
| No running processes found in NPU 0                                                            |
"""


def test_gpus_are_read_as_far_as_the_flavor_gives_them() -> None:
    told = "0, GPU-aa, NVIDIA H200, 83, 1024, 143771\n1, GPU-bb, NVIDIA H200, [N/A], 0, 143771\nnonsense\n"
    first = {"name": "NVIDIA H200", "used_percent": 83.0, "memory_used_bytes": 1024 * MIB, "memory_bytes": 143771 * MIB}
    second = first | {"used_percent": 0.0, "memory_used_bytes": 0}
    assert parse_nvidia_smi(told, None) == [first, second]
    assert parse_nvidia_smi(told, {"1"}) == [second]
    assert parse_nvidia_smi(told, {"GPU-aa"}) == [first]
    assert parse_nvidia_smi(told, set()) == []


def test_npus_are_read_from_the_table() -> None:
    first = {"name": "910B3", "used_percent": 17.0, "memory_used_bytes": 3345 * MIB, "memory_bytes": 65536 * MIB}
    second = first | {"used_percent": 0.0, "memory_used_bytes": 3344 * MIB}
    assert parse_npu_smi(NPU_TABLE, None) == [first, second]
    assert parse_npu_smi(NPU_TABLE, {"1"}) == [second]
    assert parse_npu_smi("", None) == []


def test_the_vendors_tool_is_asked_only_for_a_flavor_with_devices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text('#!/bin/sh\necho "0, GPU-aa, T4, 50, 1, 2"\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    accelerator = {"flavor": {"category": "GPU", "accelerator": {"type": "T4", "count": 1}}, "variables": {}}
    assert [reading["name"] for reading in accelerator_readings(accelerator)] == ["T4"]
    assert accelerator_readings({"flavor": {"category": "CPU", "accelerator": None}}) == []
    assert accelerator_readings({}) == []
    tool.write_text("#!/bin/sh\nexit 9\n")
    assert accelerator_readings(accelerator) == []
    tool.unlink()
    assert accelerator_readings(accelerator) == []


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "runtime.json"
    file.write_text('{"environment": "/e", "cpus": [0, 1], "memory_bytes": 1000, "enforced": ["cpu", "memory"]}')
    monkeypatch.setenv("MLPLAT_RUNTIME", str(file))


def _eating(megabytes: int, **variables: str) -> "subprocess.Popen[bytes]":
    code = f"import sys; b = bytearray({megabytes} << 20); print(flush=True); sys.stdin.read(1)\nwhile True: pass"
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"PATH": "/usr/bin", **variables},
    )
    assert process.stdout is not None
    process.stdout.readline()
    return process


@pytest.mark.usefixtures("runtime")
def test_memory_of_children_counts_and_shares_are_not_counted_twice() -> None:
    before = Meter("i-x").read()["memory"]["used_bytes"]
    child = _eating(100)
    try:
        reading = Meter("i-x").read()["memory"]
        assert 100 * MIB < reading["used_bytes"] - before < 140 * MIB
        assert (reading["limit_bytes"], reading["enforced"]) == (1000, True)
    finally:
        child.kill()
        child.wait()


@pytest.mark.usefixtures("runtime")
def test_a_process_that_names_the_instance_counts_whoever_started_it() -> None:
    def grandchild(instance: str) -> int:
        command = [sys.executable, "-c", "import time; b = bytearray(60 << 20); print(flush=True); time.sleep(60)"]
        shell = f"exec 3>&1; setsid {' '.join(repr(word) for word in command)} >&3 & echo $!; exec 3>&-"
        environment = {"PATH": "/usr/bin:/bin", "MLPLAT_INSTANCE_ID": instance}
        with subprocess.Popen(["sh", "-c", shell], stdout=subprocess.PIPE, env=environment) as parent:
            assert parent.stdout is not None
            pid = int(parent.stdout.readline())
            parent.stdout.readline()
        return pid

    meter = Meter("i-x")
    before = meter.read()["memory"]["used_bytes"]
    ours, foreign = grandchild("i-x"), grandchild("i-y")
    try:
        assert 55 * MIB < Meter("i-x").read()["memory"]["used_bytes"] - before < 90 * MIB
    finally:
        os.kill(ours, 9)
        os.kill(foreign, 9)


@pytest.mark.usefixtures("runtime")
def test_cpu_is_counted_in_cores() -> None:
    child = _eating(1)
    try:
        meter = Meter("i-x")
        meter.read()
        assert child.stdin is not None
        child.stdin.write(b"go")
        child.stdin.flush()
        # a busy process shows within a few readings, however loaded the machine is
        used = 0.0
        for _ in range(20):
            threading.Event().wait(0.55)
            used = meter.read()["cpu"]["used"]
            if used > 0.2:
                break
        assert used > 0.2
        assert meter.read() is meter.read()
        assert meter.read()["cpu"]["cores"] == 2
    finally:
        child.kill()
        child.wait()


def test_readings_are_served(server: Server) -> None:
    body = httpx.get(f"{server.url}/mlplat/readings", headers=server.headers).json()
    assert body["cpu"]["cores"] == 2
    assert 20 * MIB < body["memory"].pop("used_bytes") < 500 * MIB
    assert body["memory"] == {"limit_bytes": 4096 * MIB, "enforced": False}
    assert body["accelerators"] == []


def test_looking_is_no_activity(server: Server) -> None:
    with server.client() as client:
        client.post("/api/contents", json={"type": "file"})
        before = client.get("/api/status", params={"no_track_activity": 1}).json()["last_activity"]
        for path in ("readings", "instance", "transfers", "v1/jobs"):
            client.get(f"/mlplat/{path}")
        assert client.get("/api/status", params={"no_track_activity": 1}).json()["last_activity"] == before
        client.post("/mlplat/v1/jobs", json={"name": "x"})
        assert client.get("/api/status", params={"no_track_activity": 1}).json()["last_activity"] > before


def test_the_work_folders_disk_is_read(server: Server) -> None:
    found = httpx.get(f"{server.url}/mlplat/readings", headers=server.headers).json()["work"]
    assert 0 < found["used_bytes"] < found["size_bytes"]


def test_small_changes_of_the_work_folder_are_no_news() -> None:
    told = {"used_bytes": 500, "size_bytes": 1000}
    assert is_news(told, None)
    assert not is_news({"used_bytes": 509, "size_bytes": 1000}, told)
    assert is_news({"used_bytes": 490, "size_bytes": 1000}, told)
    assert is_news({"used_bytes": 500, "size_bytes": 2000}, told)


async def test_the_platform_is_told_of_the_work_folder(
    platform: Platform, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    reports, before = WorkFolderReports(tmp_path, "i-1"), len(platform.work_reports)
    monkeypatch.setenv("MLPLAT_API", "http://127.0.0.1:9/v1")
    await reports.look()
    monkeypatch.setenv("MLPLAT_API", f"http://127.0.0.1:{platform.port}{V1}")
    await reports.look()
    await reports.look()
    assert [one["size_bytes"] for one in platform.work_reports[before:]] == [use_of(tmp_path)["size_bytes"]]
