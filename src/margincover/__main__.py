"""``python -m margincover``."""

from margincover.cli.main import run

if __name__ == "__main__":
    run()
