"""What is said of a plan is data; words are made of it in one place."""

from __future__ import annotations

import pytest

from gridferry.controllers.conformance.sample_plants import at_start, no_devices
from gridferry.controllers.contract import Note, NoteKind, SolverOutcome, Status, Termination, hold


@pytest.mark.parametrize("kind", NoteKind)
@pytest.mark.parametrize("value", [3.0, float("nan")])
def test_every_note_has_words_on_one_line(kind: NoteKind, value: float) -> None:
    words = Note(kind, value, "bus 3").words
    assert words.startswith("bus 3: ")
    assert "nan" not in words.partition(": ")[2]
    assert words.isprintable()


@pytest.mark.parametrize("why", Termination)
def test_every_termination_has_words_or_nothing_to_say(why: Termination) -> None:
    assert SolverOutcome(termination=why).words == why.value.replace("_", " ").replace("rule", "").replace(
        "continued", "continues the plan"
    )


def test_words_say_why_it_ended_then_the_notes_then_what_the_controller_adds() -> None:
    notes = (Note(NoteKind.BOUND_FOR_ROUTES, 12.0), Note(NoteKind.VIOLATED_V_LOW, 0.0125, "bus 3 at step 4"))
    outcome = SolverOutcome(Status.FEASIBLE, "as asked", termination=Termination.TIME_LIMIT, notes=notes)
    assert outcome.words == (
        "time limit; the bound is for the routes decided at step 12; bus 3 at step 4: the "
        "voltage stays 0.0125 pu below its limit; as asked"
    )
    assert outcome.violations == notes[1:]
    assert outcome.note(NoteKind.BOUND_FOR_ROUTES) is notes[0]
    assert outcome.note(NoteKind.ROUNDS) is None


def test_a_plan_that_says_nothing_of_a_solver_is_a_rule_s() -> None:
    solver = hold(no_devices().plant, at_start(no_devices().plant)).solver
    assert (solver.status, solver.termination, solver.words) == (Status.RULE, Termination.RULE, "")
