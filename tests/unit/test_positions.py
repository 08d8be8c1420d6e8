"""Where a reader of several partitions stands, as it is shown."""

from runtime.topology.positions import Positions


def test_what_shows_one_position_shows_several() -> None:
    assert f"up to {Positions([5500, 12]):,}" == "up to 5,500 and 12"
    assert f"{Positions([5500, 12])}" == "Positions([5500, 12])"
