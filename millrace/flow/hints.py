"""One line of help for failures that cost people days: what the error means here, and what to do about it."""

from __future__ import annotations

import re

from millrace.types import Failure

_NO_ATTRIBUTE = re.compile(r"Can't get attribute '(?P<name>[^']+)' on <module '(?P<module>[^']+)'")
_NO_MODULE = re.compile(r"No module named '(?P<module>[^']+)'")
_VARIABLE = re.compile(r"os\.environ\[")
_NOT_FOUND = ("ModuleNotFoundError", "Runtime.ImportModuleError")
# What `__main__` calls itself in a message: the spec of the module that a replica was started with.
_SCRIPTS = ("__main__", "__mp_main__", "millrace.replica.__main__")
_UNPICKLING = ("pickle", "joblib", "dill")


def hint(failure: Failure) -> str:
    """What to do about a failure, "" when nothing is known that its own text does not say."""
    if failure.type == "AttributeError" and (found := _NO_ATTRIBUTE.search(failure.message)):
        return _pickled_name(found["name"], found["module"])
    if _lacks_module(failure) and (found := _NO_MODULE.search(failure.message)):
        return _module(found["module"], failure.traceback)
    if failure.type == "KeyError" and _VARIABLE.search(failure.traceback):
        name = failure.message.strip("'")
        return f"the environment variable {name} is not set: put it under `environment:` of the function"
    return ""


def _lacks_module(failure: Failure) -> bool:
    """Whether an import failed, also where it is called as Lambda calls it."""
    return failure.type in _NOT_FOUND and "ModuleNotFoundError" in (failure.type, *failure.mro)


def _pickled_name(name: str, module: str) -> str:
    if module in _SCRIPTS:
        return (
            f"a pickle wants {name} from the script that made it: move {name} into a module of its own, import it from "
            "there in that script, and pickle again (`millrace check` lists what each pickle wants)"
        )
    return f"a pickle wants {module}.{name}, which {module} no longer has: pickle again with the module as it is now"


def _module(module: str, traceback: str) -> str:
    top = module.partition(".")[0]
    if any(f"{name}.load" in traceback for name in _UNPICKLING):
        return f"a pickle wants the module {module}: put {top} beside the code or install it where millrace runs"
    return f"install {top} where millrace runs, or put {top}.py into the project's folder"
