"""`python -m jobs.cli` is `thornback`, in a checkout that is not installed."""

from jobs.cli.main import main

if __name__ == "__main__":
    main()
