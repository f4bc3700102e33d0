"""What the probes of a cluster ask."""

import httpx
from console_over_http import TLS
from platform_over_http import PREFIX


def test_a_probe_needs_no_login(console_address: str) -> None:
    root = console_address.removesuffix(PREFIX)
    with httpx.Client(base_url=root, verify=TLS) as probe:
        assert probe.get("/health").json().keys() == {"version"}
        assert probe.get("/health/ready").status_code == 200
