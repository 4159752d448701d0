"""`docker compose` as the guide uses it, for a machine without an engine: what would be run in a container is run here.

`docker.json` in the current folder says where: `root` stands for the image's `/`, `env` is what its processes find in
their environment, `database` is the database's URL.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

ABOUT = json.loads(Path("docker.json").read_text())


def here(text: str) -> str:
    """A path of the image, as it is here."""
    return re.sub(r"/data\b", f"{ABOUT['root']}/data", text)


def inside(command: list[str]) -> int:
    """Run a command of a container."""
    command = [here(argument) for argument in command]
    return subprocess.run(command, env=ABOUT["env"], cwd=f"{ABOUT['root']}/etc/propusk", check=False).returncode


def main(verb: str, rest: list[str]) -> int:
    """Do one command; what the guide does not use is an error."""
    match verb, rest:
        case "build", [] | ["--pull"]:
            return 0
        case "up", ["--detach"]:
            return inside(["propusk", "migrate"])
        case "run", ["--rm", "--no-deps", "--entrypoint", "sh", "propusk", *arguments]:
            return inside(["sh", *arguments])
        case "exec", ["-T", "propusk", *command]:
            return inside(command)
        case "exec", ["-T", "postgresql", "pg_dump", *options, "--username=propusk", "propusk"]:
            return inside(["pg_dump", *options, ABOUT["database"]])
        case "cp", [source, target]:
            return subprocess.run(["cp", here(source.removeprefix("propusk:")), target], check=False).returncode
    print("the guide uses something new:", verb, *rest, file=sys.stderr)
    return 2


if __name__ == "__main__":
    assert sys.argv[1] == "compose"
    sys.exit(main(sys.argv[2], sys.argv[3:]))
