"""Who may do what with the Hub: the roles and scopes, as values.

A user holds no scope that starts, stops or lists servers, or makes tokens: that is the platform's to do, which checks
its own permissions first. With this role the Hub's own pages for spawning answer 403.
"""

from typing import Any

SERVICE = "mlplat"
SUPERVISOR = "mlplat-supervisor"
SSH_SERVICE = "mlplat-ssh"
ACCESS_SERVICE = f"access:services!service={SERVICE}"

USER_SCOPES = [
    "read:users:name!user",
    "read:users:groups!user",
    "users:activity!user",
    "access:servers!user",
    ACCESS_SERVICE,
]
SERVER_TOKEN_SCOPES = ["users:activity!user", "access:servers!server", ACCESS_SERVICE]
"""What the token inside an instance may do. Any cell of a shared notebook can read it, so it is worth little."""

SERVICE_CLIENT_SCOPES = ["read:users:name!user", "read:users:groups!user"]
"""What the console's login may read of the user besides knowing who it is."""


def owner_token_scopes(owner: str) -> list[str]:
    """What the token in `profile.json` may do: speak to the platform and to the owner's servers as the owner."""
    names = [f"read:users:name!user={owner}", f"read:users:groups!user={owner}"]
    return [*names, f"access:servers!user={owner}", ACCESS_SERVICE]


def roles() -> list[dict[str, Any]]:
    """The roles for `JupyterHub.load_roles`. The platform's administrators hold none of the Hub's powers."""
    return [
        {"name": "user", "description": "What every user may do", "scopes": USER_SCOPES},
        {
            "name": "mlplat-platform",
            "description": "Starts and stops the servers of the users on the platform's decision",
            "services": [SERVICE],
            "scopes": ["admin:users", "admin:servers", "read:hub"],
        },
        {
            "name": SUPERVISOR,
            "description": "Restores the routes of a restarted proxy, makes tokens for those who may read its secrets",
            "services": [SUPERVISOR],
            "scopes": ["proxy", "read:hub", "admin:users", "tokens"],
        },
    ]
