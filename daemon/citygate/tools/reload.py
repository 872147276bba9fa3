"""`citygate reload`: have the daemon read its policy directory again, and wait for what comes of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TextIO

from citygate import config
from citygate.policy.problem import PolicyError
from citygate.review.words import problem_text
from citygate.systemd import complain
from citygate.tools.ask import AskError, ask_all


def reload_configured(config_file: Path, as_json: bool, out: TextIO | None = None) -> int:
    """``reload`` of the daemon with this configuration: it says where to ask. 1 too when it cannot be used."""
    try:
        control = config.load(config_file).control
    except PolicyError as error:
        for problem in error.problems:
            complain(problem)
        return 1
    if control is None:
        complain(f"the daemon cannot be asked, {config_file} says `control: off`: save a policy file or send SIGHUP")
        return 1
    return reload(control.socket, as_json, out)


def reload(socket: Path, as_json: bool, out: TextIO | None = None) -> int:
    """Print the revision in force and give 0; 1 when the policy was refused, its problems on stderr."""
    try:
        problems, done = ask_all(socket, "reload", patience=None)
    except AskError as error:
        complain(error)
        return 1
    if as_json:
        print(json.dumps(done | {"problems": problems}), file=out)
    elif done["applied"]:
        print(f"reloaded: policy {done['revision']}", file=out)
    else:
        for problem in problems:
            complain(problem_text(problem))
        complain(f"refused, policy {done['revision']} stays in force: {done['why']}")
    return 0 if done["applied"] else 1
