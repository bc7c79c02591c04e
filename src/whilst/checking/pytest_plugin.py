"""The pytest plugin: a test that passes if its tasks are isolated, and shows nothing but the counterexample if not.

    @pytest.mark.isolated
    def test_deposits():
        return Account, [deposit, withdraw]          # (setup, tasks)

    def test_transfers(isolated):
        isolated(Bank, [transfer, audit], invariant=lambda bank: bank.total == 200)

    pytest --whilst-threads=2 -k cache               # unchanged tests: each body as two tasks over one set of fixtures

This module is imported in every pytest run of every project that has whilst installed: it imports nothing but
pytest, and the checker only when a test asks for it.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from whilst.model.verdict import Verdict


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options, which all begin with `--whilst-`."""
    group = parser.getgroup("whilst", "isolation in each and any interleaving")
    group.addoption(
        "--whilst-budget", metavar="BUDGET", help='what a test may spend: seconds, "2 min", "5000 executions"'
    )
    group.addoption(
        "--whilst-keep",
        metavar="FOLDER",
        default=".whilst",
        help="where failing schedules are kept, to be tried first next time (below the root folder; 'no': nowhere)",
    )
    group.addoption(
        "--whilst-threads",
        metavar="N",
        type=int,
        help="run the body of each test as N tasks over one set of fixtures, in each and any interleaving",
    )
    group.addoption("--whilst-replay", metavar="TOKEN", help="run the interleaving of this token and no other")


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers",
        "isolated(**options): the test returns (setup, tasks); it passes if the tasks end in each and any interleaving "
        "as in some sequential order. Options are those of whilst.check, and inconclusive='fail' or 'pass'.",
    )
    config.addinivalue_line(
        "markers",
        "whilst(threads=2, **options): the body of the test is run as so many tasks over one set of fixtures, in each "
        "and any interleaving. Options are those of isolated.",
    )


