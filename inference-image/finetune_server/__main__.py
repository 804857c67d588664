"""python -m finetune_server --model-dir DIR --served-name NAME [...]"""

import asyncio
import sys

from finetune_api.exit_codes import ExitCode
from finetune_server.logs import configure_logs
from finetune_server.program import give_up, serve
from finetune_server.settings import UnusableKey, parse_settings

if __name__ == "__main__":
    configure_logs()
    try:
        settings = parse_settings()
    except UnusableKey as error:
        sys.exit(give_up(str(error), ExitCode.INVALID_INPUT))
    sys.exit(asyncio.run(serve(settings)))
