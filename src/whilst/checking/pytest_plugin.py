"""The pytest plugin: a test that passes if its tasks are isolated, and shows nothing but the counterexample if not.

    @pytest.mark.isolated
    def test_deposits():
        return Account, [deposit, withdraw]          # (setup, tasks)

    def test_transfers(isolated):
        isolated(Bank, [transfer, audit], invariant=lambda bank: bank.total == 200)

This module is imported in every pytest run of every project that has whilst installed: it imports nothing but
pytest, and the checker only when a test asks for it.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import pytest

if TYPE_CHECKING:
    from whilst.model.verdict import Verdict


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--whilst-budget` and `--whilst-replay`."""
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
    group.addoption("--whilst-replay", metavar="TOKEN", help="run the interleaving of this token and no other")


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers",
        "isolated(**options): the test returns (setup, tasks); it passes if the tasks end in each and any interleaving "
        "as in some sequential order. Options are those of whilst.check, and inconclusive='fail' or 'pass'.",
    )


def pytest_runtest_setup(item: pytest.Item) -> None:
    """What a method of a `unittest.TestCase` returns goes nowhere: a marked one would pass whatever it asks."""
    unittest, kind = sys.modules.get("unittest"), getattr(item, "cls", None)
    is_deaf = unittest is not None and kind is not None and issubclass(kind, unittest.TestCase)
    if is_deaf and item.get_closest_marker("isolated") is not None:
        pytest.fail("@pytest.mark.isolated is not for methods of a unittest.TestCase: use a function", pytrace=False)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Call a marked test for its question, and check that."""
    marker = pyfuncitem.get_closest_marker("isolated")
    if marker is None:
        return None
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
    from whilst.checking.api import check, replay
    from whilst.checking.explain.kept import KeptSchedules
    from whilst.errors import CheckError
    from whilst.model.verdict import Answer

    asked = dict(options)
    inconclusive: Literal["fail", "pass"] = asked.pop("inconclusive", "fail")
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
    is_open = verdict.answer in (Answer.INCONCLUSIVE, Answer.STEP_BOUND) and (inconclusive == "pass" or token)
    if not verdict.is_isolated and not is_open:
        pytest.fail(verdict.to_text(width=100), pytrace=False)
    return verdict
