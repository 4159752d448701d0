"""A host: the floor's endpoint in an app that Propusk was put into, without a caller and with one."""

import gc
import sys
from typing import Annotated

import uvicorn
from fastapi import Depends, FastAPI

from bench.floor import ADA, FloorUser
from propusk import CurrentUser, Settings, create_auth

auth = create_auth(Settings.from_env())
app = FastAPI()
auth.install(app)


@app.get("/plain")
async def get_plain() -> FloorUser:
    """Nothing but FastAPI's own work."""
    return FloorUser.model_construct(**ADA)


@app.get("/mine")
async def get_mine(user: CurrentUser) -> FloorUser:
    """The same for somebody whose session was just read."""
    return FloorUser.model_construct(**{**ADA, "email": user.email})


async def nobody() -> None:
    """What FastAPI takes for a dependency that does nothing."""


@app.get("/nobody")
async def get_nobody(_nobody: Annotated[None, Depends(nobody)]) -> FloorUser:
    """The same with one."""
    return FloorUser.model_construct(**ADA)


if __name__ == "__main__":
    gc.collect()
    gc.freeze()
    uvicorn.run(
        app, port=int(sys.argv[1]), access_log=False, log_level="warning", proxy_headers=False, server_header=False
    )
