"""``python -m zoom_iqa.data check benchmark=koniq root=/data/koniq10k``: launches the entry point data_check."""

from zoom_iqa.data_check import main

if __name__ == "__main__":
    main()
