"""What a charger decides, without a system and without a database."""

from chargers.charger import (
    Charger,
    ChargerCommissioned,
    ClearFault,
    Commission,
    EnergyDelivered,
    FaultCleared,
    FaultReported,
    ReadMeter,
    ReportFault,
    SessionBilled,
    SessionStarted,
    SessionStopped,
    StartSession,
    StopSession,
)
from thornback import Scenario

AT_WORK = ChargerCommissioned(site="harbour")


def test_a_session_is_billed_with_what_was_delivered() -> None:
    charger = Scenario(Charger).given(AT_WORK)
    charger.when(StartSession(card="A1")).then(SessionStarted(card="A1"))
    charger.when(ReadMeter(kwh=3.5)).then(EnergyDelivered(site="harbour", kwh=3.5))
    charger.when(ReadMeter(kwh=1.5)).then(EnergyDelivered(site="harbour", kwh=1.5))
    charger.when(StopSession()).then(SessionStopped(kwh=5.0), SessionBilled(card="A1", kwh=5.0))


def test_nobody_pays_for_nothing() -> None:
    charger = Scenario(Charger).given(AT_WORK, SessionStarted(card="A1"))
    charger.when(StopSession()).then(SessionStopped(kwh=0.0))


def test_one_car_at_a_time() -> None:
    charger = Scenario(Charger).given(AT_WORK, SessionStarted(card="A1"))
    charger.when(StartSession(card="B2")).then_rejected("the charger is charging")


def test_a_charger_is_commissioned_once() -> None:
    Scenario(Charger).when(StartSession(card="A1")).then_rejected("the charger is new")
    charger = Scenario(Charger).given(AT_WORK)
    charger.when(Commission(site="airport")).then_rejected("commissioned at harbour")


def test_an_impossible_reading_is_rejected() -> None:
    charger = Scenario(Charger).given(AT_WORK, SessionStarted(card="A1"))
    charger.when(ReadMeter(kwh=9999.0)).then_rejected("not possible")


def test_a_fault_ends_the_session_and_what_was_delivered_is_billed() -> None:
    charger = Scenario(Charger).given(
        AT_WORK, SessionStarted(card="A1"), EnergyDelivered(site="harbour", kwh=2.0)
    )
    charger.when(ReportFault(code="E7")).then(
        SessionStopped(kwh=2.0), SessionBilled(card="A1", kwh=2.0), FaultReported(code="E7")
    )
    charger.when(StartSession(card="B2")).then_rejected("the charger is faulted")
    charger.when(ClearFault()).then(FaultCleared())
