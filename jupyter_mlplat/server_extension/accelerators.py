"""What the GPUs and NPUs of an instance do now, as their vendors' tools tell it."""

import re
import shutil
import subprocess
from collections.abc import Mapping
from typing import Any

_MIB = 2**20
_PATIENCE_SECONDS = 5

_NPU_FIRST = re.compile(r"^\|\s*(\d+)\s+(\S+)\s*\|\s*\S+\s*\|")
_NPU_SECOND = re.compile(r"^\|\s*\d+\s*(?:\d+\s*)?\|\s*[\w:.]+\s*\|\s*(\d+)\s+(.*?)\s*\|")
_PAIR = re.compile(r"(\d+)\s*/\s*(\d+)")


def accelerator_readings(runtime: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One `{name, used_percent, memory_used_bytes, memory_bytes}` for each device that the flavor gives."""
    flavor, variables = runtime.get("flavor") or {}, runtime.get("variables") or {}
    if not flavor.get("accelerator"):
        return []
    if flavor.get("category") == "ASCEND":
        visible = variables.get("ASCEND_RT_VISIBLE_DEVICES", variables.get("ASCEND_VISIBLE_DEVICES"))
        return parse_npu_smi(_told_by("npu-smi", "info"), _chosen(visible))
    fields = "index,uuid,name,utilization.gpu,memory.used,memory.total"
    told = _told_by("nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader,nounits")
    return parse_nvidia_smi(told, _chosen(variables.get("CUDA_VISIBLE_DEVICES")))


def parse_nvidia_smi(text: str, visible: set[str] | None) -> list[dict[str, Any]]:
    """Lines of `index, uuid, name, percent, MiB, MiB`; `visible` holds indices or uuids, None means all."""
    readings = []
    for line in text.splitlines():
        fields = [field.strip() for field in line.split(",")]
        if len(fields) == 6 and (visible is None or visible & set(fields[:2])):
            readings.append(_reading(fields[2], fields[3], fields[4], fields[5]))
    return readings


def parse_npu_smi(text: str, visible: set[str] | None) -> list[dict[str, Any]]:
    """The table of `npu-smi info`: two lines a device. The last `used / total` of the second is its memory."""
    readings, device = [], None
    for line in text.splitlines():
        second = _NPU_SECOND.match(line)
        if device and second and (pairs := _PAIR.findall(second[2])):
            if visible is None or device[0] in visible:
                readings.append(_reading(device[1], second[1], *pairs[-1]))
            device = None
        elif first := _NPU_FIRST.match(line):
            device = (first[1], first[2])
    return readings


def _reading(name: str, percent: str, used_mib: str, total_mib: str) -> dict[str, Any]:
    return {
        "name": name,
        "used_percent": _number(percent),
        "memory_used_bytes": int(_number(used_mib) * _MIB),
        "memory_bytes": int(_number(total_mib) * _MIB),
    }


def _number(text: str) -> float:
    # nvidia-smi says [N/A] for what a device cannot tell
    try:
        return float(text)
    except ValueError:
        return 0.0


def _chosen(visible: str | None) -> set[str] | None:
    return None if visible is None else {device.strip() for device in visible.split(",") if device.strip()}


def _told_by(program: str, *arguments: str) -> str:
    found = shutil.which(program)
    if found is None:
        return ""
    try:
        command = [found, *arguments]
        told = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return told.stdout if told.returncode == 0 else ""
