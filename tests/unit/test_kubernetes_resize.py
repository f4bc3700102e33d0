"""What the kubelet's words about a resize mean."""

from typing import Any

from jupyter_mlplat.backends.kubernetes.resize import actual, verdict
from jupyter_mlplat.errors import Conflict, SoldOut

Json = dict[str, Any]
WANTED = {"cpu": "2", "memory": "4096Mi"}


def pod(limits: Json, *conditions: Json, generation: int = 3) -> Json:
    resources = {"limits": limits, "requests": limits}
    return {
        "metadata": {"generation": generation},
        "spec": {"containers": [{"name": "notebook", "resources": {"limits": WANTED}}]},
        "status": {
            "containerStatuses": [{"name": "notebook", "resources": resources}],
            "conditions": [{"status": "True", "observedGeneration": 3, **condition} for condition in conditions],
        },
    }


def test_it_is_in_force_once_the_container_has_it_however_it_is_written() -> None:
    assert verdict(pod({"cpu": "2000m", "memory": "4Gi"}), WANTED, 3) is True
    assert verdict(pod({"cpu": "1", "memory": "4Gi"}), WANTED, 3) is False


def test_it_is_under_way_until_the_pod_says_that_it_is_done() -> None:
    assert verdict(pod(WANTED, {"type": "PodResizeInProgress"}), WANTED, 3) is False
    assert verdict(pod(WANTED, generation=2), WANTED, 3) is False


def test_a_deferred_one_is_sold_out_and_an_infeasible_one_a_conflict() -> None:
    before = {"cpu": "1", "memory": "2Gi"}
    deferred = verdict(pod(before, {"type": "PodResizePending", "reason": "Deferred", "message": "full"}), WANTED, 3)
    assert isinstance(deferred, SoldOut)
    never = verdict(pod(before, {"type": "PodResizePending", "reason": "Infeasible", "message": "small"}), WANTED, 3)
    assert isinstance(never, Conflict)
    assert "small" in never.message


def test_words_about_an_earlier_wish_do_not_count() -> None:
    old = {"type": "PodResizePending", "reason": "Deferred", "observedGeneration": 2}
    assert verdict(pod({"cpu": "1", "memory": "2Gi"}, old), WANTED, 3) is False


def test_an_error_of_the_kubelet_is_told() -> None:
    failed = verdict(pod(WANTED, {"type": "PodResizeInProgress", "reason": "Error", "message": "in use"}), WANTED, 3)
    assert isinstance(failed, Conflict)
    assert "in use" in failed.message


def test_what_is_in_force_is_what_the_container_has_not_what_was_asked() -> None:
    assert actual(pod({"cpu": "1", "memory": "2Gi"})) == {"cpu": "1", "memory": "2Gi"}
