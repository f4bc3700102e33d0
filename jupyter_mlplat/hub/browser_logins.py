"""Logins of browsers that outlive a restart of the server that they are at."""

from typing import Any

from jupyterhub import orm


class KeepsBrowserLogins:
    """What a spawner mixes in so that a Lab that is open in a browser goes on after a restart of its server.

    At a stop the Hub would remove the server's OAuth client, and with it every browser's token. Here the client stays
    until the instance is deleted. A browser's token lets it see this one server; it ends with the login at the Hub,
    and by its age. The server's own token is revoked at every stop that ends the server.
    """

    will_resume = True
    leaves_server = False
    """Whether a stop has left the server running, which goes on with its token."""

    db: Any
    api_token: str

    def run_post_stop_hook(self) -> Any:
        """Called by the Hub at every end of a server, whoever ended it."""
        ends = self.api_token and not self.leaves_server
        own = orm.APIToken.find(self.db, self.api_token) if ends else None
        if own is not None:
            self.db.delete(own)
            self.db.commit()
        return super().run_post_stop_hook()  # type: ignore[misc]
