"""Takes longer than [core] dagbag_import_timeout."""

import time

time.sleep(300)
