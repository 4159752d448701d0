"""What to say where a package is not installed that only some uses of Propusk need."""

from importlib.util import find_spec


def explained(missing: ModuleNotFoundError, extra: str) -> ModuleNotFoundError:
    """The same error, saying what to install; the very same where the package is there, but not as we know it.

    Args:
        missing: what an import raised.
        extra: the extra of ours that brings the package.
    """
    package = (missing.name or "").partition(".")[0]
    if not package or find_spec(package) is not None:
        return missing
    return ModuleNotFoundError(f"{package} is not installed: pip install 'propusk[{extra}]'", name=missing.name)
