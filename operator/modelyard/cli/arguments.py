"""How commands take what they are about: the arguments that several of them have, with their completion."""

from typing import Annotated

import typer

from modelyard.cli.completion import complete_held, complete_model, complete_stage, complete_version

Model = Annotated[str, typer.Argument(metavar="MODEL", help="fraud or risk/fraud", autocompletion=complete_model)]
Version = Annotated[
    str,
    typer.Argument(metavar="VERSION", help="fraud-7, fraud:7 or fraud@staging", autocompletion=complete_version),
]
Held = Annotated[str, typer.Argument(metavar="MODEL@STAGE", help="fraud@production", autocompletion=complete_held)]
ModelOrStage = Annotated[
    str,
    typer.Argument(metavar="MODEL[@STAGE]", help="fraud, or one stage: fraud@production", autocompletion=complete_held),
]
Stage = Annotated[
    str,
    typer.Argument(metavar="STAGE", help="Such as production.", autocompletion=complete_stage),
]
Before = Annotated[
    str,
    typer.Argument(metavar="A", help="The version before, such as fraud@production", autocompletion=complete_version),
]
After = Annotated[
    str, typer.Argument(metavar="B", help="The version after, such as fraud-7", autocompletion=complete_version)
]
Files = Annotated[
    str,
    typer.Argument(metavar="MODEL@STAGE|MODEL:VERSION", help="risk/fraud@production", autocompletion=complete_held),
]
