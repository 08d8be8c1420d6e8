"""Flush the running topology and stop it, with the embedded database.

Everything that was accepted is answered and durable before its process ends.
"""

from jobs.command_line import connected, console, parser, run


def main() -> int:
    options = parser(__doc__)
    options.add_argument(
        "--timeout", type=float, default=60.0, metavar="S", help="seconds each process may take"
    )
    arguments = options.parse_args()
    drained = connected(arguments).drain(timeout_s=arguments.timeout).result()
    late = 0
    for name, outcome in drained.items():
        console.print(f"{name}: {outcome}")
        late += isinstance(outcome, str)
    console.print("stopped" if not late else f"stopped, {late} without an answer")
    return 1 if late else 0


if __name__ == "__main__":
    run(main)
