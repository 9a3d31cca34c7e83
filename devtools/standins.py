"""Importable stand-ins for torchvision and torchaudio.

The host imports both at start-up although the nodes used here never call them. Where torch is a
CPU build there is often no build of the two that fits it: they are then missing, or present but
unable to load. `install()` puts one finder in front of the others. It looks only when one of the
two is first imported, because torch must not be imported before the host has chosen its settings:
the real package is used when it loads, and an importable stand-in when it does not.
"""

import importlib.machinery
import sys
import types

PACKAGES = ("torchvision", "torchaudio")


class _Placeholder(type):
    """Metaclass of the stand-in names: any attribute exists, calling one explains itself."""

    def __getattr__(cls, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return _placeholder(cls.__module__, name)

    def __call__(cls, *args, **kwargs):
        raise RuntimeError(
            f"{cls.__module__}.{cls.__name__} is a stand-in: "
            f"no {cls.__module__.partition('.')[0]} that fits this torch is installed"
        )


def _placeholder(module, name):
    return _Placeholder(name, (), {"__module__": module})


class StandInModule(types.ModuleType):
    """A module in which every public name exists and none does anything."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        value = _placeholder(self.__name__, name)
        setattr(self, name, value)
        return value


class _StandInLoader:
    def create_module(self, spec):
        return StandInModule(spec.name)

    def exec_module(self, module):
        module.__path__ = []
        module.__version__ = "0.0.0"


class _TryRealLoader:
    """Runs the real package's loader and falls back to a stand-in when that raises."""

    def __init__(self, real, finder):
        self.real = real
        self.finder = finder

    def create_module(self, spec):
        return self.real.create_module(spec)

    def exec_module(self, module):
        name = module.__name__
        try:
            self.real.exec_module(module)
        except Exception:
            for loaded in [key for key in sys.modules if key.startswith(name + ".")]:
                del sys.modules[loaded]
            self.finder.absent.add(name)
            kept = {key: getattr(module, key) for key in ("__name__", "__spec__", "__loader__")}
            module.__dict__.clear()
            module.__dict__.update(kept, __package__=name)
            module.__class__ = StandInModule
            _StandInLoader().exec_module(module)


class _Finder:
    """Meta path finder for the two packages and, once a stand-in is used, their submodules."""

    def __init__(self):
        self.absent = set()

    def find_spec(self, fullname, path=None, target=None):
        package = fullname.partition(".")[0]
        if package not in PACKAGES:
            return None
        if package not in self.absent:
            if fullname != package:
                return None  # a submodule of the real package
            spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
            if spec is not None and spec.loader is not None:
                spec.loader = _TryRealLoader(spec.loader, self)
                return spec
            self.absent.add(package)
        return importlib.machinery.ModuleSpec(fullname, _StandInLoader(), is_package=True)


def install():
    """Put the finder in front of the others; a second call changes nothing."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


def in_use():
    """The packages that a stand-in answers for so far."""
    return sorted(name for name in PACKAGES if isinstance(sys.modules.get(name), StandInModule))
