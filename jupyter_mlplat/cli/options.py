"""Options that several commands take."""

from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Wait = Annotated[bool, typer.Option("--wait", help="Wait until it is done.")]
Image = Annotated[str | None, typer.Option("--image", metavar="IMAGE", help="NAME[:TAG] or id of an image.")]
Flavor = Annotated[str | None, typer.Option("--flavor", metavar="FLAVOR", help="See `mlplat flavor list`.")]
Pairs = list[str] | None
