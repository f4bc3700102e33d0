"""Login with a random token: by opening an address that carries it, or by pasting it."""

import asyncio
from pathlib import Path
from typing import Any

from jupyterhub.auth import Authenticator
from jupyterhub.handlers.login import LoginHandler
from traitlets import Bool, Unicode

from jupyter_mlplat.hub.logins import Logins

FORM = """
<form action="{{ authenticator_login_url }}" method="post" role="form">
  <div class="auth-form-header"><h1>Log in</h1></div>
  <div class="auth-form-body m-auto">
    {% if login_error %}<p class="login_error" role="alert">{{ login_error }}</p>{% endif %}
    <p>Open the address that <code>mlplat up</code> printed, or paste its token here.
       Run <code>mlplat status</code> to see it again.</p>
    <input type="hidden" name="_xsrf" value="{{ xsrf }}">
    <label for="token_input">Token</label>
    <input id="token_input" class="form-control" type="password" name="token" autocomplete="off" autofocus required>
    <div class="feedback-container">
      <input id="login_submit" type="submit" class="btn btn-jupyter form-control" value="Log in">
    </div>
  </div>
</form>
"""
WRONG = "This token is not valid (any more). Run `mlplat status` to see the address that logs you in."


class TokenLoginHandler(LoginHandler):  # type: ignore[misc]
    """GET with `?token=` logs in at once; without it the form is shown."""

    async def get(self) -> None:
        token = self.get_argument("token", "")
        if not token:
            await super().get()
        else:
            await self._log_in(token)

    async def post(self) -> None:
        await self._log_in(self.get_argument("token", ""))

    async def _log_in(self, token: str) -> None:
        if user := await self.login_user({"token": token}):
            self.redirect(self._next(user))
        else:
            await self._refuse()

    def _next(self, user: Any) -> str:
        """Where to go after a login; unlike the inherited rule this never passes the token on."""
        wanted: str = self._validate_next_url(self.get_argument("next", ""))
        return wanted or str(self.default_url) or str(user.url)

    async def _refuse(self) -> None:
        self.set_status(403)
        self.finish(await self._render(login_error=WRONG))


class LoginTokenAuthenticator(Authenticator):  # type: ignore[misc]
    """Knows users by their login tokens. Whoever has a token is allowed in."""

    allow_all = Bool(True, help="A token is the permission").tag(config=True)
    logins_file = Unicode(help="Path of logins.json").tag(config=True)
    custom_html = FORM

    @property
    def _logins(self) -> Logins:
        return Logins(Path(self.logins_file))

    def get_handlers(self, app: Any) -> list[tuple[str, type[LoginHandler]]]:
        return [("/login", TokenLoginHandler)]

    async def authenticate(self, handler: Any, data: dict[str, str]) -> str | None:
        """The user whose token this is; None for an unknown token."""
        return await asyncio.to_thread(self._logins.user_of, data.get("token", "").strip())

    async def refresh_user(self, user: Any, handler: Any = None) -> bool:
        """False for a user whose token was taken away: the login has ended then."""
        return user.name in await asyncio.to_thread(self._logins.users)
