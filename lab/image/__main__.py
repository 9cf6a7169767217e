"""Makes the host images: python -m lab.image."""

from __future__ import annotations

import argparse
import sys

from lab import image, podman


def main() -> int:
    """Have the host images in place; return the exit code."""
    argparse.ArgumentParser(prog="python -m lab.image", description=image.__doc__).parse_args()
    try:
        image.ensure(say=lambda text: print(text, flush=True))
    except (image.ImageError, podman.PodmanError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
