"""The contract of an event store: every promise of store/event_store.py as a test.

An implementation derives a test class from it, and has a fixture `store`: an empty
store for each test.
"""

from tests.contracts.append_contract import AppendContract
from tests.contracts.causes_contract import CausesContract
from tests.contracts.erasing_contract import ErasingContract
from tests.contracts.groups_contract import GroupsContract
from tests.contracts.letters_contract import LettersContract
from tests.contracts.merges_contract import MergesContract
from tests.contracts.programs_contract import ProgramsContract
from tests.contracts.projections_contract import ProjectionsContract
from tests.contracts.reading_contract import ReadingContract
from tests.contracts.shards_contract import ShardsContract
from tests.contracts.subscriptions_contract import SubscriptionsContract
from tests.contracts.tallies_contract import TalliesContract
from tests.contracts.timers_contract import TimersContract
from tests.contracts.types_contract import TypesContract
from tests.contracts.values_contract import ValuesContract


class EventStoreContract(
    AppendContract,
    CausesContract,
    ErasingContract,
    ReadingContract,
    GroupsContract,
    LettersContract,
    MergesContract,
    ProgramsContract,
    ProjectionsContract,
    ShardsContract,
    SubscriptionsContract,
    TalliesContract,
    TimersContract,
    TypesContract,
    ValuesContract,
):
    """Appending, reading, causes, durable subscriptions, groups, merges, timers, what is counted,
    what is known of types, and what values are kept."""
