"""The guide for those who come from FastAPI Users, as the tests read it."""

import re
from pathlib import Path

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "from-fastapi-users.md"
_BLOCK = re.compile(r"^```python (\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(kind: str) -> str:
    """What you `had`, or what you write `now`: all blocks of the kind, as one text."""
    found = [text for name, text in _BLOCK.findall(GUIDE.read_text()) if name == kind]
    assert found, kind
    return "\n\n".join(found)
