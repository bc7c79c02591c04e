"""The keywords that map, imap, gather and Executor share, checked once and frozen."""

from __future__ import annotations

from whilst._light import Record
from whilst.errors import WhilstError
from whilst.running.backends import BACKENDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from os import PathLike
    from typing import Any, Literal, TypedDict, TypeVar

    from whilst.model import Mode

    F = TypeVar("F", bound=Callable[..., Any])

    class OtherKeywords(TypedDict, total=False):
        """`Keywords` without `errors`, which says what verbs give."""

        mode: Literal["auto", "sequential", "concurrent", "parallel", "combined"] | Mode
        workers: int | None
        backend: str | None
        timeout_s: float | None
        deadline_s: float | None
        retries: int | None
        retry_on: type[Exception] | tuple[type[Exception], ...]
        rate_per_s: float | None
        seed: int | None
        progress: bool
        on_result: Callable[[int, Any], object] | None
        pilot: Literal["inline", "worker"]
        journal: str | PathLike[str] | None
        on: Any

    class Keywords(OtherKeywords, total=False):
        """What may be given to every verb that runs calls; see `Options` for what each one means."""

        errors: Literal["raise", "return"]

else:
    Keywords = dict

MODES = ("auto", "sequential", "concurrent", "parallel", "combined")

_RETRIES_ON_ERRORS = 3
_CO_COROUTINE = 0x0080


class OptionsError(WhilstError, ValueError):
    """A keyword has a value that it can't have."""


class Options(Record):
    """How to run calls.

    Args:
        mode: "auto" measures and decides; or one of the story's four words.
        workers: how many threads, processes or calls in flight; None: as the mode finds good.
        backend: a back end by name ("inline", "threads", "eventloop", "processes", …) instead of the mode's own.
        timeout_s: seconds that one call may take before it fails with `TimeoutExceededError`.
        deadline_s: seconds that the whole run may take. Then no further call begins, those in progress end as by
            timeout_s, and the run fails with `DeadlineExceededError`, which says how many calls were done. With
            errors="return" what was done is given, with that error in the place of the rest (of an input of unknown
            length: one for all the rest).
        retries: how often at most a call is made again that was lost because its worker died, or that raised one of
            retry_on. None: 0, or 3 with retry_on.
        retry_on: exceptions after which a call is made again, after a wait of up to 0.1 s, 0.2 s, 0.4 s … (exponential
            back-off with full jitter), and no sooner than their `Retry-After` says, if they carry one.
        rate_per_s: how many calls begin per second at most, evenly, over the whole run and all of its workers.
        errors: "raise" ends the run with the first error; "return" puts errors in the place of results.
        seed: sets `random` and `numpy.random` for each call from (seed, number of the item).
        progress: a bar with rate and time left, if stderr is a terminal.
        on_result: called in the caller's process with (number of the item, result) as each call is done, in the order
            in which that happens; with the exception in the place of the result, where the call failed for good. What
            it raises ends the run. On a running loop it is called there.
        pilot: where mode="auto" makes the first calls: "inline", or in a "worker" where a crash is survived.
        journal: a file that remembers finished calls, so that a run that was killed goes on where it stopped. It holds
            pickles, so it is trusted like code, and refused if others may write it.
        on: a Dask cluster that makes the calls: a `distributed.Client`, a cluster object, or an address as
            "tcp://host:8786". It has to answer within timeout_s. [None, cluster] weighs this machine against it.
    """

    mode: str = "auto"
    workers: int | None = None
    backend: str | None = None
    timeout_s: float | None = None
    deadline_s: float | None = None
    retries: int | None = None
    retry_on: type[Exception] | tuple[type[Exception], ...] = ()
    rate_per_s: float | None = None
    errors: str = "raise"
    seed: int | None = None
    progress: bool = False
    on_result: Callable[[int, Any], object] | None = None
    pilot: str = "inline"
    journal: str | PathLike[str] | None = None
    on: Any = None

    @classmethod
    def of(cls, verb: str, keywords: Keywords) -> Options:
        """Check a verb's keywords.

        Raises:
            TypeError: there is no such keyword.
            OptionsError: one has a value that it can't have.
        """
        if not keywords:
            return _USUAL
        known = cls._fields
        for name in keywords:
            if name not in known:
                import difflib

                near = difflib.get_close_matches(name, known, 1)
                hint = f"did you mean {near[0]!r}?" if near else f"it takes {', '.join(known)}."
                raise TypeError(f"{verb}() got an unexpected keyword argument {name!r}; {hint}")
        return cls(**keywords).checked()

    def checked(self) -> Options:
        """Return this.

        Raises:
            OptionsError: one has a value that it can't have.
        """
        if isinstance(self.mode, str) and self.mode in BACKENDS:
            near = " or ".join(f"mode={mode!r}" for mode in BACKENDS[self.mode].modes)
            raise OptionsError(f"{self.mode!r} is a back end, not a mode; pass {near}, or backend={self.mode!r}.")
        _one_of("mode", self.mode, MODES)
        _one_of("errors", self.errors, ("raise", "return"))
        _one_of("pilot", self.pilot, ("inline", "worker"))
        _whole("workers", self.workers, 1)
        if self.retries is not None:
            _whole("retries", self.retries, 0)
        if self.seed is not None:
            _whole("seed", self.seed, None)
        _positive("timeout_s", self.timeout_s, "seconds")
        _positive("deadline_s", self.deadline_s, "seconds")
        _positive("rate_per_s", self.rate_per_s, "calls a second")
        for kind in self.retry_on if isinstance(self.retry_on, tuple) else (self.retry_on,):
            if not (isinstance(kind, type) and issubclass(kind, Exception)):
                raise OptionsError(f"retry_on must be an exception class, or a tuple of such, got {kind!r}.")
        if self.on_result is not None:
            if not callable(self.on_result):
                raise OptionsError(f"on_result must be a function of (number, result), got {self.on_result!r}.")
            if getattr(getattr(self.on_result, "__code__", None), "co_flags", 0) & _CO_COROUTINE:
                raise OptionsError(f"on_result must be a plain function, and {self.on_result!r} gives a coroutine.")
        if self.on is not None and not (self.mode in {"auto", "parallel"} and self._may_be_elsewhere):
            raise OptionsError(
                f"on={self.on!r} makes calls in parallel on a cluster: leave out mode= and backend=, or leave out on=."
            )
        if isinstance(self.on, list | tuple) and (
            len(self.on) != 2
            or sum(each is None for each in self.on) != 1
            or self.mode != "auto"
            or self.backend
            or self.pilot != "inline"
        ):
            raise OptionsError(
                f"on={self.on!r}: to weigh this machine against a cluster pass on=[None, cluster], and no mode=, "
                f"backend= or pilot=."
            )
        modes = BACKENDS[self.backend].modes if self.backend in BACKENDS else MODES
        if self.mode != "auto" and self.mode not in modes:
            is_in = " or ".join(modes)
            raise OptionsError(
                f"backend={self.backend!r} is {is_in}, not mode={str(self.mode)!r}; pass one of the two."
            )
        return self

    @property
    def is_paced(self) -> bool:
        """Calls may have to wait for their time, or be made again; see `core.pacing`."""
        return bool(self.retry_on) or self.rate_per_s is not None or self.deadline_s is not None

    @property
    def most_retries(self) -> int:
        """How often at most a call is made again."""
        if self.retries is not None:
            return self.retries
        return _RETRIES_ON_ERRORS if self.retry_on else 0

    @property
    def _may_be_elsewhere(self) -> bool:
        return self.backend is None or (self.backend in BACKENDS and BACKENDS[self.backend].is_elsewhere)


