"""What a registry's answers and failures mean, in words."""

import ssl

import httpx

from jupyter_mlplat.errors import BackendFailure, InvalidInput, MlplatError, NoSpace, NotFound, TooLarge
from jupyter_mlplat.oci.registry_access import Refused

_FULL = ("no space left", '"Err":28', "disk quota", "QuotaExceeded", "storage quota")


def failure(address: str, error: httpx.TransportError) -> MlplatError:
    """The error that a request without an answer stands for."""
    if untrusted(error):
        return Refused(
            f"The certificate of the registry {address} is not trusted. Set the file of its certificate authority."
        )
    return BackendFailure(f"The registry {address} does not answer ({type(error).__name__}). Try again later.")


def untrusted(error: BaseException | None) -> bool:
    """Whether the other side showed a certificate that nobody we trust has signed."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False


def refusal(address: str, answer: httpx.Response, what: str) -> MlplatError:
    """The error that an answer with a status of 400 and above stands for; `what` completes "… says no to"."""
    status, text = answer.status_code, answer.text
    if status == 507 or (status >= 500 and any(sign in text for sign in _FULL)):
        return NoSpace(f"The registry {address} is full: {what} could not be stored. Delete images nobody needs.")
    if status in (401, 403):
        return Refused(f"The registry {address} refuses {what}. Check what its user may do.")
    if status == 404:
        return NotFound(f"The registry {address} does not have {what}.")
    if status == 413:
        return TooLarge(f"The registry {address} does not take {what}: it is too large for it.")
    if status == 429 or status >= 500:
        return BackendFailure(f"The registry {address} cannot take {what} now ({status}). Try again later.")
    return InvalidInput(f"The registry {address} says no to {what}: {_reason(answer)}.")


def worth_another_try(status: int) -> bool:
    """Whether the same request may succeed in a moment."""
    return status in (429, 502, 503, 504)


def _reason(answer: httpx.Response) -> str:
    try:
        error = answer.json()["errors"][0]
        return f"{error.get('message') or error.get('code')}"
    except (ValueError, LookupError, TypeError, AttributeError):
        return f"status {answer.status_code}"
