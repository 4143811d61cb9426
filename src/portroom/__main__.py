"""Run the command line: ``python -m portroom`` is ``portroom``."""

from portroom.cli import main

if __name__ == "__main__":
    main()
