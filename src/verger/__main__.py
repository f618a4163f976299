"""``python -m verger``."""

from verger.cli import main

if __name__ == "__main__":
    main()
