"""python -m finetune_server --model-dir DIR --served-name NAME [...]"""

import os
import signal
import sys


def main() -> int:
    """Handles SIGTERM from before the imports, which take seconds: the kernel does not deliver it to a PID 1 without a handler."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    import asyncio

    from finetune_api.exit_codes import ExitCode
    from finetune_server.logs import configure_logs
    from finetune_server.program import give_up, serve
    from finetune_server.settings import UnusableKey, parse_settings

    configure_logs()
    try:
        settings = parse_settings()
    except UnusableKey as error:
        return give_up(str(error), ExitCode.INVALID_INPUT)
    return asyncio.run(serve(settings))


if __name__ == "__main__":
    sys.exit(main())