_USUAL = Options()


class _Signature:
    """Stands for the `inspect.Signature` of a function that takes `Keywords`: with each of them and its usual value.

    The real one is made when it is asked for: `inspect` takes longer to load than a run of short calls.
    """

    def __init__(self, fn: Any, without: tuple[str, ...]) -> None:
        self._fn, self._without = fn, without
        self._made: Any = None

    def _signature(self) -> Any:
        if self._made is None:
            from inspect import Parameter, signature

            fn = self._fn
            bare = type(fn)(fn.__code__, fn.__globals__, fn.__name__, fn.__defaults__)
            bare.__kwdefaults__, bare.__annotations__ = fn.__kwdefaults__, fn.__annotations__
            found = signature(bare)
            own = [each for each in found.parameters.values() if each.kind is not Parameter.VAR_KEYWORD]
            own += [
                Parameter(name, Parameter.KEYWORD_ONLY, default=usual, annotation=Options.__annotations__[name])
                for name, usual in zip(Options._fields, _USUAL, strict=True)
                if name not in self._without
            ]
            self._made = found.replace(parameters=own)
        return self._made

    @property  # type: ignore[misc]
    def __class__(self) -> Any:  # inspect takes nothing else
        return type(self._signature())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._signature(), name)

    def __str__(self) -> str:
        return str(self._signature())

    def __repr__(self) -> str:
        return repr(self._signature())

    def __eq__(self, other: object) -> bool:
        return bool(self._signature() == other)

    def __hash__(self) -> int:
        return hash(self._signature())


def shows_keywords(*without: str) -> Callable[[F], F]:
    """Have `inspect.signature` and `help` show each keyword of a verb, `without` those that it refuses."""

    def show(fn: F) -> F:
        fn.__signature__ = _Signature(fn, without)  # type: ignore[attr-defined]
        return fn

    return show


class _LateUnpack:
    """`typing.Unpack`, for those who resolve annotations: by then typing is loaded."""

    def __getitem__(self, kind: Any) -> Any:
        from typing import Unpack

        return Unpack[kind]


LateUnpack = _LateUnpack()


def _one_of(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise OptionsError(f"{name} must be one of {', '.join(map(repr, choices))}, got {value!r}.")


def _positive(name: str, value: object, unit: str) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < float("inf")
    if value is not None and not is_number:
        raise OptionsError(f"{name} must be a number of {unit}, more than 0, got {value!r}.")


def _whole(name: str, value: object, least: int | None) -> None:
    if value is None and name == "workers":
        return
    if not isinstance(value, int) or isinstance(value, bool) or (least is not None and value < least):
        bound = "" if least is None else f" of at least {least}"
        raise OptionsError(f"{name} must be a whole number{bound}, got {value!r}.")