def pytest_runtest_setup(item: pytest.Item) -> None:
    """What a method of a `unittest.TestCase` returns goes nowhere: a marked one would pass whatever it asks."""
    unittest, kind = sys.modules.get("unittest"), getattr(item, "cls", None)
    is_deaf = unittest is not None and kind is not None and issubclass(kind, unittest.TestCase)
    for name in ("isolated", "whilst"):
        if is_deaf and item.get_closest_marker(name) is not None:
            pytest.fail(f"@pytest.mark.{name} is not for methods of a unittest.TestCase: use a function", pytrace=False)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Call a marked test for its question, and check that; or check the body of a test."""
    marker = pyfuncitem.get_closest_marker("isolated")
    if marker is None:
        return _check_body(pyfuncitem)
    if marker.args:
        pytest.fail("@pytest.mark.isolated takes keyword arguments only: return (setup, tasks)", pytrace=False)
    wanted = inspect.signature(pyfuncitem.obj).parameters
    given = pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in wanted})
    from whilst.checking.question import as_question
    from whilst.errors import CheckError

    try:
        question = as_question(given, pyfuncitem.name)
    except CheckError as error:
        if inspect.iscoroutine(given):
            given.close()
        raise pytest.fail.Exception(str(error), pytrace=False) from None
    own = {
        "outcome": question.outcome,
        "invariant": question.invariant,
        "always": question.always,
        "orders": question.orders,
        "raises": question.raises,
    }
    _hold(pyfuncitem, question.setup, question.tasks, {**own, **marker.kwargs})
    return True


def _check_body(item: pytest.Function) -> bool | None:
    """Check the body of a test against itself, if it is marked so, or all tests are to be."""
    __tracebackhide__ = True
    marker = item.get_closest_marker("whilst")
    if marker is not None and marker.args:
        pytest.fail("@pytest.mark.whilst takes keyword arguments only: threads=2", pytrace=False)
    options = dict(marker.kwargs) if marker is not None else {}
    asked = item.config.getoption("--whilst-threads")
    threads = options.pop("threads", asked or (2 if marker is not None else None))
    if threads is None or threads == 1:
        return None
    if not isinstance(threads, int) or threads < 1:
        pytest.fail(f"threads is a number of tasks, 1 or more, got {threads!r}", pytrace=False)
    fixtures = _Fixtures(item)
    verdict = _ask(item, fixtures.setup, [fixtures.body] * threads, options)
    if fixtures.skipped is not None:
        raise fixtures.skipped
    raised = next((f"{k} {v}" for end in verdict.sequential for k, v in end.facts.items() if k.endswith(" raised")), "")
    if raised and not verdict and "raises" not in options:
        again = f"run {threads} times over one set of fixtures, one after the other, the test fails already: {raised}"
        pytest.fail(f"{again}. Tests of what they alone change can't be checked against themselves", pytrace=False)
    _judge(item, verdict, options)
    return True


class _Fixtures:
    """The fixtures of one test, made anew for each execution as pytest makes them for each test.

    Those of a wider scope stay. What pytest itself provides is given to the body and is no part of the outcome.
    """

    def __init__(self, item: pytest.Function) -> None:
        self._item = item
        self._names = tuple(inspect.signature(item.obj).parameters)
        self.skipped: BaseException | None = None
        makers = [each.func for defs in item._fixtureinfo.name2fixturedefs.values() for each in defs]  # noqa: SLF001
        self.setup = functools.partial(self._renew, *makers)  # named here, so that the check sees into them
        self.body: Any = self._coroutine() if inspect.iscoroutinefunction(item.obj) else self._function()
        # It is seen through to the test, but is called with the state, and is itself no code of the user's.
        self.body.__module__ = __name__
        parameter = inspect.Parameter("state", inspect.Parameter.POSITIONAL_ONLY)
        setattr(self.body, "__signature__", inspect.Signature([parameter]))  # noqa: B010

    def _renew(self, *_makers: Callable[..., object]) -> SimpleNamespace:
        item: Any = self._item
        # As plugins do that run a test again: there is no public way. Finalizers take from the stash what hooks of a
        # whole run have put there.
        made, stash = item.session._setupstate, item.stash._storage  # noqa: SLF001
        kept = dict(stash)
        made.teardown_exact(item.parent)  # the test's own fixtures alone
        stash.update({**kept, **stash})
        item._initrequest()  # noqa: SLF001
        made.setup(item)
        return SimpleNamespace(**{name: value for name, value in self._given().items() if not _is_of_pytest(value)})

    def _given(self) -> dict[str, Any]:
        return {name: self._item.funcargs[name] for name in self._names}

    def _function(self) -> object:
        def body(_state: object) -> object:
            try:
                return self._item.obj(**self._given())
            except pytest.skip.Exception as skipped:
                self.skipped = skipped
                raise

        return functools.update_wrapper(body, self._item.obj)

    def _coroutine(self) -> object:
        async def body(_state: object) -> object:
            return await self._item.obj(**self._given())

        return functools.update_wrapper(body, self._item.obj)


def _is_of_pytest(value: object) -> bool:
    return type(value).__module__.partition(".")[0] in ("_pytest", "pytest", "pathlib")


@pytest.fixture
def isolated(request: pytest.FixtureRequest) -> Callable[..., Verdict]:
    """`isolated(setup, tasks, **options)`: as `whilst.check`, and the test fails unless they are isolated."""

    def hold(setup: Callable[[], Any], tasks: Sequence[Callable[..., Any]], **options: Any) -> Verdict:
        __tracebackhide__ = True
        return _hold(request.node, setup, tasks, options)

    return hold


def _name_of(item: pytest.Item) -> str:
    """The test, and which of its questions this is: they come in the same order each time."""
    number = item.stash.get(_ASKED, 0)
    item.stash[_ASKED] = number + 1
    return f"{item.nodeid} {number}" if number else item.nodeid


_ASKED = pytest.StashKey[int]()


def _hold(
    item: pytest.Item, setup: Callable[[], Any], tasks: Sequence[Callable[..., Any]], options: Mapping[str, Any]
) -> Verdict:
    __tracebackhide__ = True
    verdict = _ask(item, setup, tasks, options)
    _judge(item, verdict, options)
    return verdict


def _judge(item: pytest.Item, verdict: Verdict, options: Mapping[str, Any]) -> None:
    __tracebackhide__ = True
    from whilst.model.verdict import Answer

    is_meant = options.get("inconclusive", "fail") == "pass" or item.config.getoption("--whilst-replay")
    is_open = verdict.answer in (Answer.INCONCLUSIVE, Answer.STEP_BOUND) and is_meant
    if not verdict.is_isolated and not is_open:
        threads = item.config.getoption("--whilst-threads")
        chosen = f" --whilst-threads={threads}" if threads else ""
        again = f"pytest {item.nodeid!r}{chosen} --whilst-replay={verdict.token}"
        text = verdict.to_text(width=100).replace(f"whilst.replay({verdict.token!r}, setup, tasks)", again)
        pytest.fail(text, pytrace=False)


def _ask(
    item: pytest.Item, setup: Callable[[], Any], tasks: Sequence[Callable[..., Any]], options: Mapping[str, Any]
) -> Verdict:
    __tracebackhide__ = True
    from whilst.checking.api import check, replay
    from whilst.checking.explain.kept import KeptSchedules
    from whilst.errors import CheckError

    asked = dict(options)
    asked.pop("inconclusive", None)
    config = item.config
    folder = config.getoption("--whilst-keep")
    if folder != "no":
        asked.setdefault("keep", KeptSchedules(config.rootpath / folder, _name_of(item)))
    budget, token = config.getoption("--whilst-budget"), config.getoption("--whilst-replay")
    if budget:
        asked["budget"] = budget
    unknown = [name for name in asked if name not in inspect.signature(check).parameters]
    if unknown:
        pytest.fail(f"whilst.check has no option {', '.join(map(repr, unknown))}", pytrace=False)
    if token:
        kept = {name: asked[name] for name in ("outcome", "invariant", "always", "limits") if name in asked}
        verdict = replay(token, setup, tasks, **kept)
    else:
        try:
            verdict = check(setup, tasks, **asked)
        except CheckError as error:
            raise pytest.fail.Exception(str(error), pytrace=False) from None
    return verdict
