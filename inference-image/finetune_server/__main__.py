"""python -m finetune_server --model-dir DIR --served-name NAME [...]"""

import asyncio
import sys

from finetune_server.logs import configure_logs
from finetune_server.program import serve
from finetune_server.settings import parse_settings

if __name__ == "__main__":
    settings = parse_settings()
    configure_logs()
    sys.exit(asyncio.run(serve(settings)))
