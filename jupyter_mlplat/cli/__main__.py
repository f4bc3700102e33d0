"""`python -m jupyter_mlplat.cli`."""

from jupyter_mlplat.cli.main import main

if __name__ == "__main__":
    main()
