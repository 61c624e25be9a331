"""A run that was canceled never looks like a success, and the job's log says who canceled it."""

import pytest

from tests.support.launched import Launched
from tests.support.launching import Launch, blocked_in_database, eventually, is_stopped, locked_run
from tests.support.powerless import Powerless
from tests.support.system import System
