from __future__ import annotations

from txexplain.cli import main

if __name__ == "__main__":
    main()
